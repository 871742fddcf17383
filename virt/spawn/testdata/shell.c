// build: -Wl,--export=_start,-z,stack-size=65536
// A shell and the programs for its pipelines in one module; the name that it is started by says which one it is. The shell runs its
// one argument, such as "gen 3 | sort | uniq -c > out", waits for all, and prints how each ended. A program that is registered is
// started by its name, any other from the file of its name in the first directory.
#include "../spawn.h"

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef uint32_t u32;

struct iovec {
	const void *buf;
	u32 len;
};

WASI(args_sizes_get) u32 args_sizes_get(u32 *count, u32 *size);
WASI(args_get) u32 args_get(char **argv, char *buf);
WASI(fd_read) u32 fd_read(u32 fd, const struct iovec *iovs, u32 n, u32 *got);
WASI(fd_write) u32 fd_write(u32 fd, const struct iovec *iovs, u32 n, u32 *done);
WASI(fd_close) u32 fd_close(u32 fd);
WASI(path_open)
u32 path_open(u32 dir, u32 follow, const char *path, u32 len, u32 oflags, uint64_t base, uint64_t inheriting, u32 fdflags, u32 *fd);
WASI(proc_exit) _Noreturn void proc_exit(u32 code);

enum { O_CREAT = 1, O_TRUNC = 8, RIGHT_READ = 2, RIGHT_WRITE = 64, RIGHT_STAT = 1 << 21 };

static char *argv[64];
static char arguments[4096];

void *memset(void *to, int c, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		((volatile char *)to)[i] = c;
	return to;
}

static u32 length(const char *s)
{
	u32 n = 0;
	while (s[n])
		n++;
	return n;
}

static int compare(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

static void put(const char *s, u32 n)
{
	while (n) {
		struct iovec v = {s, n};
		u32 done;
		u32 e = fd_write(1, &v, 1, &done);
		if (e)
			proc_exit(100 + e); // 164 is EPIPE
		s += done, n -= done;
	}
}

static void text(const char *s) { put(s, length(s)); }

static void number(u32 n)
{
	char b[10];
	int i = 10;
	do
		b[--i] = '0' + n % 10;
	while (n /= 10);
	put(b + i, 10 - i);
}

static u32 parse(const char *s)
{
	u32 n = 0;
	while (*s >= '0' && *s <= '9')
		n = n * 10 + (*s++ - '0');
	return n;
}

// lines reads standard input and returns its lines.
static char input[1 << 18];
static char *line[1 << 13];

static u32 lines(void)
{
	u32 used = 0, n = 0, got;
	for (;;) {
		struct iovec v = {input + used, sizeof input - 1 - used};
		if (fd_read(0, &v, 1, &got) || got == 0)
			break;
		used += got;
	}
	for (u32 at = 0; at < used && n < sizeof line / sizeof *line; n++) {
		line[n] = input + at;
		while (at < used && input[at] != '\n')
			at++;
		input[at++] = 0;
	}
	return n;
}

static void gen(u32 n)
{
	static const char *words[] = {"pear", "apple", "fig"};
	for (u32 i = 0; i < n; i++)
		text(words[i * 7 % 3]), text("\n");
}

static void sort(void)
{
	u32 n = lines();
	for (u32 i = 1; i < n; i++)
		for (u32 k = i; k > 0 && compare(line[k - 1], line[k]) > 0; k--) {
			char *s = line[k];
			line[k] = line[k - 1], line[k - 1] = s;
		}
	for (u32 i = 0; i < n; i++)
		text(line[i]), text("\n");
}

static void uniq(void)
{
	u32 n = lines();
	for (u32 i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && compare(line[i], line[k]) == 0; k++)
			;
		number(k - i), text(" "), text(line[i]), text("\n");
	}
}

static void head(void)
{
	char b[4];
	u32 got;
	struct iovec v = {b, sizeof b};
	fd_read(0, &v, 1, &got);
	put(b, got);
}

// word returns the next word of a command line, and cuts it off.
static char *word(char **s)
{
	while (**s == ' ')
		(*s)++;
	if (!**s)
		return 0;
	char *w = *s;
	if (**s == '|' || **s == '>') {
		*s += 1;
		return *w == '|' ? "|" : ">";
	}
	while (**s && **s != ' ')
		(*s)++;
	if (**s)
		*(*s)++ = 0;
	return w;
}

static u32 run(struct spawn_string *args, u32 n, u32 in, u32 out)
{
	struct spawn_descriptor fds[] = {{0, in}, {1, out}, {2, 2}};
	struct spawn_request r = {-1, args[0], args, n, 0, 0, {0, 0}, fds, 3};
	u32 pid, file, e = spawn(&r, &pid);
	if (e == 44 && !path_open(3, 0, args[0].text, args[0].length, 0, RIGHT_READ | RIGHT_STAT, 0, 0, &file)) { // ENOENT
		r.program = file;
		e = spawn(&r, &pid);
		fd_close(file);
	}
	if (e) {
		text(args[0].text), text(": errno "), number(e), text("\n");
		return 0;
	}
	return pid;
}

static void shell(char *s)
{
	static struct spawn_string args[16];
	static u32 pids[16];
	u32 in = 0, n = 0, commands = 0;
	for (;;) {
		char *w = word(&s);
		u32 out = 1, next = 0, ends[2];
		if (w && *w != '|' && *w != '>') {
			args[n].text = w, args[n++].length = length(w);
			continue;
		}
		if (w && *w == '|') {
			u32 e = spawn_pipe(ends);
			if (e)
				proc_exit(e);
			out = ends[1], next = ends[0];
		} else if (w) {
			w = word(&s);
			u32 e = path_open(3, 0, w, length(w), O_CREAT | O_TRUNC, RIGHT_WRITE, 0, 0, &out);
			if (e)
				proc_exit(e);
			w = 0;
		}
		pids[commands++] = run(args, n, in, out);
		if (in)
			fd_close(in);
		if (out != 1)
			fd_close(out);
		if (!w)
			break;
		in = next, n = 0;
	}
	for (u32 i = 0; i < commands; i++) {
		struct spawn_status st;
		if (!pids[i] || spawn_wait(pids[i], 0, &st))
			continue;
		text("command "), number(i), text(st.how == SPAWN_EXITED ? " exit " : st.how == SPAWN_SIGNALED ? " signal " : " end "),
			number(st.how > SPAWN_SIGNALED ? st.how : st.code), text("\n");
	}
}

// killer starts a program that never ends, kills it and waits for it.
static void killer(void)
{
	struct spawn_string args[] = {{"spin", 4}};
	struct spawn_status st;
	u32 pid = run(args, 1, 0, 1);
	number(spawn_wait(pid, SPAWN_NO_HANG, &st)), text(" ");
	number(spawn_kill(pid, 15)), text(" ");
	number(spawn_wait(0, 0, &st)), text(" ");
	number(st.how), text(" "), number(st.code), text(" ");
	number(spawn_wait(pid, 0, &st)), text("\n");
}

// nest starts itself until that is refused, and returns how deep that was.
static void nest(u32 depth)
{
	char digits[2] = {'0' + depth + 1, 0};
	struct spawn_string args[] = {{"nest", 4}, {digits, 1}};
	struct spawn_request r = {-1, args[0], args, 2, 0, 0, {0, 0}, 0, 0};
	struct spawn_status st;
	u32 pid, e = spawn(&r, &pid);
	if (e)
		proc_exit(e == 6 ? depth : 99); // EAGAIN
	spawn_wait(pid, 0, &st);
	proc_exit(st.code);
}

// crowd starts programs that never end until that is refused, and prints how many there are.
static void crowd(void)
{
	struct spawn_string args[] = {{"spin", 4}};
	u32 n = 0;
	while (run(args, 1, 0, 1))
		n++;
	number(n), text("\n");
}

void _start(void)
{
	u32 n, size;
	args_sizes_get(&n, &size);
	if (n > 63 || size > sizeof arguments)
		proc_exit(98);
	args_get(argv, arguments);
	const char *name = argv[0];
	if (!compare(name, "sh"))
		shell(argv[1]);
	else if (!compare(name, "gen") || !compare(name, "bin/gen"))
		gen(parse(argv[1]));
	else if (!compare(name, "sort"))
		sort();
	else if (!compare(name, "uniq"))
		uniq();
	else if (!compare(name, "head"))
		head();
	else if (!compare(name, "fail"))
		proc_exit(parse(argv[1]));
	else if (!compare(name, "trap"))
		__builtin_trap();
	else if (!compare(name, "kill"))
		killer();
	else if (!compare(name, "nest"))
		nest(n > 1 ? parse(argv[1]) : 0);
	else if (!compare(name, "crowd"))
		crowd();
	else if (!compare(name, "spin"))
		for (;;)
			__asm__ volatile("");
	proc_exit(0);
}
