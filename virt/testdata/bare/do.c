// build: -mbulk-memory -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A guest that does what its arguments say, one after the other; see obey. A path that starts with a slash is below
// descriptor 3; "5:path" is below descriptor 5. What fails prints "errno N".
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	void *buf;
	u32 len;
};

WASI(args_get)(char **argv, char *buf);
WASI(args_sizes_get)(u32 *argc, u32 *size);
WASI(clock_time_get)(u32 id, u64 precision, u64 *time);
WASI(environ_get)(char **environ, char *buf);
WASI(environ_sizes_get)(u32 *n, u32 *size);
WASI(fd_close)(u32 fd);
WASI(fd_prestat_dir_name)(u32 fd, char *name, u32 len);
WASI(fd_prestat_get)(u32 fd, u32 *prestat);
WASI(fd_read)(u32 fd, struct iovec *iovs, u32 n, u32 *nread);
WASI(fd_readdir)(u32 fd, void *buf, u32 len, u64 cookie, u32 *used);
WASI(fd_write)(u32 fd, struct iovec *iovs, u32 n, u32 *nwritten);
WASI(path_create_directory)(u32 fd, const char *path, u32 len);
WASI(path_filestat_get)(u32 fd, u32 flags, const char *path, u32 len, u64 *stat);
WASI(path_link)(u32 fd, u32 flags, const char *path, u32 len, u32 fd2, const char *path2, u32 len2);
WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(path_readlink)(u32 fd, const char *path, u32 len, void *buf, u32 size, u32 *used);
WASI(path_remove_directory)(u32 fd, const char *path, u32 len);
WASI(path_rename)(u32 fd, const char *path, u32 len, u32 fd2, const char *path2, u32 len2);
WASI(path_symlink)(const char *target, u32 tlen, u32 fd, const char *path, u32 len);
WASI(path_unlink_file)(u32 fd, const char *path, u32 len);
WASI(poll_oneoff)(const void *in, void *out, u32 n, u32 *nevents);
WASI(proc_raise)(u32 signal);
WASI(random_get)(void *buf, u32 len);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) _Noreturn void proc_exit(u32 code);

enum { FOLLOW = 1, CREAT = 1, DIRECTORY = 2, TRUNC = 8, APPEND = 1, R_READ = 2, R_WRITE = 64, R_READDIR = 1 << 14 };

static char *argv[512], args[16384], buf[65536];
static u32 argc, next, n;

static u32 length(const char *s)
{
	u32 len = 0;
	while (s[len])
		len++;
	return len;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static void put(const char *text, u32 len)
{
	struct iovec v[2] = {{(void *)text, len}, {"\n", 1}};
	fd_write(1, v, 2, &n);
}

static void number(const char *before, u64 value)
{
	char text[64], *at = text + sizeof text;
	do
		*--at = '0' + value % 10;
	while (value /= 10);
	for (u32 i = length(before); i > 0; i--)
		*--at = before[i - 1];
	put(at, text + sizeof text - at);
}

static void check(u32 errno)
{
	if (errno)
		number("errno ", errno);
}

static char *arg(void)
{
	static char none[1];
	return next < argc ? argv[next++] : none;
}

static u32 value(void)
{
	u32 v = 0;
	for (const char *s = arg(); *s; s++)
		v = v * 10 + *s - '0';
	return v;
}

struct path {
	u32 fd;
	const char *name;
	u32 len;
};

static struct path path(void)
{
	struct path p = {3, arg(), 0};
	if (p.name[0] >= '0' && p.name[0] <= '9' && p.name[1] == ':') {
		p.fd = p.name[0] - '0';
		p.name += 2;
	}
	while (*p.name == '/')
		p.name++;
	if (!*p.name)
		p.name = ".";
	p.len = length(p.name);
	return p;
}

static u32 open(u32 oflags, u64 rights, u32 flags, u32 *fd)
{
	struct path p = path();
	u32 errno = path_open(p.fd, FOLLOW, p.name, p.len, oflags, rights, 0, flags, fd);
	check(errno);
	return errno;
}

// copy prints all that can be read from a descriptor.
static void copy(u32 fd)
{
	struct iovec v = {buf, sizeof buf};
	u32 errno;
	while (!(errno = fd_read(fd, &v, 1, &n)) && n > 0) {
		struct iovec out = {buf, n};
		if ((errno = fd_write(1, &out, 1, &n)))
			break;
	}
	check(errno);
}

static void list(u32 fd)
{
	u32 used, errno = fd_readdir(fd, buf, sizeof buf, 0, &used);
	check(errno);
	for (u32 at = 0; !errno && at + 24 <= used;) {
		u32 len = *(u32 *)(buf + at + 16);
		const char *name = buf + at + 24;
		if (name[0] != '.' || (len > 1 && name[1] != '.') || len > 2)
			put(name, len);
		at += 24 + len;
	}
}

static void write(u32 oflags, u32 flags)
{
	u32 fd;
	if (open(CREAT | oflags, R_WRITE, flags, &fd)) {
		arg();
		return;
	}
	struct iovec v = {arg(), 0};
	v.len = length(v.buf);
	check(fd_write(fd, &v, 1, &n));
	check(fd_close(fd));
}

static void strings(char **list, u32 count)
{
	for (u32 i = 0; i < count; i++)
		put(list[i], length(list[i]));
}

static u32 deep(volatile u32 *down)
{
	volatile u32 here = *down + 1;
	return here ? deep(&here) + here : 0;
}

static void obey(const char *what)
{
	struct path p;
	u64 stat[8];
	u32 fd, zero = 0;
	if (same(what, "cat")) {
		if (!open(0, R_READ, 0, &fd)) {
			copy(fd);
			fd_close(fd);
		}
	} else if (same(what, "write"))
		write(TRUNC, 0);
	else if (same(what, "append"))
		write(0, APPEND);
	else if (same(what, "ls")) {
		if (!open(DIRECTORY, R_READDIR, 0, &fd)) {
			list(fd);
			fd_close(fd);
		}
	} else if (same(what, "mkdir")) {
		p = path();
		check(path_create_directory(p.fd, p.name, p.len));
	} else if (same(what, "rm")) {
		p = path();
		check(path_unlink_file(p.fd, p.name, p.len));
	} else if (same(what, "rmdir")) {
		p = path();
		check(path_remove_directory(p.fd, p.name, p.len));
	} else if (same(what, "mv")) {
		p = path();
		struct path to = path();
		check(path_rename(p.fd, p.name, p.len, to.fd, to.name, to.len));
	} else if (same(what, "ln")) {
		p = path();
		struct path to = path();
		check(path_link(p.fd, 0, p.name, p.len, to.fd, to.name, to.len));
	} else if (same(what, "symlink")) {
		const char *target = arg();
		p = path();
		check(path_symlink(target, length(target), p.fd, p.name, p.len));
	} else if (same(what, "readlink")) {
		p = path();
		u32 errno = path_readlink(p.fd, p.name, p.len, buf, sizeof buf, &n);
		check(errno);
		if (!errno)
			put(buf, n);
	} else if (same(what, "stat")) { // the type, then the size
		p = path();
		u32 errno = path_filestat_get(p.fd, 0, p.name, p.len, stat);
		check(errno);
		if (!errno) {
			number("type ", (u8)stat[2]);
			number("size ", stat[4]);
		}
	} else if (same(what, "preopens")) {
		u32 prestat[2];
		for (fd = 3; !fd_prestat_get(fd, prestat); fd++)
			if (!fd_prestat_dir_name(fd, buf, prestat[1]))
				put(buf, prestat[1]);
	} else if (same(what, "args"))
		strings(argv, argc);
	else if (same(what, "env")) {
		static char *list[256];
		environ_sizes_get(&fd, &n);
		if (fd <= 256 && n <= sizeof buf && !environ_get(list, buf))
			strings(list, fd);
	} else if (same(what, "echo")) {
		const char *text = arg();
		put(text, length(text));
	} else if (same(what, "complain")) {
		struct iovec v = {arg(), 0};
		v.len = length(v.buf);
		fd_write(2, &v, 1, &n);
	} else if (same(what, "spam")) { // as many lines of 100 bytes
		for (u32 i = value(); i > 0; i--)
			put("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 99);
	} else if (same(what, "stdin"))
		copy(0);
	else if (same(what, "time")) { // in seconds
		check(clock_time_get(0, 1, stat));
		number("", stat[0] / 1000000000);
	} else if (same(what, "sleep")) { // milliseconds
		u64 in[6] = {0, 0, 1, value() * 1000000ull, 0, 0}, out[4];
		check(poll_oneoff(in, out, 1, &n));
	} else if (same(what, "random")) {
		check(random_get(stat, 8));
		number("", stat[0]);
	} else if (same(what, "grow")) { // by as many pages of 64 KiB
		u32 before = __builtin_wasm_memory_grow(0, value());
		put(before == ~0u ? "no" : "yes", before == ~0u ? 2 : 3);
	} else if (same(what, "descriptors")) { // until no more can be had
		u32 errno, count = 0;
		p = (struct path){3, ".", 1};
		while (!(errno = path_open(p.fd, 0, p.name, p.len, DIRECTORY, 0, 0, 0, &fd)) && count < 100000)
			count++;
		number("", count);
		check(errno);
	} else if (same(what, "exit"))
		proc_exit(value());
	else if (same(what, "raise"))
		proc_raise(value());
	else if (same(what, "trap"))
		__builtin_trap();
	else if (same(what, "loop"))
		for (volatile u32 i = 0;; i++)
			;
	else if (same(what, "deep"))
		number("", deep(&zero));
	else
		put("what?", 5);
}

__attribute__((export_name("_start"))) void start(void)
{
	u32 size;
	if (args_sizes_get(&argc, &size) || argc > 512 || size > sizeof args || args_get(argv, args))
		proc_exit(99);
	for (next = 1; next < argc;)
		obey(arg());
}

__attribute__((export_name("answer"))) u32 answer(void) { return 42; }
