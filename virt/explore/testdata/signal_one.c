// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Two threads wait for one event, and who announces it wakes one of them: the other waits without end if both were asleep. FIXED
// wakes all.
#include "../../testdata/bare/race_threads.h"

static struct thread t[2];
static int32_t open;

static void pass(struct thread *self) {
	while (!__atomic_load_n(&open, __ATOMIC_SEQ_CST))
		__builtin_wasm_memory_atomic_wait32(&open, 0, -1);
}

void _start(void) {
	start(&t[0], pass);
	start(&t[1], pass);
	__atomic_store_n(&open, 1, __ATOMIC_SEQ_CST);
#ifdef FIXED
	__builtin_wasm_memory_atomic_notify(&open, -1);
#else
	__builtin_wasm_memory_atomic_notify(&open, 1);
#endif
	join(&t[0]);
	join(&t[1]);
	proc_exit(0);
}
