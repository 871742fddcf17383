// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A barrier that counts who has come and is used twice: a thread that is fast comes to it again before a slow one has seen that
// it was open, and both wait. FIXED counts how often it was open.
#include "../../testdata/bare/race_threads.h"

static struct thread a, b;
static int32_t m, here, round;

static void barrier(void) {
	lock(&m);
#ifdef FIXED
	int32_t mine = __atomic_load_n(&round, __ATOMIC_SEQ_CST);
	if (++here == 2) {
		here = 0;
		__atomic_store_n(&round, mine + 1, __ATOMIC_SEQ_CST);
		unlock(&m);
		__builtin_wasm_memory_atomic_notify(&round, -1);
		return;
	}
	unlock(&m);
	while (__atomic_load_n(&round, __ATOMIC_SEQ_CST) == mine)
		__builtin_wasm_memory_atomic_wait32(&round, mine, -1);
#else
	if (++here == 2) {
		here = 0;
		__atomic_store_n(&round, 1, __ATOMIC_SEQ_CST);
		unlock(&m);
		__builtin_wasm_memory_atomic_notify(&round, -1);
		return;
	}
	__atomic_store_n(&round, 0, __ATOMIC_SEQ_CST);
	unlock(&m);
	while (__atomic_load_n(&round, __ATOMIC_SEQ_CST) == 0)
		__builtin_wasm_memory_atomic_wait32(&round, 0, -1);
#endif
}

static void twice(struct thread *t) {
	barrier();
	barrier();
}

void _start(void) {
	start(&a, twice);
	start(&b, twice);
	join(&a);
	join(&b);
	proc_exit(0);
}
