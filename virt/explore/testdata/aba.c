// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A stack without locks whose pop compares the top only: between its look and its exchange another thread pops two nodes and
// pushes the first again. FIXED counts changes beside the top.
#include "../../testdata/bare/race_threads.h"

static struct thread slow, fast;
static volatile int32_t next[4] = {0, 2, 3, 0}; // nodes 1, 2 and 3; 0 is none
static int64_t top = 1;                         // the node, and above it a count
static volatile int32_t owned[4];

static int32_t pop(void) {
	for (;;) {
		int64_t was = __atomic_load_n(&top, __ATOMIC_SEQ_CST);
		int32_t node = (int32_t)was;
		if (node == 0)
			return 0;
		int64_t then = next[node];
#ifdef FIXED
		then |= ((was >> 32) + 1) << 32;
#endif
		if (__atomic_compare_exchange_n(&top, &was, then, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return node;
	}
}

static void push(int32_t node) {
	for (;;) {
		int64_t was = __atomic_load_n(&top, __ATOMIC_SEQ_CST);
		next[node] = (int32_t)was;
		int64_t then = node;
#ifdef FIXED
		then |= ((was >> 32) + 1) << 32;
#endif
		if (__atomic_compare_exchange_n(&top, &was, then, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return;
	}
}

static void take(int32_t node) {
	if (node)
		__atomic_fetch_add((int32_t *)&owned[node], 1, __ATOMIC_SEQ_CST);
}

static void one(struct thread *t) {
	take(pop());
	take(pop());
}

static void two(struct thread *t) {
	int32_t first = pop();
	take(pop());
	if (first)
		push(first);
}

void _start(void) {
	start(&slow, one);
	start(&fast, two);
	join(&slow);
	join(&fast);
	proc_exit(owned[1] > 1 || owned[2] > 1 || owned[3] > 1);
}
