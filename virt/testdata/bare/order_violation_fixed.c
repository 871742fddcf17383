// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start -DFIXED
//
// order_violation.c, corrected.
#include "order_violation.h"
