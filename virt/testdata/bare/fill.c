// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A guest that writes to the file of its name until it may write no more, gives a part of it back, and begins again. It
// prints the size of the file and the errno at the end of each round: 8 and 4 bytes, little
// endian, and 4 that mean nothing.
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	void *buf;
	u32 len;
};

WASI(args_get)(char **argv, char *buf);
WASI(fd_close)(u32 fd);
WASI(fd_filestat_set_size)(u32 fd, u64 size);
WASI(fd_seek)(u32 fd, u64 offset, u32 whence, u64 *at);
WASI(fd_write)(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(path_unlink_file)(u32 fd, const char *path, u32 len);

enum { ROUNDS = 6, CREAT = 1, END = 2 };
// fd_seek, fd_write, fd_filestat_set_size
#define RIGHTS (1ull << 2 | 1ull << 6 | 1ull << 22)

static char *argv[2], args[256], data[1000];
static struct {
	u64 size;
	u32 errno, unused;
} report;

static u32 length(const char *s)
{
	u32 n = 0;
	while (s[n])
		n++;
	return n;
}

__attribute__((export_name("_start"))) void start(void)
{
	args_get(argv, args);
	const char *name = argv[1];
	u32 len = length(name), fd, n;
	for (int round = 0; round < ROUNDS; round++) {
		report.size = fd = 0;
		report.errno = path_open(3, 0, name, len, CREAT, RIGHTS, 0, 0, &fd);
		if (!report.errno) {
			fd_seek(fd, 0, END, &report.size);
			struct iovec v = {data, sizeof data};
			while (!(report.errno = fd_write(fd, &v, 1, &n)))
				report.size += n;
		}
		struct iovec out = {&report, sizeof report};
		fd_write(1, &out, 1, &n);
		if (report.errno && !fd)
			continue; // it could not be opened
		if (round % 2 == 0)
			fd_filestat_set_size(fd, report.size / 3);
		if (round % 3 == 1)
			path_unlink_file(3, name, len); // while it is open
		fd_close(fd);
	}
}
