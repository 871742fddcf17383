// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Two owners give back their reference by a decrement that is not atomic: the object is freed twice or never. FIXED decrements
// atomically.
#include "../../testdata/bare/race_threads.h"

static struct thread a, b;
static int32_t references = 2;
static int32_t freed;

static void release(struct thread *t) {
#ifdef FIXED
	int32_t left = __atomic_sub_fetch(&references, 1, __ATOMIC_SEQ_CST);
#else
	int32_t left = *(volatile int32_t *)&references - 1;
	*(volatile int32_t *)&references = left;
#endif
	if (left == 0)
		__atomic_fetch_add(&freed, 1, __ATOMIC_SEQ_CST);
}

void _start(void) {
	start(&a, release);
	start(&b, release);
	join(&a);
	join(&b);
	proc_exit(freed == 1 ? 0 : 1);
}
