// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A thread waits in a loop until a counter is exactly 1, which it is for a moment only: a livelock if it looks too late. FIXED
// waits until it is at least 1.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread waiter, counter;
static volatile int32_t n;

static void await(struct thread *t) {
#ifdef FIXED
	while (n < 1)
#else
	while (n != 1)
#endif
		sched_yield();
}

static void count(struct thread *t) {
	n = 1;
	n = 2;
}

void _start(void) {
	start(&waiter, await);
	start(&counter, count);
	join(&waiter);
	join(&counter);
	proc_exit(0);
}
