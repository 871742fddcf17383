// Three threads with an atomicity violation: a check and an act with the lock released between them, so that one place is
// given to two. Exits with 1 if it was. FIXED keeps the lock.
#include "race_threads.h"

static struct thread t[3];
static int32_t m;
static volatile int32_t places = 2, given;

static void take(struct thread *self) {
	lock(&m);
	int32_t free = places > 0;
#ifndef FIXED
	unlock(&m);
#endif
	if (free) {
#ifndef FIXED
		lock(&m);
#endif
		places--;
		given++;
#ifndef FIXED
		unlock(&m);
#endif
	}
#ifdef FIXED
	unlock(&m);
#endif
}

void _start(void) {
	for (int i = 0; i < 3; i++)
		start(&t[i], take);
	for (int i = 0; i < 3; i++)
		join(&t[i]);
	proc_exit(given > 2 ? 1 : 0);
}
