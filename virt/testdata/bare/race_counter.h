#include "race_threads.h"

enum { rounds = 5 };

static volatile int32_t counter;
static int32_t mutex;
static struct thread threads[2];

static void count(struct thread *t) {
	for (int i = 0; i < rounds; i++) {
#ifdef FIXED
		lock(&mutex);
		counter++;
		unlock(&mutex);
#else
		counter++;
#endif
	}
}

void _start(void) {
	for (int i = 0; i < 2; i++)
		start(&threads[i], count);
	for (int i = 0; i < 2; i++)
		join(&threads[i]);
	if (counter != 2 * rounds)
		proc_exit(1);
}
