// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// An order violation: the worker follows a pointer that the main thread sets after it has started it. Traps if the worker is
// faster. FIXED sets it before.
#include "../../testdata/bare/race_threads.h"

static struct thread worker;
static volatile int32_t value = 7;
static volatile int32_t *volatile pointer;
static volatile int32_t seen;

static void use(struct thread *t) {
	volatile int32_t *p = pointer;
	if (!p)
		__builtin_trap();
	seen = *p;
}

void _start(void) {
#ifdef FIXED
	pointer = &value;
#endif
	start(&worker, use);
	pointer = &value;
	join(&worker);
	proc_exit(seen == 7 ? 0 : 1);
}
