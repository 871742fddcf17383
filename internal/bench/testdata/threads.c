// build: -matomics -mbulk-memory -Wl,--no-entry,--import-memory,--shared-memory,--max-memory=1048576,-z,stack-size=8192

// One thread, or two at once, that work on files, each in a directory of its own: "1" and "2".

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(#name))) name
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name

struct iovec {
	void *buf;
	u32 len;
};

WASI(fd_close)(u32 fd);
WASI(fd_pread)(u32 fd, struct iovec *iovs, u32 n, u64 offset, u32 *nread);
WASI(fd_pwrite)(u32 fd, struct iovec *iovs, u32 n, u64 offset, u32 *nwritten);
WASI(path_open)(u32 fd, u32 dirflags, const char *path, u32 len, u32 oflags, u64 base, u64 inheriting, u32 flags, u32 *opened);
WASI(path_unlink_file)(u32 fd, const char *path, u32 len);

__attribute__((import_module("wasi"), import_name("thread-spawn"))) int thread_spawn(void *arg);

enum { COMPUTE, READ, OPEN_READ_CLOSE, WRITE, CREATE_WRITE_CLOSE_UNLINK };

// What a thread works with, apart from the other's: threads that the guest starts have no stack of their own.
static struct job {
	char there[6], fresh[5];
	struct iovec iov;
	u32 work, times, fd, n, errno, sum;
	int done;
} __attribute__((aligned(128))) jobs[2] = {{"1/file", "1/new"}, {"2/file", "2/new"}};

static u8 bufs[2][4096];

static u32 open(struct job *j, const char *path, u32 len, u32 oflags) {
	return path_open(3, 0, path, len, oflags, 1 << 1 | 1 << 2 | 1 << 6, 0, 0, &j->fd);
}

static void work(struct job *j) {
	u32 kept = j->work == READ || j->work == WRITE;
	if (kept)
		j->errno |= open(j, j->there, sizeof j->there, 0);
	for (u32 i = 0; i < j->times; i++)
		switch (j->work) {
		case COMPUTE:
			for (u32 k = 0; k < 1000; k++)
				j->sum = *(volatile u32 *)&j->sum * 1664525 + 1013904223;
			break;
		case OPEN_READ_CLOSE:
			j->errno |= open(j, j->there, sizeof j->there, 0);
			// fall through
		case READ:
			j->errno |= fd_pread(j->fd, &j->iov, 1, 0, &j->n);
			if (!kept)
				j->errno |= fd_close(j->fd);
			break;
		case CREATE_WRITE_CLOSE_UNLINK:
			j->errno |= open(j, j->fresh, sizeof j->fresh, 1);
			// fall through
		case WRITE:
			j->errno |= fd_pwrite(j->fd, &j->iov, 1, 0, &j->n);
			if (!kept)
				j->errno |= fd_close(j->fd) | path_unlink_file(3, j->fresh, sizeof j->fresh);
			break;
		}
	if (kept)
		j->errno |= fd_close(j->fd);
}

void EXPORT(wasi_thread_start)(int id, void *arg) {
	struct job *j = arg;
	work(j);
	__atomic_store_n(&j->done, 1, __ATOMIC_SEQ_CST);
	__builtin_wasm_memory_atomic_notify(&j->done, -1);
}

// run does some work so many times in each of its threads, and answers 0, or what a call answered.
u32 EXPORT(run)(u32 threads, u32 kind, u32 times) {
	for (u32 i = 0; i < threads; i++) {
		struct job *j = &jobs[i];
		j->iov = (struct iovec){bufs[i], sizeof bufs[i]};
		j->work = kind;
		j->times = times;
		j->errno = j->done = 0;
	}
	if (threads > 1 && thread_spawn(&jobs[1]) < 0)
		return 6; // EAGAIN
	work(&jobs[0]);
	while (threads > 1 && !__atomic_load_n(&jobs[1].done, __ATOMIC_SEQ_CST))
		__builtin_wasm_memory_atomic_wait32(&jobs[1].done, 0, -1);
	return jobs[0].errno | jobs[1].errno;
}
