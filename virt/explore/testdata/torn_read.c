// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A value of two halves is written while it is read: the reader gets one half of each. FIXED writes and reads it at once.
#include "../../testdata/bare/race_threads.h"

static struct thread writer, reader;
static volatile int32_t low, high, bad;
static int64_t both;

static void write(struct thread *t) {
#ifdef FIXED
	__atomic_store_n(&both, (int64_t)5 << 32 | 5, __ATOMIC_SEQ_CST);
#else
	low = 5;
	high = 5;
#endif
}

static void read(struct thread *t) {
#ifdef FIXED
	int64_t v = __atomic_load_n(&both, __ATOMIC_SEQ_CST);
	int32_t l = (int32_t)v, h = (int32_t)(v >> 32);
#else
	int32_t l = low, h = high;
#endif
	if (l != h)
		bad = 1;
}

void _start(void) {
	start(&writer, write);
	start(&reader, read);
	join(&writer);
	join(&reader);
	proc_exit(bad);
}
