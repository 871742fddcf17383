// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A guest that writes as often as it is told.
typedef unsigned int u32;

struct iovec {
	const void *buf;
	u32 len;
};

__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write"))) u32 fd_write(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);

__attribute__((export_name("run"))) u32 run(u32 times)
{
	struct iovec v = {"sixteen letters.", 16};
	u32 n, errno = 0;
	while (times-- > 0 && !errno)
		errno = fd_write(1, &v, 1, &n);
	return errno;
}
