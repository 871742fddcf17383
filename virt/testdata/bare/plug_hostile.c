// build: -Wl,--no-entry -Wl,--strip-debug -Wl,-z,stack-size=8192
// A plug that does, for some numbers of descriptors, what it should not.
#include "../../../docs/wasivirt_plug.h"

NEXT(fd_write)(uint32_t fd, guest_ptr iovs, uint32_t n, guest_ptr nwritten);
NEXT(fd_close)(uint32_t fd);
WASI(fd_close)(uint32_t fd);

static uint32_t outside, calls;

// It runs before there is a call.
__attribute__((export_name("_initialize"))) void initialize(void)
{
	uint8_t b;
	outside = guest_read(0, 1, &b);
}

static __attribute__((noinline)) void boom(void) { __builtin_trap(); }

PLUG(fd_write)(uint32_t fd, guest_ptr iovs, uint32_t n, guest_ptr nwritten)
{
	static uint8_t buf[64];
	calls++;
	switch (fd) {
	case 100:
		return outside;
	case 101:
		return guest_read(0xfffffff0, 64, buf);
	case 102:
		return guest_read(0, 64, (void *)0xfffffff0);
	case 103:
		return guest_write(guest_pages() << 16, buf, 1);
	case 104:
		return guest_read(0, 0xffffffff, buf);
	case 105:
		boom();
	case 106:
		for (volatile uint32_t i = 0;; i++)
			;
	case 107: // both go below: the second finds it closed
		return next_fd_close(2) ? 1000 : wasi_fd_close(2);
	case 108:
		return guest_strlen(0, 0xffffffff);
	case 109:
		return guest_strlen(0xffffffff, 1) == UINT32_MAX ? 0 : 1;
	case 110:
		return calls;
	case 111: // to the guest's standard output, twice
		return next_fd_write(1, iovs, n, nwritten) ?: next_fd_write(1, iovs, n, nwritten);
	}
	return next_fd_write(fd, iovs, n, nwritten);
}
