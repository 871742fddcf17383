/* The binary interface of plugs: modules that answer WASI functions of a guest. See plugs.md.
 *
 * A plug exports functions of WASI preview1:
 *
 *	PLUG(fd_write)(uint32_t fd, guest_ptr iovs, uint32_t n, guest_ptr nwritten) { ... }
 */
#ifndef WASIVIRT_PLUG_H
#define WASIVIRT_PLUG_H

#include <stdint.h>

/* An address in the memory of the guest. A plug cannot use it itself. */
typedef uint32_t guest_ptr;

/* Answers the function of this name. The result is an errno, 0 for success. */
#define PLUG(name) __attribute__((export_name(#name))) uint32_t plug_##name

/* Imports the function of this name, as the layer below answers it, with pointers into the guest's memory. Only during a call that the plug
 * answers; otherwise it is ENOTCAPABLE. */
#define NEXT(name) __attribute__((import_module("wasivirt_next"), import_name(#name))) uint32_t next_##name

/* Imports the function of this name, as the layer below answers it, with pointers into the plug's own memory. */
#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) uint32_t wasi_##name

#define BRIDGE(name) __attribute__((import_module("wasivirt_plug"), import_name(#name))) uint32_t guest_##name

/* Copies len bytes of the guest to the plug. EFAULT where the bytes do not lie in one of the two memories; nothing is copied then. As all
 * bridge functions it works during a call that the plug answers, and is ENOTCAPABLE otherwise. */
BRIDGE(read)(guest_ptr from, uint32_t len, void *to);

/* Copies len bytes of the plug to the guest. */
BRIDGE(write)(guest_ptr to, const void *from, uint32_t len);

/* The number of bytes before the first NUL at s, or UINT32_MAX where the first max bytes, or the guest's memory, have none. */
BRIDGE(strlen)(guest_ptr s, uint32_t max);

/* The size of the guest's memory in pages of 64 KiB. */
BRIDGE(pages)(void);

#endif
