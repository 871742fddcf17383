// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384
// A layer between a guest and its Host: it writes what the guest writes to its standard output in capitals, and serves a file
// /etc/motd that is on no file system.
#include "../../../docs/wasivirt_plug.h"

enum { EBADF = 8, EFAULT = 21, EINVAL = 28, regularFile = 4 };

struct iovec {
	void *buf;
	uint32_t len;
};

WASI(fd_write)(uint32_t fd, struct iovec *iovs, uint32_t n, uint32_t *nwritten);
NEXT(fd_write)(uint32_t fd, guest_ptr iovs, uint32_t n, guest_ptr nwritten);
NEXT(path_open)(uint32_t fd, uint32_t dirflags, guest_ptr path, uint32_t len, uint32_t oflags, uint64_t base, uint64_t inheriting, uint32_t flags, guest_ptr opened);
NEXT(fd_read)(uint32_t fd, guest_ptr iovs, uint32_t n, guest_ptr nread);
NEXT(fd_close)(uint32_t fd);
NEXT(fd_fdstat_get)(uint32_t fd, guest_ptr stat);
NEXT(fd_filestat_get)(uint32_t fd, guest_ptr stat);

// upper writes one buffer of the guest in capitals: it copies it, and calls WASI itself.
PLUG(fd_write)(uint32_t fd, guest_ptr iovs, uint32_t n, guest_ptr nwritten)
{
	static uint8_t text[4096];
	struct {
		guest_ptr buf;
		uint32_t len;
	} one = {0, 0};
	if (fd != 1)
		return next_fd_write(fd, iovs, n, nwritten);
	for (; n > 0 && one.len == 0; n--, iovs += sizeof one) {
		if (guest_read(iovs, sizeof one, &one))
			return EFAULT;
	}
	uint32_t len = one.len < sizeof text ? one.len : sizeof text; // the guest writes the rest again
	if (guest_read(one.buf, len, text))
		return EFAULT;
	for (uint32_t i = 0; i < len; i++)
		if (text[i] >= 'a' && text[i] <= 'z')
			text[i] -= 'a' - 'A';
	struct iovec v = {text, len};
	uint32_t written;
	uint32_t errno = wasi_fd_write(fd, &v, 1, &written);
	return errno ? errno : guest_write(nwritten, &written, sizeof written);
}

// The descriptors of the file are numbers that no table reaches.
enum { firstFd = 1 << 24, maxOpen = 8 };
static const char motd[] = "welcome to a file that is nowhere\n";
static struct {
	uint32_t open, at;
} files[maxOpen];

// file returns the number of an open descriptor of the file, or maxOpen.
static uint32_t file(uint32_t fd)
{
	uint32_t i = fd - firstFd;
	return i < maxOpen && files[i].open ? i : maxOpen;
}

PLUG(path_open)(uint32_t fd, uint32_t dirflags, guest_ptr path, uint32_t len, uint32_t oflags, uint64_t base, uint64_t inheriting, uint32_t flags, guest_ptr opened)
{
	static const char name[] = "etc/motd";
	char given[sizeof name - 1];
	uint32_t same = len == sizeof given && guest_read(path, len, given) == 0;
	for (uint32_t i = 0; i < sizeof given && same; i++)
		same = given[i] == name[i];
	for (uint32_t i = 0; i < maxOpen && same; i++) {
		if (files[i].open)
			continue;
		uint32_t number = firstFd + i;
		if (guest_write(opened, &number, sizeof number))
			return EFAULT;
		files[i].open = 1;
		files[i].at = 0;
		return 0;
	}
	return next_path_open(fd, dirflags, path, len, oflags, base, inheriting, flags, opened);
}

PLUG(fd_read)(uint32_t fd, guest_ptr iovs, uint32_t n, guest_ptr nread)
{
	uint32_t i = file(fd), buf[2] = {0, 0};
	if (i == maxOpen)
		return next_fd_read(fd, iovs, n, nread);
	if (n == 0 || guest_read(iovs, sizeof buf, buf))
		return EINVAL;
	uint32_t len = sizeof motd - 1 - files[i].at;
	if (len > buf[1])
		len = buf[1];
	if (guest_write(buf[0], motd + files[i].at, len) || guest_write(nread, &len, sizeof len))
		return EFAULT;
	files[i].at += len;
	return 0;
}

PLUG(fd_close)(uint32_t fd)
{
	uint32_t i = file(fd);
	if (i == maxOpen)
		return next_fd_close(fd);
	files[i].open = 0;
	return 0;
}

PLUG(fd_fdstat_get)(uint32_t fd, guest_ptr stat)
{
	struct {
		uint8_t type, pad;
		uint16_t flags;
		uint32_t pad2;
		uint64_t base, inheriting;
	} s = {regularFile, 0, 0, 0, 1 << 1 | 1 << 21, 0}; // fd_read, fd_filestat_get
	return file(fd) == maxOpen ? next_fd_fdstat_get(fd, stat) : guest_write(stat, &s, sizeof s);
}

PLUG(fd_filestat_get)(uint32_t fd, guest_ptr stat)
{
	struct {
		uint64_t dev, ino;
		uint8_t type, pad[7];
		uint64_t nlink, size, atim, mtim, ctim;
	} s = {0, 1, regularFile, {0}, 1, sizeof motd - 1, 0, 0, 0};
	return file(fd) == maxOpen ? next_fd_filestat_get(fd, stat) : guest_write(stat, &s, sizeof s);
}
