// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// What is to be made once is made by each thread that does not find it: two are made. FIXED makes it under a lock.
#include "../../testdata/bare/race_threads.h"

static struct thread a, b;
static int32_t m, times;
static volatile int32_t made;

static void get(struct thread *t) {
#ifdef FIXED
	lock(&m);
#endif
	if (!made) {
		__atomic_fetch_add(&times, 1, __ATOMIC_SEQ_CST);
		made = 1;
	}
#ifdef FIXED
	unlock(&m);
#endif
}

void _start(void) {
	start(&a, get);
	start(&b, get);
	join(&a);
	join(&b);
	proc_exit(times == 1 ? 0 : 1);
}
