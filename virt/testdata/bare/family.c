// build: -matomics -mbulk-memory -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 -Wl,--shared-memory -Wl,--import-memory -Wl,--max-memory=131072
// A guest that starts threads, which wait for what nobody will do. Its exit code is how many it could have.
__attribute__((import_module("wasi"), import_name("thread-spawn"))) int thread_spawn(int);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) _Noreturn void proc_exit(int code);

static int word;

__attribute__((export_name("wasi_thread_start"))) void wasi_thread_start(int id, int arg)
{
	__builtin_wasm_memory_atomic_wait32(&word, 0, -1);
}

// hold starts up to most threads and returns how many there are.
__attribute__((export_name("hold"))) int hold(int most)
{
	int n = 0;
	while (n < most && thread_spawn(0) >= 0)
		n++;
	return n;
}

__attribute__((export_name("_start"))) void start(void) { proc_exit(hold(1000)); }
