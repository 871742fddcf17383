// build: -fno-builtin -Wl,--no-entry,-z,stack-size=8192

// A reactor that answers requests: it writes to 100 pages of 4 KiB and reads a file.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(#name))) name
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	void *buf;
	u32 len;
};

WASI(fd_close)(u32 fd);
WASI(fd_read)(u32 fd, struct iovec *iovs, u32 n, u32 *nread);
WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);

static u8 pages[200][4096];

void EXPORT(_initialize)(void) {
	for (u32 i = 0; i < sizeof pages; i++)
		pages[i >> 12][i & 4095] = i * 7;
}

// request answers the number of bytes read plus what it found in the pages, which is the same for each fresh guest.
u32 EXPORT(request)(void) {
	static u8 buf[8192];
	u32 fd, n = 0, sum = 0;
	struct iovec v = {buf, sizeof buf};
	if (path_open(3, 0, "input", 5, 0, 2, 0, 0, &fd) || fd_read(fd, &v, 1, &n) || fd_close(fd))
		__builtin_trap();
	for (u32 i = 0; i < 100; i++)
		sum += pages[2 * i][i]++;
	return sum + n;
}
