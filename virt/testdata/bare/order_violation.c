// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// See order_violation.h.
#include "order_violation.h"
