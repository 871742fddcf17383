// build: -matomics -mbulk-memory -Wl,--no-entry,-z,stack-size=8192,--max-memory=1048576

// One export for each way in which WebAssembly stops a guest, each through a function of its own, so that the stack has a
// name to show.

#define TRAP(name) __attribute__((export_name(#name))) name
#define INNER __attribute__((noinline)) static

typedef int (*none)(void);
typedef int (*one)(int);

INNER void inner_unreachable(void) { __builtin_trap(); }
void TRAP(unreachable)(void) { inner_unreachable(); }

INNER int inner_load(unsigned at) { return *(volatile int *)at; }
int TRAP(out_of_bounds)(void) { return inner_load(0x7fffff00); }

INNER int inner_divide(int a, int b) { return a / b; }
int TRAP(divide_by_zero)(int zero) { return inner_divide(1, zero); }

INNER int inner_remainder(int a, int b) { return a % b; }
int TRAP(remainder_by_zero)(int zero) { return inner_remainder(1, zero); }

int TRAP(integer_overflow)(int zero) { return inner_divide(0x80000000, zero - 1); }

INNER int inner_convert(double d) { return __builtin_wasm_trunc_s_i32_f64(d); }
int TRAP(invalid_conversion)(int zero) { return inner_convert(__builtin_nan("")); }
int TRAP(conversion_overflow)(int zero) { return inner_convert(1e30); }

INNER int same(int n) { return n; }
static one table[] = {same, same};

INNER int inner_call(unsigned f) { return ((none)f)(); }
int TRAP(call_null)(int zero) { return inner_call(zero); }
int TRAP(call_mismatch)(int zero) { return inner_call((unsigned)*(volatile one *)&table[0]); }
int TRAP(call_out_of_table)(int zero) { return inner_call(1000000); }

INNER int inner_atomic(unsigned at) { return __atomic_load_n((int *)at, __ATOMIC_SEQ_CST); }
int TRAP(unaligned_atomic)(int zero) { return inner_atomic(1025); }

INNER unsigned inner_deep(unsigned n) { return n == 0 ? 0 : inner_deep(n + 1) * 3 + n; }
int TRAP(stack_overflow)(void) { return inner_deep(1); }

// What is no trap.
int TRAP(grow)(int pages) { return __builtin_wasm_memory_grow(0, pages); }
int TRAP(fine)(int n) { return n + 1; }
