// The functions by which a guest starts other guests: what package spawn answers. Every result is an errno of preview1, 0 for success.
#ifndef WASIVIRT_SPAWN_H
#define WASIVIRT_SPAWN_H

#include <stdint.h>

#define WASIVIRT_SPAWN(name) __attribute__((import_module("wasivirt_spawn"), import_name(#name)))

struct spawn_string {
	const char *text;
	uint32_t length;
};

struct spawn_descriptor {
	uint32_t child, parent;
};

struct spawn_request {
	int32_t program;            // a descriptor that can be read, or -1 for a name
	struct spawn_string name;   // of a program that the embedder registered
	const struct spawn_string *arguments; // the program's name first
	uint32_t argument_count;
	const struct spawn_string *environment; // "K=V" each
	uint32_t environment_count;
	struct spawn_string directory; // what the child finds in PWD, or empty
	const struct spawn_descriptor *descriptors;
	uint32_t descriptor_count;
};

enum spawn_how { SPAWN_EXITED, SPAWN_SIGNALED, SPAWN_TRAPPED, SPAWN_EXHAUSTED, SPAWN_OTHER };

struct spawn_status {
	uint32_t pid;
	uint32_t how;  // enum spawn_how
	uint32_t code; // the exit code, or the signal
};

#define SPAWN_NO_HANG 1

WASIVIRT_SPAWN(spawn) uint32_t spawn(const struct spawn_request *request, uint32_t *pid);
WASIVIRT_SPAWN(wait) uint32_t spawn_wait(uint32_t pid, uint32_t flags, struct spawn_status *status);
WASIVIRT_SPAWN(kill) uint32_t spawn_kill(uint32_t pid, uint32_t signal);
WASIVIRT_SPAWN(pipe) uint32_t spawn_pipe(uint32_t fds[2]);

#endif
