// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start -DFIXED
//
// depth_four.c, corrected.
#include "depth_four.h"
