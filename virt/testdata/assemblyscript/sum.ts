// build: --target release --optimizeLevel 3 --runtime stub --use abort= --importMemory --sharedMemory --initialMemory 1 --maximumMemory 16 --enable threads

// A sum on eight threads. Each is an instance of its own on the same memory, so that what they share lies at fixed addresses:
// static data would be written again by every instance.

@external("wasi", "thread-spawn")
declare function spawn(index: i32): i32;

const THREADS: i32 = 8;
const N: usize = 64; // how many numbers there are, i32
const DONE: usize = 68; // how many threads are done, i32
const SUMS: usize = 72; // the sum of each, u64

export function wasi_thread_start(tid: i32, index: i32): void {
  const n = load<i32>(N);
  let sum: u64 = 0;
  for (let i = index; i < n; i += THREADS) {
    sum += <u64>i * <u64>i;
  }
  store<u64>(SUMS + ((<usize>index) << 3), sum);
  atomic.add<i32>(DONE, 1);
  atomic.notify(DONE, -1);
}

// The sum of the squares below n, 0 if a thread cannot be made.
export function parallel_sum(n: i32): u64 {
  store<i32>(N, n);
  atomic.store<i32>(DONE, 0);
  for (let i = 0; i < THREADS; i++) {
    if (spawn(i) < 0) return 0;
  }
  for (let done = atomic.load<i32>(DONE); done < THREADS; done = atomic.load<i32>(DONE)) {
    atomic.wait<i32>(DONE, done, -1);
  }
  let sum: u64 = 0;
  for (let i = 0; i < THREADS; i++) {
    sum += load<u64>(SUMS + ((<usize>i) << 3));
  }
  return sum;
}
