// What the nodes of the worlds in this directory share: files, requests of one line, and time.
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) uint32_t name

struct iovec {
	const void *buf;
	uint32_t len;
};

struct subscription {
	uint64_t userdata;
	uint64_t tag;
	uint32_t clock; // or the descriptor
	uint64_t timeout, precision;
	uint16_t flags;
};

struct event {
	uint64_t userdata;
	uint16_t error;
	uint8_t type;
	uint64_t bytes;
	uint16_t flags;
};

WASI(clock_time_get)(uint32_t clock, uint64_t precision, uint64_t *time);
WASI(environ_get)(char **environ, char *buf);
WASI(fd_close)(uint32_t fd);
WASI(fd_read)(uint32_t fd, const struct iovec *iovs, uint32_t n, uint32_t *got);
WASI(fd_sync)(uint32_t fd);
WASI(fd_write)(uint32_t fd, const struct iovec *iovs, uint32_t n, uint32_t *done);
WASI(path_open)(uint32_t dir, uint32_t follow, const char *path, uint32_t len, uint32_t oflags, uint64_t base, uint64_t inheriting, uint32_t flags, uint32_t *fd);
WASI(path_rename)(uint32_t dir, const char *from, uint32_t flen, uint32_t to_dir, const char *to, uint32_t tlen);
WASI(path_unlink_file)(uint32_t dir, const char *path, uint32_t len);
WASI(poll_oneoff)(const struct subscription *in, struct event *out, uint32_t n, uint32_t *got);
WASI(sock_accept)(uint32_t fd, uint32_t flags, uint32_t *conn);

enum { STDOUT = 1, ROOT = 3, LISTENER = 4, CREAT = 1, TRUNC = 8, APPEND = 1, READ = 2, WRITE = 64, SYNC = 16, POLL = 1 << 27, NONBLOCK = 4, READABLE = 1, WRITABLE = 2 };

static uint32_t length(const char *s) {
	uint32_t n = 0;
	while (s[n])
		n++;
	return n;
}

static uint64_t now(void) { // milliseconds since the start
	uint64_t t = 0;
	clock_time_get(1, 1, &t);
	return t / 1000000;
}

// wait_for waits until a descriptor can be read or written, 0 for none, or for some milliseconds.
static int wait_for(uint32_t fd, uint8_t what, uint64_t ms) {
	struct subscription in[2] = {{.tag = 0, .clock = 1, .timeout = ms * 1000000}, {.userdata = 1, .tag = what, .clock = fd}};
	struct event out[2];
	uint32_t got = 0, ready = 0;
	poll_oneoff(in, out, fd ? 2 : 1, &got);
	for (uint32_t i = 0; i < got; i++)
		ready |= out[i].userdata == 1;
	return ready;
}

static void nap(uint64_t ms) { wait_for(0, 0, ms); }

static int write_all(uint32_t fd, const char *text, uint32_t n) {
	struct iovec v = {text, n};
	uint32_t done = 0;
	return fd_write(fd, &v, 1, &done) == 0 && done == n;
}

// read_some reads up to n bytes; 0 if there are none.
static uint32_t read_some(uint32_t fd, char *buf, uint32_t n) {
	struct iovec v = {buf, n};
	uint32_t got = 0;
	return fd_read(fd, &v, 1, &got) == 0 ? got : 0;
}

static int open_at(const char *path, uint32_t oflags, uint32_t flags, uint32_t *fd) {
	return path_open(ROOT, 0, path, length(path), oflags, READ | WRITE | SYNC | POLL, 0, flags, fd) == 0;
}

// save writes a file and makes it durable if sync is set. append keeps what is there.
static int save(const char *path, const void *data, uint32_t n, int append, int sync) {
	uint32_t fd;
	if (!open_at(path, append ? CREAT : CREAT | TRUNC, append ? APPEND : 0, &fd))
		return 0;
	int ok = write_all(fd, data, n) && (!sync || fd_sync(fd) == 0);
	return fd_close(fd) == 0 && ok;
}

// load reads a file and returns how many bytes, or -1 if there is none.
static int load(const char *path, void *data, uint32_t n) {
	uint32_t fd, got, all = 0;
	if (!open_at(path, 0, 0, &fd))
		return -1;
	while (all < n && (got = read_some(fd, (char *)data + all, n - all)) > 0)
		all += got;
	fd_close(fd);
	return (int)all;
}

static int rename_to(const char *from, const char *to) {
	return path_rename(ROOT, from, length(from), ROOT, to, length(to)) == 0;
}

// replace puts a file into the place of another one, durably and as a whole.
static int replace(const char *path, const char *fresh, const void *data, uint32_t n) {
	return save(fresh, data, n, 0, 1) && rename_to(fresh, path);
}

static void say(const char *line) { write_all(STDOUT, line, length(line)); }

// number reads a decimal number and moves on to what follows the space after it.
static uint32_t number(const char **s) {
	uint32_t n = 0;
	for (; '0' <= **s && **s <= '9'; ++*s)
		n = n * 10 + (uint32_t)(**s - '0');
	if (**s == ' ')
		++*s;
	return n;
}

// put_number writes a decimal number and returns its end.
static char *put_number(char *to, uint32_t n) {
	char digits[10];
	int i = 0;
	do
		digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	while (i > 0)
		*to++ = digits[--i];
	return to;
}

static char *put_text(char *to, const char *text) {
	while (*text)
		*to++ = *text++;
	*to = 0;
	return to;
}

// say_number writes a line that ends in a number.
static void say_number(const char *what, uint32_t n) {
	char line[64], *end = put_number(put_text(line, what), n);
	*end++ = '\n';
	write_all(STDOUT, line, (uint32_t)(end - line));
}

static char environment[512];
static char *variables[32];

// name is the first letter of the node's name.
static char name(void) {
	if (!variables[0])
		environ_get(variables, environment);
	for (int i = 0; i < 31 && variables[i]; i++) {
		const char *v = variables[i];
		if (v[0] == 'N' && v[1] == 'O' && v[2] == 'D' && v[3] == 'E' && v[4] == '=')
			return v[5];
	}
	return 0;
}

// request waits some milliseconds for a connection and reads its first line. The caller answers and
// closes it; 0 if there is none.
static uint32_t request(char *line, uint32_t n, uint64_t ms) {
	uint32_t fd, got = 0;
	if (!wait_for(LISTENER, READABLE, ms) || sock_accept(LISTENER, 0, &fd) != 0)
		return 0;
	if (wait_for(fd, READABLE, 100))
		got = read_some(fd, line, n - 1);
	if (got == 0 || line[got - 1] != '\n') {
		fd_close(fd);
		return 0;
	}
	line[got - 1] = 0;
	return fd;
}

static void reply(uint32_t fd, const char *line) {
	write_all(fd, line, length(line));
	fd_close(fd);
}

static void reply_number(uint32_t fd, uint32_t n) {
	char line[16], *end = put_number(line, n);
	*end++ = '\n';
	*end = 0;
	reply(fd, line);
}

// ask sends a line to port 7 of a node and returns the first byte of its answer, 0 if there is none
// in time.
static char ask(char node, const char *line, uint64_t ms) {
	char path[] = "net/?:7", answer[64] = {0};
	uint32_t fd, got = 0;
	path[4] = node;
	if (!open_at(path, 0, NONBLOCK, &fd))
		return 0;
	if (wait_for(fd, WRITABLE, ms) && write_all(fd, line, length(line)) && wait_for(fd, READABLE, ms))
		got = read_some(fd, answer, sizeof answer - 1);
	fd_close(fd);
	return got ? answer[0] : 0;
}
