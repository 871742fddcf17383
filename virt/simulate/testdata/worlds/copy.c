// build: -mbulk-memory -Wl,--export=_start
// Two nodes hold eight numbers. The one that is asked to write passes it on to the other, and answers "both" if that one has it too.
// A node that was away gets a copy of all numbers, one after the other. The planted bug says "both" of a number that was passed on
// while the copy is under way: it takes an absence, and the other's crash before the copy ends.
#include "node.h"

enum { numbers = 8, step = 10 };

static struct {
	uint32_t value[numbers];
	uint32_t behind; // the other one lacks something
} disk;

static void keep(void) { replace("data/disk", "data/disk.new", &disk, sizeof disk); }

static char pass_on(char other, uint32_t i) {
	char line[32], *end = put_number(put_text(line, "p "), i);
	*end++ = ' ';
	end = put_number(end, disk.value[i]);
	put_text(end, "\n");
	return ask(other, line, 20);
}

static void take(uint32_t i, uint32_t v) {
	if (i < numbers && v > disk.value[i]) {
		disk.value[i] = v;
		keep();
	}
}

void _start(void) {
	char line[64], other = name() == 'a' ? 'b' : 'a';
	uint32_t copied = numbers; // how far a copy is; numbers if none is under way
	uint64_t next = 0;
	load("data/disk", &disk, sizeof disk);
	for (;;) {
		if (copied < numbers && now() >= next) {
			next = now() + step;
			if (pass_on(other, copied) != 'o')
				copied = numbers;
			else if (++copied == numbers) {
				say("the copy is whole\n");
				disk.behind = 0;
				keep();
			}
		}
		uint32_t fd = request(line, sizeof line, copied < numbers ? step : 1000);
		if (!fd)
			continue;
		const char *rest = line + 2;
		uint32_t i = number(&rest);
		switch (line[0]) {
		case 'p': // of the other one
			take(i, number(&rest));
			reply(fd, "ok\n");
			break;
		case 'w':
			take(i, number(&rest));
			char passed = pass_on(other, i);
			if (passed != 'o')
				copied = numbers;
			if (passed != 'o' && !disk.behind) {
				disk.behind = 1;
				keep();
			}
#ifdef FIXED
			reply(fd, disk.behind ? "one\n" : "both\n");
#else
			reply(fd, disk.behind && copied == numbers ? "one\n" : "both\n");
#endif
			break;
		case 'l': // lead: the other one is away
			disk.behind = 1;
			keep();
			reply(fd, "ok\n");
			break;
		case 'c': // copy
			if (disk.behind && copied == numbers) {
				say("begins to copy\n");
				copied = 0;
			}
			reply(fd, disk.behind ? "one\n" : "both\n");
			break;
		default:
			reply_number(fd, disk.value[i % numbers]);
		}
	}
}
