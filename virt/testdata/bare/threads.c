// build: -matomics -mbulk-memory -Wl,--no-entry,--import-memory,--shared-memory,--max-memory=67108864,-z,stack-size=8192

// Threads without a C library: a mutex, a condition variable, a barrier and a queue made of atomic operations, and what
// can go wrong in a thread. Each export is called by the host.

#define N 8
#define EXPORT(name) __attribute__((export_name(#name))) name

typedef unsigned int u32;
typedef unsigned long long u64;

__attribute__((import_module("wasi"), import_name("thread-spawn"))) int thread_spawn(void *arg);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) void proc_exit(u32 code);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield"))) int sched_yield(void);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("poll_oneoff"))) int poll_oneoff(void *, void *, u32, u32 *);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_read"))) int fd_read(u32, void *, u32, u32 *);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_accept"))) int sock_accept(u32, u32, u32 *);

static int wait(u32 *at, u32 while_it_is, long long ns) { return __builtin_wasm_memory_atomic_wait32((int *)at, while_it_is, ns); }
static u32 wake(u32 *at, u32 most) { return __builtin_wasm_memory_atomic_notify((int *)at, most); }
static u32 load(u32 *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static void store(u32 *p, u32 v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }

// A thread is one job: its stack, which wasi_thread_start below sets, and what it does.
typedef struct job {
	void *stack;
	void (*run)(struct job *);
	u32 index, n, done;
	u64 result;
	char memory[4096] __attribute__((aligned(16)));
} job;

static job jobs[N];

__attribute__((noinline)) static void begin(job *j) {
	j->run(j);
	store(&j->done, 1);
	wake(&j->done, -1);
}

// Its own frame must be empty: it has no stack yet.
void EXPORT(wasi_thread_start)(int id, job *j) {
	__asm__ volatile(".globaltype __stack_pointer, i32\n"
	                 "local.get %0\n"
	                 "global.set __stack_pointer" ::"r"(j->stack));
	begin(j);
}

// start runs the job on a thread, and answers its id.
static int start(u32 index, u32 n, void (*run)(job *)) {
	job *j = &jobs[index];
	j->stack = j->memory + sizeof j->memory;
	j->run = run;
	j->index = index;
	j->n = n;
	j->result = 0;
	store(&j->done, 0);
	return thread_spawn(j);
}

static u64 join(u32 index) {
	while (!load(&jobs[index].done))
		wait(&jobs[index].done, 0, -1);
	return jobs[index].result;
}

// all runs N jobs to their ends and adds up their results.
static u64 all(u32 n, void (*run)(job *)) {
	u64 sum = 0;
	for (u32 i = 0; i < N; i++)
		if (start(i, n, run) <= 0)
			__builtin_trap();
	for (u32 i = 0; i < N; i++)
		sum += join(i);
	return sum;
}

// A mutex is 0 where it is free, 1 where it is held, 2 where somebody may wait for it.
static void lock(u32 *m) {
	u32 free = 0;
	if (__atomic_compare_exchange_n(m, &free, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(m, 2, __ATOMIC_SEQ_CST) != 0)
		wait(m, 2, -1);
}

static void unlock(u32 *m) {
	if (__atomic_exchange_n(m, 0, __ATOMIC_SEQ_CST) == 2)
		wake(m, 1);
}

// A condition variable counts what has been signalled.
static void await(u32 *condition, u32 *mutex) {
	u32 seen = load(condition);
	unlock(mutex);
	wait(condition, seen, -1);
	lock(mutex);
}

static void broadcast(u32 *condition) {
	__atomic_fetch_add(condition, 1, __ATOMIC_SEQ_CST);
	wake(condition, -1);
}

static u32 mutex, condition, other;

static volatile u64 counter;

static void count(job *j) {
	for (u32 i = 0; i < j->n; i++) {
		lock(&mutex);
		counter = counter + 1;
		unlock(&mutex);
	}
}

// mutex: N threads add 1 to a counter n times each.
u64 EXPORT(with_mutex)(u32 n) {
	counter = 0;
	all(n, count);
	return counter;
}

static u32 turn;

static void take_turns(job *j) {
	for (u32 i = 0; i < j->n; i++) {
		lock(&mutex);
		while (turn % N != j->index)
			await(&condition, &mutex);
		turn++;
		broadcast(&condition);
		unlock(&mutex);
	}
}

// condition: N threads take turns, n times each.
u32 EXPORT(with_condition)(u32 n) {
	turn = 0;
	all(n, take_turns);
	return turn;
}

static u32 arrived, phase;

static void barrier(void) {
	u32 now = load(&phase);
	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) == N) {
		store(&arrived, 0);
		store(&phase, now + 1);
		wake(&phase, -1);
		return;
	}
	while (load(&phase) == now)
		wait(&phase, now, -1);
}

static volatile u32 slots[N];

static void in_step(job *j) {
	for (u32 i = 1; i <= j->n; i++) {
		slots[j->index] = i;
		barrier();
		for (u32 k = 0; k < N; k++)
			j->result += slots[k] == i;
		barrier();
	}
}

// barrier: N threads go through n phases, and each looks where the others are: N * N * n.
u64 EXPORT(with_barrier)(u32 n) { return all(n, in_step); }

static u32 ring[16], head, tail;

static void produce_or_consume(job *j) {
	for (u32 i = 1; i <= j->n; i++) {
		lock(&mutex);
		if (j->index % 2) {
			while (head == tail)
				await(&condition, &mutex);
			j->result += ring[tail++ % 16];
			broadcast(&other);
		} else {
			while (head - tail == 16)
				await(&other, &mutex);
			ring[head++ % 16] = i;
			broadcast(&condition);
		}
		unlock(&mutex);
	}
}

// queue: N/2 threads produce 1 to n, as many consume it: N/2 * n * (n+1) / 2.
u64 EXPORT(with_queue)(u32 n) {
	head = tail = 0;
	return all(n, produce_or_consume);
}

static u32 numbers[1 << 16];

static void add_up(job *j) {
	u32 part = j->n / N;
	for (u32 i = part * j->index; i < part * (j->index + 1); i++)
		j->result += numbers[i];
}

// sum: N threads add up the squares below n, which N divides.
u64 EXPORT(parallel_sum)(u32 n) {
	for (u32 i = 0; i < n; i++)
		numbers[i] = i * i;
	return all(n, add_up);
}

static void nothing(job *j) {}

// churn: n threads one after the other; the id of the last.
int EXPORT(churn)(u32 n) {
	int id = 0;
	for (u32 i = 0; i < n; i++) {
		id = start(0, 0, nothing);
		if (id <= 0)
			return id;
		join(0);
	}
	return id;
}

// grow lets a thread end and then grows the memory, writes to the end of it, and answers how many pages there are.
u32 EXPORT(grow_after_a_thread)(u32 pages) {
	start(0, 0, nothing);
	join(0);
	int old = __builtin_wasm_memory_grow(0, pages);
	if (old < 0)
		return old;
	u32 size = __builtin_wasm_memory_size(0);
	((volatile char *)(size << 16))[-1] = 1;
	return size;
}

static void grow_by_one(job *j) {
	for (u32 i = 0; i < j->n; i++) {
		int old = __builtin_wasm_memory_grow(0, 1);
		if (old < 0)
			return;
		((volatile char *)(old << 16))[65535] = 1;
		j->result++;
	}
}

// grow_together: N threads grow the memory by n pages each, and write to each page.
u64 EXPORT(grow_together)(u32 n) { return all(n, grow_by_one); }

static void spin(job *j) {
	for (volatile u32 i = 0;; i++) {}
}

static u32 never;

static void wait_for_ever(job *j) {
	for (;;)
		wait(&never, 0, -1);
}

static u64 subscription[6], event[4];
static u32 got;

static void sleep_for_ever(job *j) {
	subscription[1] = 0;
	subscription[2] = 1;
	subscription[3] = 1ull << 62;
	for (;;)
		poll_oneoff(subscription, event, 1, &got);
}

static char buffer[16];
static struct { void *at; u32 len; } vector = {buffer, sizeof buffer};

static void read_for_ever(job *j) {
	for (;;)
		fd_read(0, &vector, 1, &got);
}

static void accept_for_ever(job *j) {
	for (;;)
		sock_accept(j->n, 0, &got);
}

static void yield_for_ever(job *j) {
	for (;;)
		sched_yield();
}

__attribute__((noinline)) static u32 fib(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

// As good as for ever, and never deep.
static void recurse_for_ever(job *j) { j->result = fib(90); }

typedef void (*body)(job *);
static const body bodies[] = {nothing, spin, wait_for_ever, sleep_for_ever, read_for_ever, accept_for_ever, yield_for_ever, recurse_for_ever};

// hang does what never ends, on the main thread.
void EXPORT(hang)(u32 how, u32 n) {
	jobs[0].n = n;
	bodies[how](&jobs[0]);
}

// hang_in_threads does it on count further threads and waits for them.
void EXPORT(hang_in_threads)(u32 how, u32 count, u32 n) {
	for (u32 i = 0; i < count; i++)
		start(i, n, bodies[how]);
	for (u32 i = 0; i < count; i++)
		join(i);
}

// leave_threads starts what never ends on further threads, and returns.
int EXPORT(leave_threads)(u32 how, u32 count, u32 n) {
	int id = 0;
	for (u32 i = 0; i < count; i++)
		id = start(i, n, bodies[how]);
	return id;
}

__attribute__((noinline)) static void fail(u32 how) {
	if (how == 0)
		__builtin_trap();
	if (how == 1)
		proc_exit(42);
}

static void fail_in_thread(job *j) { fail(j->n); }

// fail_beside lets the second of three threads fail while the others, and the first, do what never ends.
void EXPORT(fail_beside)(u32 how, u32 meanwhile) {
	start(0, 0, bodies[meanwhile]);
	start(1, how, fail_in_thread);
	start(2, 0, bodies[meanwhile]);
	bodies[meanwhile](&jobs[3]);
}

// deadlock: each of two threads waits for what only the other could do.
void EXPORT(deadlock)(void) {
	start(0, 0, wait_for_ever);
	join(0);
}

// spawn answers what thread-spawn does.
int EXPORT(spawn)(void) { return start(0, 0, nothing); }
