// build: -Wl,--no-entry -Wl,-z,stack-size=8192
// The outermost of three modules in three languages: its argument goes to the module "go", byte by byte, and what comes back is printed.
typedef unsigned int u32;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name
#define NEXT(name) __attribute__((import_module("go"), import_name(#name)))

WASI(args_get)(char **argv, char *buf);
WASI(fd_write)(u32 fd, const void *iovs, u32 n, u32 *nwritten);
NEXT(put) void put(u32 byte);
NEXT(say) void say(void);
NEXT(take) int take(void);

static char out[1024] = "c(";

__attribute__((noinline)) static u32 ask(const char *text)
{
	u32 n = 2;
	while (*text)
		put((unsigned char)*text++);
	say();
	for (int b; (b = take()) >= 0 && n < sizeof out - 2;)
		out[n++] = b;
	out[n++] = ')';
	out[n++] = '\n';
	return n;
}

__attribute__((export_name("_start"))) void start(void)
{
	static char *argv[16], buf[512];
	args_get(argv, buf);
	struct {
		const char *buf;
		u32 len;
	} v = {out, ask(argv[1])};
	u32 n;
	fd_write(1, &v, 1, &n);
}
