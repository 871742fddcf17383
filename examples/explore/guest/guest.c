// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Two threads use a value that the first of them makes. The lock is taken only where the value is not there yet, which is
// told before it is: with an unlucky order of the threads one of them uses what was never made, and the guest exits with 1.
#include "../../../virt/testdata/bare/race_threads.h"

static int32_t mutex;
static volatile int32_t made, value;
static struct thread threads[2];

static int32_t get(void) {
	if (!made) {
		lock(&mutex);
		if (!made) {
			made = 1;
			value = 42;
		}
		unlock(&mutex);
	}
	return value;
}

static void use(struct thread *t) {
	if (get() != 42)
		proc_exit(1);
}

void _start(void) {
	for (int i = 0; i < 2; i++)
		start(&threads[i], use);
	for (int i = 0; i < 2; i++)
		join(&threads[i]);
}
