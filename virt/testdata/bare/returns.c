// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,-z,stack-size=8192

// A command that returns from its entry point while threads of it compute, wait, and start.

__attribute__((import_module("wasi"), import_name("thread-spawn"))) int thread_spawn(void *arg);

static unsigned never, running;

// It needs no stack.
__attribute__((export_name("wasi_thread_start"))) void wasi_thread_start(int id, unsigned what) {
	__atomic_fetch_add(&running, 1, __ATOMIC_SEQ_CST);
	for (;;)
		if (what % 2)
			__builtin_wasm_memory_atomic_wait32((int *)&never, 0, -1);
}

__attribute__((export_name("_start"))) void _start(void) {
	for (int i = 0; i < 4; i++)
		if (thread_spawn((void *)i) <= 0)
			__builtin_trap();
	while (__atomic_load_n(&running, __ATOMIC_SEQ_CST) < 2) {}
}
