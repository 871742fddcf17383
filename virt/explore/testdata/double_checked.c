// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Double-checked locking that says that the object is there before it is filled in: who looks without the lock sees it half
// made. FIXED fills it in first.
#include "../../testdata/bare/race_threads.h"

static struct thread a, b;
static int32_t m;
static volatile int32_t made, object, bad;

static void get(struct thread *t) {
	if (!made) {
		lock(&m);
		if (!made) {
#ifdef FIXED
			object = 42;
			made = 1;
#else
			made = 1;
			object = 42;
#endif
		}
		unlock(&m);
	}
	if (object != 42)
		bad = 1;
}

void _start(void) {
	start(&a, get);
	start(&b, get);
	join(&a);
	join(&b);
	proc_exit(bad);
}
