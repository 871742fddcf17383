// build: -matomics -mbulk-memory -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 -Wl,--shared-memory -Wl,--import-memory -Wl,--max-memory=131072
// A guest that waits for a word of its memory to change, which nobody will do.
static int word;

__attribute__((export_name("_start"))) void start(void) { __builtin_wasm_memory_atomic_wait32(&word, 0, -1); }
