// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A wait with a timeout whose end is taken for the event. FIXED looks what it was.
#include "../../testdata/bare/race_threads.h"

static struct thread worker;
static int32_t done;
static volatile int32_t result;

static void work(struct thread *t) {
	result = 42;
	__atomic_store_n(&done, 1, __ATOMIC_SEQ_CST);
	__builtin_wasm_memory_atomic_notify(&done, 1);
}

void _start(void) {
	start(&worker, work);
#ifdef FIXED
	while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST))
#endif
		__builtin_wasm_memory_atomic_wait32(&done, 0, 1000000);
	int32_t seen = result;
	join(&worker);
	proc_exit(seen == 42 ? 0 : 1);
}
