// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A ticket lock whose tickets are drawn by a load and a store: two threads get the same and are inside together. FIXED draws by one
// instruction.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread a, b;
static int32_t drawn, serving;
static volatile int32_t inside, bad;

static void work(struct thread *t) {
#ifdef FIXED
	int32_t ticket = __atomic_fetch_add(&drawn, 1, __ATOMIC_SEQ_CST);
#else
	int32_t ticket = __atomic_load_n(&drawn, __ATOMIC_SEQ_CST);
	__atomic_store_n(&drawn, ticket + 1, __ATOMIC_SEQ_CST);
#endif
	while (__atomic_load_n(&serving, __ATOMIC_SEQ_CST) < ticket)
		sched_yield();
	if (inside)
		bad = 1;
	inside = 1;
	inside = 0;
	__atomic_fetch_add(&serving, 1, __ATOMIC_SEQ_CST);
}

void _start(void) {
	start(&a, work);
	start(&b, work);
	join(&a);
	join(&b);
	proc_exit(bad);
}
