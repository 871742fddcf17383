// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start -DFIXED
//
// check_act.c, corrected.
#include "check_act.h"
