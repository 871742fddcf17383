// build: -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192
// A plugin by the canonical ABI: its parameters are its own, and it frees its results when the host has read them.
#define MALLOC static
#define FREE static
#include "alloc.h"

EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 oldSize, u32 align, u32 size)
{
	if (old || oldSize || align > 16)
		__builtin_trap();
	return alloc(size);
}

struct string {
	u8 *ptr;
	u32 len;
};

EXPORT("upper") struct string *upper(u8 *text, u32 n)
{
	struct string *r = alloc(sizeof *r);
	if (n && text[0] == '!')
		__builtin_trap();
	r->ptr = alloc(n ? n : 1);
	r->len = n;
	for (u32 i = 0; i < n; i++)
		r->ptr[i] = text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i];
	dealloc(text);
	return r;
}

EXPORT("cabi_post_upper") void upper_post(struct string *r)
{
	dealloc(r->ptr);
	dealloc(r);
}
