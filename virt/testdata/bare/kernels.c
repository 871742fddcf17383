// build: -fno-builtin -Wl,--no-entry,-z,stack-size=8192

// Programs whose run time is measured: each export takes a size and answers a number that depends on all it has done.

typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(#name))) name

// An empty loop, which the compiler must leave.
u64 EXPORT(empty)(u32 n) {
	u32 i = 0;
	do
		__asm__ volatile("" : "+r"(i));
	while (++i < n);
	return i;
}

u64 EXPORT(muladd)(u32 n) {
	u64 sum = 0;
	for (u32 i = 0; i < n; i++)
		sum = sum * 6364136223846793005ull + i;
	return sum;
}

static unsigned char composite[1 << 20];

u64 EXPORT(sieve)(u32 n) {
	u32 primes = 0;
	for (u32 i = 0; i < n; i++)
		composite[i] = 0;
	for (u32 i = 2; i < n; i++) {
		if (composite[i])
			continue;
		primes++;
		for (u64 k = (u64)i * i; k < n; k += i)
			composite[k] = 1;
	}
	return primes;
}

u64 EXPORT(fib)(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

// What follows is a small program of the usual kind: it sorts, counts words in a hash table, and computes a checksum.

static u32 numbers[1 << 14], crc_table[256];
static struct { u32 key, count; } counts[1 << 12];

static void sift(u32 *a, u32 root, u32 n) {
	for (u32 child; (child = 2 * root + 1) < n; root = child) {
		if (child + 1 < n && a[child] < a[child + 1])
			child++;
		if (a[root] >= a[child])
			return;
		u32 swap = a[root];
		a[root] = a[child];
		a[child] = swap;
	}
}

static void heap_sort(u32 *a, u32 n) {
	for (u32 i = n / 2; i-- > 0;)
		sift(a, i, n);
	while (n > 1) {
		u32 swap = a[--n];
		a[n] = a[0];
		a[0] = swap;
		sift(a, 0, n);
	}
}

static u32 count(u32 key) {
	u32 at = (key * 2654435761u) >> 20;
	while (counts[at].count && counts[at].key != key)
		at = (at + 1) % (1 << 12);
	counts[at].key = key;
	return ++counts[at].count;
}

static u32 crc(const unsigned char *p, u32 n) {
	u32 c = ~0u;
	while (n--)
		c = crc_table[(c ^ *p++) & 255] ^ (c >> 8);
	return ~c;
}

u64 EXPORT(work)(u32 n) {
	u64 state = n, sum = 0;
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320 ^ (c >> 1) : c >> 1;
		crc_table[i] = c;
	}
	for (u32 i = 0; i < n; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		numbers[i] = state >> 33;
	}
	heap_sort(numbers, n);
	for (u32 i = 0; i < 1 << 12; i++)
		counts[i].count = 0;
	for (u32 i = 0; i < n; i++)
		sum += count(numbers[i] % 2000);
	return sum << 32 | crc((const unsigned char *)numbers, n * sizeof numbers[0]);
}

// What follows does little else than call: an interpreter of expression trees, whose operators are functions in a table, over
// trees that are built and balanced by recursion.

struct node {
	u32 op, value;
	struct node *left, *right;
};

static struct node nodes[1 << 12];
static u32 used, seed;

static u32 draw(void) { return seed = seed * 1664525 + 1013904223; }

static u32 evaluate(const struct node *n);
static u32 leaf(const struct node *n) { return n->value; }
static u32 add(const struct node *n) { return evaluate(n->left) + evaluate(n->right); }
static u32 mul(const struct node *n) { return evaluate(n->left) * evaluate(n->right); }
static u32 choose(const struct node *n) { return evaluate(n->left) & 1 ? evaluate(n->right) : n->value; }
static u32 negate(const struct node *n) { return -evaluate(n->left); }

static u32 (*const operators[])(const struct node *) = {leaf, add, mul, choose, negate};

static u32 evaluate(const struct node *n) { return operators[n->op](n); }

__attribute__((noinline)) static struct node *make(u32 op, struct node *left, struct node *right) {
	struct node *n = &nodes[used++ % (1 << 12)];
	n->op = op;
	n->value = draw() >> 8;
	n->left = left;
	n->right = right;
	return n;
}

static struct node *build(u32 depth) {
	if (depth == 0)
		return make(0, 0, 0);
	u32 op = 1 + (draw() >> 16) % 4;
	struct node *left = build(depth - 1);
	return make(op, left, op == 4 ? 0 : build(depth - 1));
}

u64 EXPORT(calls)(u32 n) {
	u64 sum = 0;
	seed = n;
	for (u32 i = 0; i < n; i++) {
		used = 0;
		struct node *root = build(9);
		for (u32 k = 0; k < 20; k++)
			sum = sum * 31 + evaluate(root);
	}
	return sum;
}
