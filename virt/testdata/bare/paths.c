// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A guest that does with paths what it is told. It reads orders from standard input and answers each on standard output:
//
//	order:  what u8, length of path u16, length of other u16, path, other
//	answer: errno u32, length of data u32, data
//
// Numbers are little endian. Paths are below descriptor 3 until the order 'o' opens another directory.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	void *buf;
	u32 len;
};

WASI(fd_close)(u32 fd);
WASI(fd_read)(u32 fd, struct iovec *iovs, u32 n, u32 *nread);
WASI(fd_readdir)(u32 fd, void *buf, u32 len, u64 cookie, u32 *used);
WASI(fd_write)(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(path_create_directory)(u32 fd, const char *path, u32 len);
WASI(path_filestat_get)(u32 fd, u32 flags, const char *path, u32 len, void *buf);
WASI(path_filestat_set_times)(u32 fd, u32 flags, const char *path, u32 len, u64 atim, u64 mtim, u32 fst);
WASI(path_link)(u32 fd, u32 flags, const char *path, u32 len, u32 fd2, const char *path2, u32 len2);
WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(path_readlink)(u32 fd, const char *path, u32 len, void *buf, u32 size, u32 *used);
WASI(path_remove_directory)(u32 fd, const char *path, u32 len);
WASI(path_rename)(u32 fd, const char *path, u32 len, u32 fd2, const char *path2, u32 len2);
WASI(path_symlink)(const char *target, u32 tlen, u32 fd, const char *path, u32 len);
WASI(path_unlink_file)(u32 fd, const char *path, u32 len);

enum { FOLLOW = 1, CREAT = 1, DIRECTORY = 2, EXCL = 4, TRUNC = 8, APPEND = 1, INVAL = 28 };
// What may be done with the descriptors: read, seek, write, readdir, all path functions.
enum { R_READ = 2, R_WRITE = 64, R_READDIR = 1 << 14 };
#define R_DIR 0x0fbffe00ull

static char path[65536], other[65536];
static struct {
	u32 errno, len;
	char data[16384];
} answer;
static u32 base = 3;

static u32 full(void *buf, u32 len)
{
	for (u32 done = 0; done < len;) {
		struct iovec v = {(char *)buf + done, len - done};
		u32 n;
		if (fd_read(0, &v, 1, &n) || n == 0)
			return 0;
		done += n;
	}
	return 1;
}

static void readAll(u32 fd)
{
	struct iovec v = {answer.data, sizeof answer.data};
	answer.errno = fd_read(fd, &v, 1, &answer.len);
}

static void writeTo(u32 fd)
{
	static char changed[] = "changed by the guest";
	struct iovec v = {changed, sizeof changed - 1};
	u32 n;
	answer.errno = fd_write(fd, &v, 1, &n);
}

static void openAnd(u32 plen, u32 dirflags, u32 oflags, u64 rights, u32 flags, void (*then)(u32))
{
	u32 fd;
	answer.errno = path_open(base, dirflags, path, plen, oflags, rights, rights, flags, &fd);
	if (answer.errno)
		return;
	if (then)
		then(fd);
	fd_close(fd);
}

static void list(u32 fd)
{
	answer.errno = fd_readdir(fd, answer.data, sizeof answer.data, 0, &answer.len);
}

static void obey(u8 what, u32 plen, u32 olen)
{
	u32 fd;
	switch (what) {
	case 'r':
		openAnd(plen, FOLLOW, 0, R_READ, 0, readAll);
		break;
	case 'n':
		openAnd(plen, 0, 0, R_READ, 0, readAll);
		break;
	case 'w':
		openAnd(plen, FOLLOW, CREAT, R_WRITE, 0, writeTo);
		break;
	case 'x':
		openAnd(plen, FOLLOW, CREAT | EXCL, R_WRITE, 0, writeTo);
		break;
	case 't':
		openAnd(plen, FOLLOW, TRUNC, R_WRITE, 0, 0);
		break;
	case 'a':
		openAnd(plen, FOLLOW, CREAT, R_WRITE, APPEND, writeTo);
		break;
	case 'D':
		openAnd(plen, FOLLOW, DIRECTORY, R_READDIR, 0, list);
		break;
	case 'o':
		answer.errno = path_open(base, FOLLOW, path, plen, DIRECTORY, R_DIR, ~0ull >> 35, 0, &fd);
		if (!answer.errno)
			base = fd;
		break;
	case 's':
	case 'S':
		answer.errno = path_filestat_get(base, what == 's', path, plen, answer.data);
		answer.len = answer.errno ? 0 : 64;
		break;
	case 'T':
		answer.errno = path_filestat_set_times(base, FOLLOW, path, plen, 1000000000, 1000000000, 1 | 4);
		break;
	case 'm':
		answer.errno = path_create_directory(base, path, plen);
		break;
	case 'd':
		answer.errno = path_remove_directory(base, path, plen);
		break;
	case 'u':
		answer.errno = path_unlink_file(base, path, plen);
		break;
	case 'y':
		answer.errno = path_symlink(other, olen, base, path, plen);
		break;
	case 'l':
		answer.errno = path_readlink(base, path, plen, answer.data, sizeof answer.data, &answer.len);
		break;
	case 'L':
		answer.errno = path_link(base, 0, path, plen, base, other, olen);
		break;
	case 'M':
		answer.errno = path_rename(base, path, plen, base, other, olen);
		break;
	default:
		answer.errno = INVAL;
	}
}

__attribute__((export_name("_start"))) void start(void)
{
	struct __attribute__((packed)) {
		u8 what;
		u16 path, other;
	} order;
	while (full(&order, sizeof order) && full(path, order.path) && full(other, order.other)) {
		answer.errno = answer.len = 0;
		obey(order.what, order.path, order.other);
		if (answer.errno)
			answer.len = 0;
		struct iovec v = {&answer, 8 + answer.len};
		u32 n;
		fd_write(1, &v, 1, &n);
	}
}
