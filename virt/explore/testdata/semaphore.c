// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A semaphore of one place whose count is looked at and taken down in two steps: two are inside. FIXED takes by one instruction.
#include "../../testdata/bare/race_threads.h"

static struct thread t[2];
static int32_t places = 1;
static volatile int32_t inside, bad;

static void work(struct thread *self) {
	for (;;) {
		int32_t was = __atomic_load_n(&places, __ATOMIC_SEQ_CST);
		if (was <= 0) {
			__builtin_wasm_memory_atomic_wait32(&places, was, -1);
			continue;
		}
#ifdef FIXED
		if (__atomic_compare_exchange_n(&places, &was, was - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			break;
#else
		__atomic_store_n(&places, was - 1, __ATOMIC_SEQ_CST);
		break;
#endif
	}
	if (inside)
		bad = 1;
	inside = 1;
	inside = 0;
	__atomic_fetch_add(&places, 1, __ATOMIC_SEQ_CST);
	__builtin_wasm_memory_atomic_notify(&places, 1);
}

void _start(void) {
	start(&t[0], work);
	start(&t[1], work);
	join(&t[0]);
	join(&t[1]);
	proc_exit(bad);
}
