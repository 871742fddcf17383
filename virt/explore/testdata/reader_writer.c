// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A lock for readers and writers whose writer looks for readers and then enters, as two steps. FIXED enters by one instruction.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread reader, writer;
static int32_t state; // readers, or -1 for a writer
static volatile int32_t low, high, bad;

static void read(struct thread *t) {
	int32_t was = __atomic_load_n(&state, __ATOMIC_SEQ_CST);
	while (was < 0 || !__atomic_compare_exchange_n(&state, &was, was + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		sched_yield();
		was = __atomic_load_n(&state, __ATOMIC_SEQ_CST);
	}
	if (low != high)
		bad = 1;
	__atomic_fetch_sub(&state, 1, __ATOMIC_SEQ_CST);
}

static void write(struct thread *t) {
#ifdef FIXED
	int32_t none = 0;
	while (!__atomic_compare_exchange_n(&state, &none, -1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		none = 0;
		sched_yield();
	}
#else
	while (__atomic_load_n(&state, __ATOMIC_SEQ_CST) != 0)
		sched_yield();
	__atomic_fetch_sub(&state, 1, __ATOMIC_SEQ_CST);
#endif
	low = 1;
	high = 1;
	__atomic_fetch_add(&state, 1, __ATOMIC_SEQ_CST);
}

void _start(void) {
	start(&reader, read);
	start(&writer, write);
	join(&reader);
	join(&writer);
	proc_exit(bad);
}
