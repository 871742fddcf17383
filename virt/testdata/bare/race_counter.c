// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// A planted race: two threads count in a variable without a lock, so that an update can be lost. Exits with 1 if one was.
#include "race_counter.h"
