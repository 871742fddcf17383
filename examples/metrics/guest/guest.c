// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A guest without a C library that does what metrics tell of: it asks for a file that is not there, writes and reads bytes,
// and waits 10 ms.
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	void *buf;
	u32 len;
};

WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(fd_pread)(u32 fd, struct iovec *iovs, u32 n, u64 offset, u32 *nread);
WASI(fd_write)(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(fd_close)(u32 fd);
WASI(poll_oneoff)(const void *in, void *out, u32 n, u32 *nevents);

enum { ROOT = 3, CREAT = 1, FD_READ = 2, FD_SEEK = 4, FD_WRITE = 64, MONOTONIC = 1, MILLISECOND = 1000000 };

__attribute__((export_name("_start"))) void start(void)
{
	static char buf[1000];
	struct iovec v = {buf, sizeof buf};
	u32 fd, n;
	path_open(ROOT, 0, "missing", 7, 0, FD_READ, 0, 0, &fd);
	if (path_open(ROOT, 0, "log", 3, CREAT, FD_READ | FD_SEEK | FD_WRITE, 0, 0, &fd))
		return;
	for (u32 i = 0; i < 10; i++)
		fd_write(fd, &v, 1, &n);
	fd_pread(fd, &v, 1, 0, &n);
	fd_close(fd);
	u64 sleep[6] = {0, 0, MONOTONIC, 10 * MILLISECOND, 0, 0}, event[4];
	poll_oneoff(sleep, event, 1, &n);
}
