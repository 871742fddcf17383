#include "race_threads.h"

static int32_t left = 0, right = 0;
static volatile int32_t moved;
static struct thread threads[2];

static void move(int32_t *first, int32_t *second) {
	for (int i = 0; i < 3; i++) {
		lock(first);
		lock(second);
		moved++;
		unlock(second);
		unlock(first);
	}
}

static void forth(struct thread *t) { move(&left, &right); }

static void back(struct thread *t) {
#ifdef FIXED
	move(&left, &right);
#else
	move(&right, &left);
#endif
}

void _start(void) {
	start(&threads[0], forth);
	start(&threads[1], back);
	join(&threads[0]);
	join(&threads[1]);
	if (moved != 6)
		proc_exit(1);
}
