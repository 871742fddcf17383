// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A planted deadlock: two threads take the same two mutexes in different order.
#include "deadlock_mutexes.h"
