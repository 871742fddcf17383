// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// See sleep_sync.h.
#include "sleep_sync.h"
