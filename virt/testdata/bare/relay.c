// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Two threads read from standard input, wait for a random time, write what they read to standard output, each behind its
// letter, and append the letter to the file "log" of descriptor 3, until the input ends.
#include "race_threads.h"

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) uint32_t name

struct iovec {
	void *buf;
	uint32_t len;
};

WASI(fd_read)(uint32_t fd, struct iovec *iovs, uint32_t n, uint32_t *nread);
WASI(fd_write)(uint32_t fd, struct iovec *iovs, uint32_t n, uint32_t *nwritten);
WASI(path_open)(uint32_t fd, uint32_t dirflags, const char *path, uint32_t len, uint32_t oflags, uint64_t base, uint64_t inheriting, uint32_t flags, uint32_t *opened);
WASI(poll_oneoff)(const uint64_t *in, uint64_t *out, uint32_t n, uint32_t *nevents);
WASI(random_get)(void *buf, uint32_t len);

enum { CREAT = 1, APPEND = 1, R_WRITE = 64, letters = 2 };

struct worker {
	struct thread thread;
	char text[16];
	struct iovec iov;
	uint32_t n;
	uint64_t subscription[6], event[4];
};

static struct worker workers[letters];
static int32_t output;
static uint32_t file;

static void must(uint32_t errno) {
	if (errno)
		proc_exit(errno);
}

// put writes all of the first n bytes.
static void put(struct worker *w, uint32_t fd, uint32_t n) {
	for (uint32_t at = 0; at < n; at += w->n) {
		w->iov = (struct iovec){w->text + at, n - at};
		must(fd_write(fd, &w->iov, 1, &w->n));
	}
}

static void relay(struct thread *t) {
	struct worker *w = (struct worker *)t;
	for (;;) {
		w->iov = (struct iovec){w->text + 1, 7};
		must(fd_read(0, &w->iov, 1, &w->n));
		uint32_t n = w->n;
		if (n == 0)
			return;
		uint16_t pause;
		must(random_get(&pause, sizeof pause));
		w->subscription[1] = 0;            // a clock
		w->subscription[2] = 1;            // the monotonic one
		w->subscription[3] = pause * 16ul; // up to a millisecond
		must(poll_oneoff(w->subscription, w->event, 1, &w->n));
		w->text[0] = 'a' + (w - workers);
		lock(&output);
		put(w, 1, n + 1);
		unlock(&output);
		put(w, file, 1);
	}
}

void _start(void) {
	must(path_open(3, 0, "log", 3, CREAT, R_WRITE, 0, APPEND, &file));
	for (int i = 0; i < letters; i++)
		start(&workers[i].thread, relay);
	for (int i = 0; i < letters; i++)
		join(&workers[i].thread);
}
