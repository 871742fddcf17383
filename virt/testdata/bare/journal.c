// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A guest that counts in a journal: for each number it writes the whole file "new", eight blocks that all hold the number,
// and renames it to "journal". With the argument "sync" it syncs the file before that. It prints the number that it found,
// then each one once it is safe (4 bytes, little endian), up to the one that its second argument asks for by its length.
// Its exit status is the errno that stopped it; 255 says that what it found was no journal.
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	void *buf;
	u32 len;
};

WASI(args_get)(char **argv, char *buf);
WASI(fd_close)(u32 fd);
WASI(fd_read)(u32 fd, struct iovec *iovs, u32 n, u32 *nread);
WASI(fd_sync)(u32 fd);
WASI(fd_write)(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(path_rename)(u32 fd, const char *path, u32 len, u32 fd2, const char *path2, u32 len2);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) _Noreturn void proc_exit(u32 code);

enum { ROOT = 3, CREAT = 1, TRUNC = 8, NOENT = 44, BROKEN = 255, BLOCKS = 8, WORDS = 64 };
// fd_read, fd_sync, fd_write
#define RIGHTS (1ull << 1 | 1ull << 4 | 1ull << 6)

static char *argv[3], args[4096];
static u32 block[WORDS], n;

static void must(u32 errno)
{
	if (errno)
		proc_exit(errno);
}

static void print(u32 number)
{
	struct iovec v = {&number, sizeof number};
	must(fd_write(1, &v, 1, &n));
}

// recover returns the number in the journal, 0 if there is none.
static u32 recover(void)
{
	u32 fd;
	u32 errno = path_open(ROOT, 0, "journal", 7, 0, RIGHTS, 0, 0, &fd);
	if (errno == NOENT)
		return 0;
	must(errno);
	u32 number = 0;
	for (int i = 0; i < BLOCKS; i++) {
		struct iovec v = {block, sizeof block};
		must(fd_read(fd, &v, 1, &n));
		if (i == 0)
			number = block[0];
		for (int j = 0; j < WORDS; j++)
			if (n != sizeof block || block[j] != number)
				proc_exit(BROKEN);
	}
	must(fd_close(fd));
	return number;
}

static void record(u32 number, int sync)
{
	u32 fd;
	must(path_open(ROOT, 0, "new", 3, CREAT | TRUNC, RIGHTS, 0, 0, &fd));
	for (int j = 0; j < WORDS; j++)
		block[j] = number;
	for (int i = 0; i < BLOCKS; i++) {
		struct iovec v = {block, sizeof block};
		must(fd_write(fd, &v, 1, &n));
		if (n != sizeof block)
			proc_exit(BROKEN);
	}
	if (sync)
		must(fd_sync(fd));
	must(fd_close(fd));
	must(path_rename(ROOT, "new", 3, ROOT, "journal", 7));
}

__attribute__((export_name("_start"))) void start(void)
{
	args_get(argv, args);
	int sync = argv[1][0] == 's';
	u32 number = recover();
	print(number);
	for (const char *until = argv[2]; *until; until++) {
		record(++number, sync);
		print(number);
	}
}
