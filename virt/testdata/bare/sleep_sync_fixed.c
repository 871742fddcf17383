// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start -DFIXED
//
// sleep_sync.c, corrected.
#include "sleep_sync.h"
