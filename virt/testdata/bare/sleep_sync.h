// A sleep in the place of synchronization: the main thread sleeps 10 ms and takes for granted that the worker is done.
// Exits with 1 if it is not. FIXED waits for it.
#include "race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("poll_oneoff"))) int32_t poll_oneoff(void *, void *, int32_t, int32_t *);

static struct thread worker;
static volatile int32_t result;

static struct { uint64_t user; uint32_t tag, pad, id, pad2; uint64_t timeout, precision; uint32_t flags, pad3; } nap = {.id = 1, .timeout = 10000000};
static char event[32];
static int32_t count;

static void work(struct thread *t) { result = 42; }

void _start(void) {
	start(&worker, work);
#ifdef FIXED
	join(&worker);
#else
	poll_oneoff(&nap, event, 1, &count);
#endif
	int32_t seen = result;
	join(&worker);
	proc_exit(seen == 42 ? 0 : 1);
}
