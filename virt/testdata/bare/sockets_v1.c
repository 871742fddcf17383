// build: -Wl,--export=_start
// A server and a client in one, by the raw calls of version 1 of the sockets: 16 bytes for an address, sock_accept with two
// parameters. It exits with 0, or with the number of the step that failed.

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
IMPORT(sock_listen) u32 sock_listen(u32 fd, u32 backlog);
IMPORT(sock_accept) u32 sock_accept(u32 fd, u32 *conn);
IMPORT(sock_connect) u32 sock_connect(u32 fd, struct address *addr, u32 port);
IMPORT(sock_send) u32 sock_send(u32 fd, struct iovec *iovs, u32 n, u32 flags, u32 *sent);
IMPORT(sock_recv_from)
u32 sock_recv_from(u32 fd, struct iovec *iovs, u32 n, struct address *addr, u32 flags, u32 *received, u32 *oflags);
IMPORT(sock_getlocaladdr) u32 sock_getlocaladdr(u32 fd, struct address *addr, u32 *type, u32 *port);
IMPORT(sock_getpeeraddr) u32 sock_getpeeraddr(u32 fd, struct address *addr, u32 *type, u32 *port);
IMPORT(proc_exit) _Noreturn void proc_exit(u32 code);

#define STEP(n, what)             \
	do {                      \
		if (!(what))      \
			proc_exit(n); \
	} while (0)

static unsigned char any[4], loopback[4] = {127, 0, 0, 1}, found[16];
static char text[] = "hello", got[16];

void _start(void)
{
	struct address anywhere = {any, 4}, here = {loopback, 4}, peer = {found, 16};
	struct iovec out = {text, 5}, in = {got, 16};
	u32 listener, client, conn, port, other, type, n, flags;

	STEP(1, sock_open(1, 2, &listener) == 0);
	STEP(2, sock_bind(listener, &anywhere, 0) == 0);
	STEP(3, sock_listen(listener, 4) == 0);
	STEP(4, sock_getlocaladdr(listener, &peer, &type, &port) == 0);
	STEP(5, type == 4 && port != 0 && found[0] == 0);
	STEP(6, sock_open(1, 2, &client) == 0);
	STEP(7, sock_connect(client, &here, port) == 0);
	STEP(8, sock_accept(listener, &conn) == 0);
	STEP(9, sock_send(client, &out, 1, 0, &n) == 0 && n == 5);
	STEP(10, sock_recv_from(conn, &in, 1, &peer, 0, &n, &flags) == 0 && n == 5);
	STEP(11, got[0] == 'h' && got[4] == 'o' && found[0] != 0);
	STEP(12, sock_getpeeraddr(client, &peer, &type, &other) == 0 && type == 4 && other == port && found[0] == 127);
	proc_exit(0);
}
