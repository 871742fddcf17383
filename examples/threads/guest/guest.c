// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A pool of up to eight threads counts the primes below 200,000, a thousand numbers at a time. It does with as many threads
// as the host grants. With an argument it forgets to unlock the queue: then the pool is deadlocked.
#include "../../../virt/testdata/bare/race_threads.h"

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

struct iovec {
	const char *buf;
	uint32_t len;
};

WASI(fd_write) uint32_t fd_write(uint32_t fd, const struct iovec *iovs, uint32_t n, uint32_t *nwritten);
WASI(args_sizes_get) uint32_t args_sizes_get(uint32_t *argc, uint32_t *size);

enum { MOST = 8, LIMIT = 200000, PIECE = 1000 };

static struct thread threads[MOST];
static int32_t mutex, forgets;
static volatile uint32_t next, primes;

static int is_prime(uint32_t n) {
	if (n < 2)
		return 0;
	for (uint32_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return 0;
	return 1;
}

// take returns the start of a piece of work, LIMIT at the end.
static uint32_t take(void) {
	lock(&mutex);
	uint32_t piece = next;
	if (next < LIMIT)
		next += PIECE;
	else if (forgets)
		return piece;
	unlock(&mutex);
	return piece;
}

static void work(struct thread *t) {
	for (uint32_t piece; (piece = take()) < LIMIT;) {
		uint32_t found = 0;
		for (uint32_t n = piece; n < piece + PIECE; n++)
			found += is_prime(n);
		__atomic_fetch_add(&primes, found, __ATOMIC_SEQ_CST);
	}
}

// put and number write text before end, and return where it begins.
static char *put(char *end, const char *text, uint32_t len) {
	while (len)
		*--end = text[--len];
	return end;
}

static char *number(char *end, uint32_t n) {
	do
		*--end = '0' + n % 10;
	while (n /= 10);
	return end;
}

static void print(const char *text, uint32_t len) {
	struct iovec v = {text, len};
	uint32_t n;
	fd_write(1, &v, 1, &n);
}

// begin is start for a host that may refuse.
static int begin(struct thread *t) {
	t->stack = t->room + sizeof t->room;
	t->run = work;
	return wasi_thread_spawn(t) > 0;
}

void _start(void) {
	uint32_t argc, size;
	args_sizes_get(&argc, &size);
	forgets = argc > 1;
	int n = 0;
	while (n < MOST && begin(&threads[n]))
		n++;
	work(0);
	for (int i = 0; i < n; i++)
		join(&threads[i]);
	static const char middle[] = " primes below 200000, with ", last[] = " threads\n";
	char text[64], *end = text + sizeof text;
	end = put(end, last, sizeof last - 1);
	end = number(end, n + 1);
	end = put(end, middle, sizeof middle - 1);
	end = number(end, primes);
	print(end, text + sizeof text - end);
}
