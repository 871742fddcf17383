// build: -matomics -mbulk-memory -Wl,--no-entry,--import-memory,--shared-memory,--max-memory=131072,--export=wait
//
// A wait that nobody ends.
static int cell;

int wait(void) { return __builtin_wasm_memory_atomic_wait32(&cell, 0, -1); }
