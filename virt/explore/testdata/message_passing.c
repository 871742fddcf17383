// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A thread writes a message and then that it is there, with plain stores: right where stores are seen in their order, wrong where
// they may change places. FIXED uses atomics for the flag.
#include "../../testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int32_t sched_yield(void);

static struct thread sender, receiver;
static volatile int32_t message, ready, got;

static void send(struct thread *t) {
	message = 42;
#ifdef FIXED
	__atomic_store_n(&ready, 1, __ATOMIC_SEQ_CST);
#else
	ready = 1;
#endif
}

static void receive(struct thread *t) {
#ifdef FIXED
	while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
#else
	while (!ready)
#endif
		sched_yield();
	got = message;
}

void _start(void) {
	start(&sender, send);
	start(&receiver, receive);
	join(&sender);
	join(&receiver);
	proc_exit(got != 42);
}
