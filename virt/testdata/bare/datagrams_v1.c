// build: -Wl,--export=_start
// Two sockets for datagrams in one program, by the raw calls of version 1: 4 or 16 bytes for an address, sock_recv_from with
// seven parameters. It exits with 0, or with the number of the step that failed.

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef unsigned int u32;

struct address {
	void *buf;
	u32 size;
};

struct iovec {
	void *buf;
	u32 len;
};

IMPORT(sock_open) u32 sock_open(u32 family, u32 type, u32 *fd);
IMPORT(sock_bind) u32 sock_bind(u32 fd, struct address *addr, u32 port);
IMPORT(sock_connect) u32 sock_connect(u32 fd, struct address *addr, u32 port);
IMPORT(sock_send_to)
u32 sock_send_to(u32 fd, struct iovec *iovs, u32 n, struct address *addr, u32 port, u32 flags, u32 *sent);
IMPORT(sock_send) u32 sock_send(u32 fd, struct iovec *iovs, u32 n, u32 flags, u32 *sent);
IMPORT(sock_recv_from)
u32 sock_recv_from(u32 fd, struct iovec *iovs, u32 n, struct address *addr, u32 flags, u32 *received, u32 *oflags);
IMPORT(sock_recv) u32 sock_recv(u32 fd, struct iovec *iovs, u32 n, u32 flags, u32 *received, u32 *oflags);
IMPORT(sock_getlocaladdr) u32 sock_getlocaladdr(u32 fd, struct address *addr, u32 *type, u32 *port);
IMPORT(proc_exit) _Noreturn void proc_exit(u32 code);

#define STEP(n, what)             \
	do {                      \
		if (!(what))      \
			proc_exit(n); \
	} while (0)

static unsigned char loopback[4] = {127, 0, 0, 1}, found[16];
static char text[] = "hello", got[16];

void _start(void)
{
	struct address here = {loopback, 4}, peer = {found, 16};
	struct iovec out = {text, 5}, in = {got, 16}, small = {got, 2};
	u32 server, client, port, other, type, n, flags = 0;

	STEP(1, sock_open(1, 1, &server) == 0);
	STEP(2, sock_bind(server, &here, 0) == 0);
	STEP(3, sock_getlocaladdr(server, &peer, &type, &port) == 0 && type == 4 && port != 0 && found[0] == 127);
	STEP(4, sock_open(1, 1, &client) == 0);
	STEP(5, sock_send_to(client, &out, 1, &here, port, 0, &n) == 0 && n == 5);
	found[0] = 0;
	STEP(6, sock_recv_from(server, &in, 1, &peer, 0, &n, &flags) == 0 && n == 5);
	STEP(7, got[0] == 'h' && got[4] == 'o' && found[0] == 127 && (flags & 0xffff) == 0);
	STEP(8, sock_getlocaladdr(client, &peer, &type, &other) == 0 && other != 0 && other != port);
	STEP(9, sock_send_to(server, &out, 1, &here, other, 0, &n) == 0);
	STEP(10, sock_recv_from(client, &small, 1, &peer, 0, &n, &flags) == 0 && n == 2 && (flags & 0xffff) == 1);
	STEP(11, sock_connect(client, &here, port) == 0);
	STEP(12, sock_send(client, &out, 1, 0, &n) == 0);
	STEP(13, sock_recv(server, &in, 1, 0, &n, &flags) == 0 && n == 5);
	proc_exit(0);
}
