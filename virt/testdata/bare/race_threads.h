// Threads for guests without a C library: start, join, and a mutex.
#include <stdint.h>

__attribute__((import_module("wasi"), import_name("thread-spawn"))) int32_t wasi_thread_spawn(void *arg);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"), noreturn)) void proc_exit(uint32_t code);

struct thread {
	void *stack; // its end: stacks grow down
	void (*run)(struct thread *);
	int32_t done;
	_Alignas(16) char room[4096];
};

__attribute__((noinline)) static void thread_main(struct thread *t) {
	t->run(t);
	__atomic_store_n(&t->done, 1, __ATOMIC_SEQ_CST);
	__builtin_wasm_memory_atomic_notify(&t->done, 1);
}

// Each instance has globals of its own, and with them a stack pointer that C code needs before it runs. This function
// has no variable on the stack itself.
__asm__(".globaltype __stack_pointer, i32");

void wasi_thread_start(int32_t id, struct thread *t) {
	__asm__ volatile("local.get %0\n\tglobal.set __stack_pointer" : : "r"(t->stack));
	thread_main(t);
}

static void start(struct thread *t, void (*run)(struct thread *)) {
	t->stack = t->room + sizeof t->room;
	t->run = run;
	if (wasi_thread_spawn(t) < 0)
		proc_exit(100);
}

static void join(struct thread *t) {
	while (!__atomic_load_n(&t->done, __ATOMIC_SEQ_CST))
		__builtin_wasm_memory_atomic_wait32(&t->done, 0, -1);
}

// A mutex: 0 is free, 1 is held, 2 is held and somebody may wait.
static void lock(int32_t *m) {
	int32_t was = 0;
	if (__atomic_compare_exchange_n(m, &was, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(m, 2, __ATOMIC_SEQ_CST) != 0)
		__builtin_wasm_memory_atomic_wait32(m, 2, -1);
}

static void unlock(int32_t *m) {
	if (__atomic_exchange_n(m, 0, __ATOMIC_SEQ_CST) == 2)
		__builtin_wasm_memory_atomic_notify(m, 1);
}
