// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A guest without a C library: it copies /in.txt to /out.txt in capitals and prints a greeting.
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

struct iovec {
	void *buf;
	u32 len;
};

WASI(path_open) u32 path_open(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(fd_read) u32 fd_read(u32 fd, struct iovec *iovs, u32 n, u32 *nread);
WASI(fd_write) u32 fd_write(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(proc_exit) _Noreturn void proc_exit(u32 code);

enum { ROOT = 3, CREAT = 1, TRUNC = 8, FD_READ = 2, FD_WRITE = 64 };

static u32 n;

static u32 open(const char *path, u32 len, u32 oflags, u64 rights)
{
	u32 fd;
	u32 errno = path_open(ROOT, 0, path, len, oflags, rights, 0, 0, &fd);
	if (errno)
		proc_exit(errno);
	return fd;
}

static void print(u32 fd, char *text, u32 len)
{
	struct iovec v = {text, len};
	u32 errno = fd_write(fd, &v, 1, &n);
	if (errno)
		proc_exit(errno);
}

__attribute__((export_name("_start"))) void start(void)
{
	static char buf[4096];
	struct iovec v = {buf, sizeof buf};
	u32 in = open("in.txt", 6, 0, FD_READ);
	u32 out = open("out.txt", 7, CREAT | TRUNC, FD_WRITE);
	while (fd_read(in, &v, 1, &n) == 0 && n > 0) {
		u32 len = n;
		for (u32 i = 0; i < len; i++)
			if (buf[i] >= 'a' && buf[i] <= 'z')
				buf[i] -= 'a' - 'A';
		print(out, buf, len);
	}
	static char done[] = "the guest has written out.txt\n";
	print(1, done, sizeof done - 1);
}
