// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Three philosophers take the left fork, then the right one: a deadlock of three locks. FIXED has the last take the right one
// first.
#include "../../testdata/bare/race_threads.h"

static struct thread t[3];
static int32_t fork[3];
static volatile int32_t meals;

static void eat(int first, int second) {
	lock(&fork[first]);
	lock(&fork[second]);
	meals++;
	unlock(&fork[second]);
	unlock(&fork[first]);
}

static void zero(struct thread *self) { eat(0, 1); }
static void one(struct thread *self) { eat(1, 2); }
static void two(struct thread *self) {
#ifdef FIXED
	eat(0, 2);
#else
	eat(2, 0);
#endif
}

void _start(void) {
	start(&t[0], zero);
	start(&t[1], one);
	start(&t[2], two);
	for (int i = 0; i < 3; i++)
		join(&t[i]);
	proc_exit(0);
}
