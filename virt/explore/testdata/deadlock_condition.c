// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A thread waits for a signal while it holds a lock that the signaller needs: a deadlock, unless the signal came first. FIXED
// gives the lock back before it waits.
#include "../../testdata/bare/race_threads.h"

static struct thread waiter, signaller;
static int32_t outer, signal;

static void await(struct thread *t) {
	lock(&outer);
#ifdef FIXED
	unlock(&outer);
#endif
	while (!__atomic_load_n(&signal, __ATOMIC_SEQ_CST))
		__builtin_wasm_memory_atomic_wait32(&signal, 0, -1);
#ifndef FIXED
	unlock(&outer);
#endif
}

static void tell(struct thread *t) {
	lock(&outer);
	__atomic_store_n(&signal, 1, __ATOMIC_SEQ_CST);
	unlock(&outer);
	__builtin_wasm_memory_atomic_notify(&signal, 1);
}

void _start(void) {
	start(&signaller, tell);
	start(&waiter, await);
	join(&waiter);
	join(&signaller);
	proc_exit(0);
}
