// A planted order violation: the worker makes what the main thread uses, and nothing makes the main thread wait for it but
// that it has a good deal to do first. Exits with 1 if the worker was slower. FIXED waits.
#include "race_threads.h"

static struct thread worker;
static volatile int32_t made, other[32];

static void make(struct thread *t) { made = 7; }

void _start(void) {
	start(&worker, make);
	for (int i = 0; i < 200; i++)
		other[i % 32] += i;
#ifdef FIXED
	join(&worker);
#endif
	int32_t seen = made;
	join(&worker);
	proc_exit(seen == 7 ? 0 : 1);
}
