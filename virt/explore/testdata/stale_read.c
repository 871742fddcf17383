// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A thread reads the balance before it takes the lock, and writes the sum back under it. FIXED reads under the lock.
#include "../../testdata/bare/race_threads.h"

static struct thread a, b;
static int32_t m;
static volatile int32_t balance = 100;

static void deposit(struct thread *t) {
#ifdef FIXED
	lock(&m);
	int32_t was = balance;
#else
	int32_t was = balance;
	lock(&m);
#endif
	balance = was + 10;
	unlock(&m);
}

void _start(void) {
	start(&a, deposit);
	start(&b, deposit);
	join(&a);
	join(&b);
	proc_exit(balance == 120 ? 0 : 1);
}
