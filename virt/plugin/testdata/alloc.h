// Types and an allocator that counts what is not freed, for plugins without a C library. MALLOC and FREE are attributes of the allocator's
// functions.
typedef unsigned char u8;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(name)))
#define PACK(p, n) ((u64)(u32)(p) << 32 | (u32)(n))

enum { errorBit = 1u << 31 };

// A block has a header of 16 bytes: its size, and the next free block of that size class.
struct block {
	u32 class;
	struct block *next;
	u64 unused;
};

extern u8 __heap_base;
static u32 at, live;
static struct block *freed[32];

MALLOC void *alloc(u32 n)
{
	u32 class = 4;
	while (class < 31 && (1u << class) < n)
		class++;
	struct block *b = freed[class];
	if (b) {
		freed[class] = b->next;
	} else {
		if (!at)
			at = ((u32)&__heap_base + 15) & ~15u;
		u32 size = 16 + (1u << class), end = at + size;
		u32 pages = (end + 65535) >> 16, now = __builtin_wasm_memory_size(0);
		if (class == 31 || end < at || (pages > now && __builtin_wasm_memory_grow(0, pages - now) == (u32)-1))
			return 0;
		b = (struct block *)at;
		at = end;
		b->class = class;
	}
	live++;
	return b + 1;
}

FREE void dealloc(void *p)
{
	struct block *b = (struct block *)p - 1;
	live--;
	b->next = freed[b->class];
	freed[b->class] = b;
}

EXPORT("live") u32 alive(void) { return live; }

static void copy(u8 *to, const u8 *from, u32 n)
{
	while (n--)
		*to++ = *from++;
}
