// build: -matomics -mbulk-memory -Wl,--import-memory,--shared-memory,--max-memory=1048576,--export=wasi_thread_start
//
// Four threads put 1 into an account each. They read the balance and write it back in two steps: with an unlucky order of
// the threads a deposit is lost, and the guest exits with 1. With an argument it prints a line that depends on its random
// numbers, and then does the same.
#include "../../../virt/testdata/bare/race_threads.h"

__attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get")))
int32_t random_get(void *buf, int32_t len);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("args_sizes_get")))
int32_t args_sizes_get(int32_t *argc, int32_t *size);
struct bytes { const void *p; int32_t len; };
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write")))
int32_t fd_write(int32_t fd, const struct bytes *v, int32_t n, int32_t *written);

enum { THREADS = 4 };
static volatile int32_t balance;
static struct thread threads[THREADS];

static void deposit(struct thread *t) {
	int32_t b = balance;
	balance = b + 1;
}

static void print(void) {
	static char line[17];
	static unsigned char drawn[8];
	random_get(drawn, sizeof drawn);
	for (int i = 0; i < 8; i++) {
		line[2 * i] = "0123456789abcdef"[drawn[i] >> 4];
		line[2 * i + 1] = "0123456789abcdef"[drawn[i] & 15];
	}
	line[16] = '\n';
	struct bytes v = {line, 17};
	int32_t n;
	fd_write(1, &v, 1, &n);
}

void _start(void) {
	int32_t argc, size;
	if (args_sizes_get(&argc, &size) == 0 && argc > 1)
		print();
	for (int i = 0; i < THREADS; i++)
		start(&threads[i], deposit);
	for (int i = 0; i < THREADS; i++)
		join(&threads[i]);
	if (balance != THREADS)
		proc_exit(1);
}
