// build: -fno-builtin -Wl,--no-entry,-z,stack-size=8192

// A reactor that keeps state in its memory, in grown memory, in open files and in the directory below descriptor 3.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(#name))) name
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	const void *buf;
	u32 len;
};

WASI(fd_close)(u32 fd);
WASI(fd_read)(u32 fd, struct iovec *iovs, u32 n, u32 *nread);
WASI(fd_seek)(u32 fd, u64 offset, u32 whence, u64 *at);
WASI(fd_write)(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(path_rename)(u32 fd, const char *old, u32 len, u32 to, const char *new, u32 new_len);
WASI(path_unlink_file)(u32 fd, const char *path, u32 len);

static u32 total = 7, files[4], opened[4];
static u8 table[4096];

static char *name(u32 n) {
	static char names[2][6] = {"tmp/0", "tmp/0"};
	static u32 turn;
	char *s = names[turn ^= 1];
	s[4] = '0' + n % 6;
	return s;
}

static u32 mix(u32 v) { return total = total * 31 + v; }

// touch writes a byte to each of n pages of 4 KiB, which it grows the memory by if they are missing, and reads them.
u32 EXPORT(touch)(u32 n) {
	static u8 *pages;
	static u32 have;
	if (n > have) {
		u32 more = (n - have + 15) / 16, at = __builtin_wasm_memory_grow(0, more);
		if (at == ~0u)
			return ~0u;
		if (!pages)
			pages = (u8 *)(at << 16);
		have += more * 16;
	}
	for (u32 i = 0; i < n; i++)
		mix(pages[i << 12] += i + 1);
	return total;
}

u32 EXPORT(step)(u32 op, u32 a, u32 b) {
	u32 n = 0, fd;
	u64 at = 0;
	u8 buf[16];
	struct iovec v = {buf, b % 16};
	switch (op % 7) {
	case 0:
		return mix(a);
	case 1:
		for (u32 i = 0; i < b % 4096; i++)
			table[i] += a;
		return mix(b);
	case 2:
		return touch(a % 64);
	case 3:
		if (opened[a % 4])
			fd_close(files[a % 4]);
		opened[a % 4] = !path_open(3, 0, name(b), 5, 1, 0x1fffffff, 0x1fffffff, 0, &fd);
		files[a % 4] = fd;
		return mix(fd);
	case 4:
		if (!opened[a % 4])
			return mix(4);
		for (u32 i = 0; i < 16; i++)
			buf[i] = total >> i;
		return mix(fd_write(files[a % 4], &v, 1, &n) << 8 | n);
	case 5:
		if (!opened[a % 4])
			return mix(5);
		mix(fd_read(files[a % 4], &v, 1, &n) << 8 | n);
		for (u32 i = 0; i < n; i++)
			mix(buf[i]);
		fd_seek(files[a % 4], b % 40, 0, &at);
		return mix(at);
	default:
		if (b % 3 == 0)
			return mix(path_unlink_file(3, name(b), 5));
		return mix(path_rename(3, name(a), 5, 3, name(b), 5));
	}
}
