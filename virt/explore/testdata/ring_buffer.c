// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Two producers put into a ring whose end they load and store: both get the same place, and an item is lost. FIXED takes places
// by one instruction.
#include "../../testdata/bare/race_threads.h"

static struct thread a, b;
static int32_t end;
static volatile int32_t ring[8];

static void put(int32_t item) {
#ifdef FIXED
	int32_t at = __atomic_fetch_add(&end, 1, __ATOMIC_SEQ_CST);
#else
	int32_t at = __atomic_load_n(&end, __ATOMIC_SEQ_CST);
#endif
	ring[at % 8] = item;
#ifndef FIXED
	__atomic_store_n(&end, at + 1, __ATOMIC_SEQ_CST);
#endif
}

static void odd(struct thread *t) {
	put(1);
	put(3);
}
static void even(struct thread *t) {
	put(2);
	put(4);
}

void _start(void) {
	start(&a, odd);
	start(&b, even);
	join(&a);
	join(&b);
	int32_t sum = 0;
	for (int i = 0; i < 8; i++)
		sum += ring[i];
	proc_exit(sum == 10 ? 0 : 1);
}
