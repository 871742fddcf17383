// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// The flag that says that data are there is set before they are. FIXED sets it behind them.
#include "../../testdata/bare/race_threads.h"

static struct thread writer, reader;
static volatile int32_t data, ready, bad;

static void publish(struct thread *t) {
#ifdef FIXED
	data = 42;
	ready = 1;
#else
	ready = 1;
	data = 42;
#endif
}

static void use(struct thread *t) {
	if (ready && data != 42)
		bad = 1;
}

void _start(void) {
	start(&writer, publish);
	start(&reader, use);
	join(&writer);
	join(&reader);
	proc_exit(bad);
}
