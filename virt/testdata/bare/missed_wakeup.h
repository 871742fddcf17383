#include "race_threads.h"

enum { items = 6 };

static int32_t produced, bell;
static struct thread producer, consumer;

static void produce(struct thread *t) {
	for (int i = 0; i < items; i++) {
		__atomic_fetch_add(&produced, 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&bell, 1, __ATOMIC_SEQ_CST);
		__builtin_wasm_memory_atomic_notify(&bell, 1);
	}
}

static void consume(struct thread *t) {
	for (int taken = 0; taken < items; taken++) {
		for (;;) {
#ifdef FIXED
			int32_t rung = __atomic_load_n(&bell, __ATOMIC_SEQ_CST);
			if (__atomic_load_n(&produced, __ATOMIC_SEQ_CST) > taken)
				break;
#else
			if (__atomic_load_n(&produced, __ATOMIC_SEQ_CST) > taken)
				break;
			int32_t rung = __atomic_load_n(&bell, __ATOMIC_SEQ_CST);
#endif
			__builtin_wasm_memory_atomic_wait32(&bell, rung, -1);
		}
	}
}

void _start(void) {
	start(&consumer, consume);
	start(&producer, produce);
	join(&producer);
	join(&consumer);
}
