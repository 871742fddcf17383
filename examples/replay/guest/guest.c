// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A job that fails now and then: it reads /limit, draws a random number, and traps if the number is above the limit.
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
WASI(random_get) u32 random_get(void *buf, u32 len);
WASI(proc_exit) _Noreturn void proc_exit(u32 code);

static void check(u32 errno)
{
	if (errno)
		proc_exit(errno);
}

static void print(char *text, u32 len)
{
	struct iovec v = {text, len};
	u32 n;
	check(fd_write(1, &v, 1, &n));
}

__attribute__((export_name("_start"))) void start(void)
{
	static char limit[4], text[] = "drew 000\n";
	struct iovec v = {limit, sizeof limit};
	u32 fd, n, max = 0;
	unsigned char drawn;
	check(path_open(3, 0, "limit", 5, 0, 2 /* fd_read */, 0, 0, &fd));
	check(fd_read(fd, &v, 1, &n));
	for (u32 i = 0; i < n && limit[i] >= '0' && limit[i] <= '9'; i++)
		max = max * 10 + limit[i] - '0';
	check(random_get(&drawn, 1));
	text[5] += drawn / 100;
	text[6] += drawn / 10 % 10;
	text[7] += drawn % 10;
	print(text, sizeof text - 1);
	if (drawn > max)
		__builtin_trap();
}
