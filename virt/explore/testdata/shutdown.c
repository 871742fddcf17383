// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A worker looks whether it has to stop when it finds no work: work that comes between its looks is left undone. FIXED looks for
// work once more after it was told to stop.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread worker;
static int32_t queued, stopping;
static volatile int32_t worked;

static void work(struct thread *t) {
	for (;;) {
#ifdef FIXED
		int32_t last = __atomic_load_n(&stopping, __ATOMIC_SEQ_CST);
#endif
		if (__atomic_exchange_n(&queued, 0, __ATOMIC_SEQ_CST)) {
			worked = 1;
			continue;
		}
#ifndef FIXED
		int32_t last = __atomic_load_n(&stopping, __ATOMIC_SEQ_CST);
#endif
		if (last)
			return;
		sched_yield();
	}
}

void _start(void) {
	start(&worker, work);
	__atomic_store_n(&queued, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&stopping, 1, __ATOMIC_SEQ_CST);
	join(&worker);
	proc_exit(worked ? 0 : 1);
}
