// build: -Wl,--no-entry -Wl,--strip-debug -Wl,-z,stack-size=8192 -Wl,--initial-memory=262144
// A library that scripts link to: its memory is theirs too. It prints what they give it in capitals.
typedef unsigned char u8;
typedef unsigned int u32;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name
#define EXPORT(name) __attribute__((export_name(#name), noinline)) name

struct iovec {
	void *buf;
	u32 len;
};

WASI(fd_write)(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(args_sizes_get)(u32 *argc, u32 *size);

static u32 calls;

u32 EXPORT(shout)(const u8 *s, u32 n)
{
	static u8 text[256];
	calls++;
	for (u32 i = 0; i < n && i < sizeof text; i++)
		text[i] = s[i] >= 'a' && s[i] <= 'z' ? s[i] - 32 : s[i];
	struct iovec v = {text, n};
	u32 written;
	return fd_write(1, &v, 1, &written);
}

u32 EXPORT(count)(void) { return calls; }

u32 EXPORT(arguments)(void)
{
	u32 argc, size;
	args_sizes_get(&argc, &size);
	return argc;
}

u32 EXPORT(boom)(void) { __builtin_trap(); }

u32 EXPORT(spin)(void)
{
	for (volatile u32 i = 0;; i++)
		;
}
