// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Money moves between two accounts, each with a lock of its own, while another thread adds them up: the sum misses what is on
// its way. FIXED holds both locks.
#include "../../testdata/bare/race_threads.h"

static struct thread mover, auditor;
static int32_t m[2];
static volatile int32_t account[2] = {50, 50}, bad;

static void move(struct thread *t) {
	lock(&m[0]);
#ifdef FIXED
	lock(&m[1]);
#endif
	account[0] -= 10;
#ifndef FIXED
	unlock(&m[0]);
	lock(&m[1]);
#endif
	account[1] += 10;
	unlock(&m[1]);
#ifdef FIXED
	unlock(&m[0]);
#endif
}

static void audit(struct thread *t) {
	lock(&m[0]);
	lock(&m[1]);
	int32_t sum = account[0] + account[1];
	unlock(&m[1]);
	unlock(&m[0]);
	if (sum != 100)
		bad = 1;
}

void _start(void) {
	start(&mover, move);
	start(&auditor, audit);
	join(&mover);
	join(&auditor);
	proc_exit(bad);
}
