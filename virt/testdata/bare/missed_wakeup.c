// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A planted missed wake-up: the consumer looks whether there is something, and then waits on a bell that may have rung
// in between.
#include "missed_wakeup.h"
