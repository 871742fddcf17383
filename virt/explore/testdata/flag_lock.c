// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A lock that is looked at and then taken: two threads take it. FIXED exchanges.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread a, b;
static int32_t held;
static volatile int32_t inside, bad;

static void work(struct thread *t) {
#ifdef FIXED
	while (__atomic_exchange_n(&held, 1, __ATOMIC_SEQ_CST))
		sched_yield();
#else
	while (__atomic_load_n(&held, __ATOMIC_SEQ_CST))
		sched_yield();
	__atomic_store_n(&held, 1, __ATOMIC_SEQ_CST);
#endif
	if (inside)
		bad = 1;
	inside = 1;
	inside = 0;
	__atomic_store_n(&held, 0, __ATOMIC_SEQ_CST);
}

void _start(void) {
	start(&a, work);
	start(&b, work);
	join(&a);
	join(&b);
	proc_exit(bad);
}
