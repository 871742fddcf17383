// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Peterson's lock with plain variables: right where every store is seen at once, wrong where it may wait in a buffer. FIXED uses
// atomics.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread a, b;
static volatile int32_t wants[2], turn, inside, bad;

static void work(int me) {
#ifdef FIXED
	__atomic_store_n(&wants[me], 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&turn, !me, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&wants[!me], __ATOMIC_SEQ_CST) && __atomic_load_n(&turn, __ATOMIC_SEQ_CST) == !me)
		sched_yield();
#else
	wants[me] = 1;
	turn = !me;
	while (wants[!me] && turn == !me)
		sched_yield();
#endif
	if (__atomic_exchange_n(&inside, 1, __ATOMIC_SEQ_CST))
		bad = 1;
	__atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&wants[me], 0, __ATOMIC_SEQ_CST);
}

static void first(struct thread *t) { work(0); }
static void second(struct thread *t) { work(1); }

void _start(void) {
	start(&a, first);
	start(&b, second);
	join(&a);
	join(&b);
	proc_exit(bad);
}
