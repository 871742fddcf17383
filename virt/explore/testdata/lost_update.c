// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// An atomicity violation on atomics: each thread adds by a load and a store, both atomic, but not together. FIXED uses one
// instruction.
#include "../../testdata/bare/race_threads.h"

static struct thread a, b;
static int32_t sum;

static void add(struct thread *t) {
#ifdef FIXED
	__atomic_fetch_add(&sum, 1, __ATOMIC_SEQ_CST);
#else
	int32_t was = __atomic_load_n(&sum, __ATOMIC_SEQ_CST);
	__atomic_store_n(&sum, was + 1, __ATOMIC_SEQ_CST);
#endif
}

void _start(void) {
	start(&a, add);
	start(&b, add);
	join(&a);
	join(&b);
	proc_exit(sum == 2 ? 0 : 1);
}
