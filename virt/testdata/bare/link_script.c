// build: -Wl,--no-entry -Wl,--strip-debug -Wl,-z,stack-size=4096 -Wl,--import-memory -Wl,--global-base=131072
// A module without a memory of its own, which it imports, with the functions, from the library env.
typedef unsigned int u32;

#define ENGINE(name) __attribute__((import_module("env"), import_name(#name))) u32 name
#define EXPORT(name) __attribute__((export_name(#name), noinline)) name

ENGINE(shout)(const char *s, u32 n);
ENGINE(count)(void);
ENGINE(arguments)(void);
ENGINE(boom)(void);
ENGINE(spin)(void);

u32 EXPORT(greet)(void) { return shout("hello, engine\n", 14); }
u32 EXPORT(counted)(void) { return count(); }
u32 EXPORT(argc)(void) { return arguments(); }
u32 EXPORT(trap)(void) { return boom(); }
u32 EXPORT(loop)(void) { return spin(); }
