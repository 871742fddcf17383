// A planted bug that needs four switches in the right places: two threads write and look in turn, and only one order of
// all four steps of each is wrong. Exits with 1 in that order. FIXED takes a lock around the steps.
#include "race_threads.h"

static struct thread a, b;
static int32_t m;
static volatile int32_t x;

static void step(volatile int32_t *p, int32_t from, int32_t to) {
	if (*p == from)
		*p = to;
}

static void odd(struct thread *t) {
#ifdef FIXED
	lock(&m);
#endif
	step(&x, 0, 1);
	step(&x, 2, 3);
	step(&x, 4, 5);
#ifdef FIXED
	unlock(&m);
#endif
}

static void even(struct thread *t) {
#ifdef FIXED
	lock(&m);
#endif
	step(&x, 1, 2);
	step(&x, 3, 4);
#ifdef FIXED
	unlock(&m);
#endif
}

void _start(void) {
	start(&a, odd);
	start(&b, even);
	join(&a);
	join(&b);
	proc_exit(x == 5 ? 1 : 0);
}
