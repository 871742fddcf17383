// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Two consumers wait for one of two items with if in the place of while: who is woken takes for granted that an item is there,
// although another may have taken it. FIXED looks again.
#include "../../testdata/bare/race_threads.h"

static struct thread t[3];
static int32_t m;
static int32_t bell;
static volatile int32_t items, bad;

static void take(struct thread *self) {
	lock(&m);
#ifdef FIXED
	while (items == 0) {
#else
	if (items == 0) {
#endif
		int32_t rung = __atomic_load_n(&bell, __ATOMIC_SEQ_CST);
		unlock(&m);
		__builtin_wasm_memory_atomic_wait32(&bell, rung, -1);
		lock(&m);
	}
	if (--items < 0)
		bad = 1;
	unlock(&m);
}

static void put(struct thread *self) {
	for (int i = 0; i < 2; i++) {
		lock(&m);
		items++;
		__atomic_fetch_add(&bell, 1, __ATOMIC_SEQ_CST);
		unlock(&m);
		__builtin_wasm_memory_atomic_notify(&bell, -1);
	}
}

void _start(void) {
	start(&t[0], take);
	start(&t[1], take);
	start(&t[2], put);
	for (int i = 0; i < 3; i++)
		join(&t[i]);
	proc_exit(bad);
}
