// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// An order violation: the main thread takes a buffer away when the worker says that it has begun, not that it is done. FIXED
// waits for the end.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread worker;
static volatile int32_t begun, buffer[2] = {3, 4}, sum;

static void use(struct thread *t) {
	begun = 1;
	sum = buffer[0] + buffer[1];
}

void _start(void) {
	start(&worker, use);
#ifdef FIXED
	join(&worker);
#else
	while (!begun)
		sched_yield();
#endif
	buffer[0] = buffer[1] = -1;
	join(&worker);
	proc_exit(sum == 7 ? 0 : 1);
}
