// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A plugin without a C library, in all forms of results. Its allocator counts what is not freed.
#define MALLOC EXPORT("malloc")
#define FREE EXPORT("free")
#include "alloc.h"

static u64 text(const char *s, u32 mark)
{
	u32 n = 0;
	while (s[n])
		n++;
	u8 *p = alloc(n);
	copy(p, (const u8 *)s, n);
	return PACK(p, n | mark);
}

static u8 *capitals(const u8 *s, u32 n)
{
	u8 *p = alloc(n);
	for (u32 i = 0; i < n; i++)
		p[i] = s[i] >= 'a' && s[i] <= 'z' ? s[i] - 32 : s[i];
	return p;
}

// upper, packed, with an error for what is empty.
EXPORT("upper") u64 upper(const u8 *s, u32 n)
{
	if (!n)
		return text("nothing to do", errorBit);
	return PACK(capitals(s, n), n);
}

struct string {
	u8 *ptr;
	u32 len;
};

// upper_pointer returns a pointer to its result, upper_area writes it to where the host says.
EXPORT("upper_pointer") struct string *upper_pointer(const u8 *s, u32 n)
{
	struct string *r = alloc(sizeof *r);
	*r = (struct string){capitals(s, n), n};
	return r;
}

EXPORT("upper_area") void upper_area(struct string *r, const u8 *s, u32 n) { *r = (struct string){capitals(s, n), n}; }

EXPORT("sum") i64 sum(const i32 *p, u32 n)
{
	i64 total = 0;
	while (n--)
		total += *p++;
	return total;
}

struct point {
	double x, y;
	struct string label;
};

EXPORT("scale") u64 scale(double x, double y, const u8 *label, u32 n, float by)
{
	struct point *p = alloc(sizeof *p);
	u8 *s = alloc(n + 1);
	copy(s, label, n);
	s[n] = '!';
	*p = (struct point){x * by, y * by, {s, n + 1}};
	return PACK(p, sizeof *p);
}

EXPORT("check") u64 check(u32 ok) { return ok ? 0 : text("not ok", errorBit); }

// many takes more values than are passed one by one.
struct many {
	i64 n[16];
	u8 flag;
	struct string s;
};

EXPORT("many") u64 many(const struct many *m)
{
	i64 total = m->flag;
	for (u32 i = 0; i < 16; i++)
		total += m->n[i];
	struct point *p = alloc(sizeof *p);
	*p = (struct point){(double)total, m->s.len, {capitals(m->s.ptr, m->s.len), m->s.len}};
	return PACK(p, sizeof *p);
}

__attribute__((import_module("env"), import_name("lookup"))) u64 lookup(const u8 *key, u32 n);

EXPORT("ask") u64 ask(const u8 *key, u32 n) { return lookup(key, n); }

// hostile returns whatever it is told to.
EXPORT("hostile") u64 hostile(u64 packed) { return packed; }
EXPORT("hostile_pointer") u32 hostile_pointer(u64 packed) { return (u32)packed; }

EXPORT("trap") void trap(const u8 *s, u32 n) { __builtin_trap(); }

EXPORT("spin") void spin(const u8 *s, u32 n)
{
	for (volatile u32 i = 0;; i++)
		;
}
