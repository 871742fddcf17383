// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start -DFIXED
//
// deadlock_mutexes.c with the mutexes in the same order.
#include "deadlock_mutexes.h"
