// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Half a handshake: the writer of a configuration sets its flag by an atomic store, but readers look at the flag with a plain load,
// behind which the loads of the configuration may see what was there before. FIXED looks with an atomic load.
#include "../../testdata/bare/race_threads.h"

static struct thread writer, reader;
static volatile int32_t low, high, ready, bad;

static void write(struct thread *t) {
	low = 10;
	high = 20;
	__atomic_store_n(&ready, 1, __ATOMIC_SEQ_CST);
}

static void read(struct thread *t) {
	for (int i = 0; i < 3; i++) {
#ifdef FIXED
		if (__atomic_load_n(&ready, __ATOMIC_SEQ_CST)) {
#else
		if (ready) {
#endif
			if (high - low != 10)
				bad = 1;
		}
	}
}

void _start(void) {
	start(&writer, write);
	start(&reader, read);
	join(&writer);
	join(&reader);
	proc_exit(bad);
}
