// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start -DFIXED
//
// missed_wakeup.c with a consumer that waits only if the bell has not rung since before it looked.
#include "missed_wakeup.h"
