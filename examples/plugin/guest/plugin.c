// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// The plugin in C, without a C library. With one, malloc and free are exported from it: -Wl,--export=malloc,--export=free.
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(name)))

// pack is a result: where it lies, and how long it is. Bit 31 of the length marks an error.
#define PACK(ptr, len) ((u64)(u32)(ptr) << 32 | (u32)(len))
enum { error = 1u << 31 };

// The allocator gives memory back when all of it is free, which it is after each call.
extern u8 __heap_base;
static u32 used, blocks;

EXPORT("malloc") void *alloc(u32 size)
{
	u32 start = (u32)&__heap_base + used, end = (start + size + 7) & ~7u;
	u32 pages = (end + 65535) >> 16, now = __builtin_wasm_memory_size(0);
	if (end < start || (pages > now && __builtin_wasm_memory_grow(0, pages - now) == (u32)-1))
		return 0;
	used = end - (u32)&__heap_base;
	blocks++;
	return (void *)start;
}

EXPORT("free") void dealloc(void *ptr)
{
	if (--blocks == 0)
		used = 0;
}

static u64 text(const char *s, u32 mark)
{
	u32 n = 0;
	while (s[n])
		n++;
	u8 *p = alloc(n);
	for (u32 i = 0; i < n; i++)
		p[i] = s[i];
	return PACK(p, n | mark);
}

EXPORT("name") u64 name(void) { return text("C", 0); }

EXPORT("reverse") u64 reverse(const u8 *s, u32 n)
{
	if (n == 0)
		return text("nothing to reverse", error);
	u8 *p = alloc(n);
	for (u32 i = 0; i < n; i++)
		p[i] = s[n - 1 - i];
	return PACK(p, n);
}

struct stats {
	u32 words;
	u8 *longest; // a string is a pointer and a length
	u32 len;
};

EXPORT("stats") u64 stats(const u8 *s, u32 n)
{
	struct stats *r = alloc(sizeof *r);
	u32 longest = 0, at = 0, words = 0;
	for (u32 i = 0; i < n;) {
		u32 begin = i;
		while (i < n && s[i] != ' ')
			i++;
		words += i > begin;
		if (i - begin > longest)
			at = begin, longest = i - begin;
		i++;
	}
	u8 *p = alloc(longest);
	for (u32 i = 0; i < longest; i++)
		p[i] = s[at + i];
	*r = (struct stats){words, p, longest};
	return PACK(r, sizeof *r);
}
