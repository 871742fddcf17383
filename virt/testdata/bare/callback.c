// build: -matomics -mbulk-memory -Wl,--no-entry,--import-memory,--shared-memory,--max-memory=1048576,-z,stack-size=8192

// A guest that imports a function of the embedder's and its memory from one module, "env".

__attribute__((import_module("wasi"), import_name("thread-spawn"))) int thread_spawn(void *arg);
__attribute__((import_module("env"), import_name("callback"))) int callback(int n);

static struct {
	int argument, result;
	unsigned done;
} job;

// It needs no stack.
__attribute__((export_name("wasi_thread_start"))) void wasi_thread_start(int id, void *arg) {
	job.result = callback(job.argument);
	__atomic_store_n(&job.done, 1, __ATOMIC_SEQ_CST);
	__builtin_wasm_memory_atomic_notify((int *)&job.done, -1);
}

__attribute__((export_name("call_in_thread"))) int call_in_thread(int n) {
	job.argument = n;
	job.done = 0;
	int id = thread_spawn(&job);
	if (id <= 0)
		return id;
	while (!__atomic_load_n(&job.done, __ATOMIC_SEQ_CST))
		__builtin_wasm_memory_atomic_wait32((int *)&job.done, 0, -1);
	return job.result;
}
