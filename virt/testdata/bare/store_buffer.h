// Dekker's handshake without fences: each thread raises its flag and looks at the other's. With store buffers both can look
// before either sees, and both enter. Exits with 1 if they did, which sequential consistency excludes. FIXED uses atomics.
#include "race_threads.h"

static struct thread a, b;
static volatile int32_t raised[2], inside[2];

static void enter(int me) {
#ifdef FIXED
	__atomic_store_n(&raised[me], 1, __ATOMIC_SEQ_CST);
	inside[me] = !__atomic_load_n(&raised[!me], __ATOMIC_SEQ_CST);
#else
	raised[me] = 1;
	inside[me] = !raised[!me];
#endif
}

static void first(struct thread *t) { enter(0); }
static void second(struct thread *t) { enter(1); }

void _start(void) {
	start(&a, first);
	start(&b, second);
	join(&a);
	join(&b);
	proc_exit(inside[0] && inside[1] ? 1 : 0);
}
