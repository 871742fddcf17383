// build: -mbulk-memory -Wl,--export=_start
// A node appends numbers to a journal, and now and then puts the last one into a file and empties the journal. A start that finds
// this unfinished finishes it. The planted bug forgets there that the file may not be durable: it takes a crash between two steps,
// and a loss of power before the next time.
#include "node.h"

static uint32_t value, length_of_journal, journal[64];

// finish puts the new file in the place of the old one.
static void finish(void) {
	rename_to("data/file.new", "data/file");
	save("data/journal", 0, 0, 0, 1);
	length_of_journal = 0;
}

static void compact(void) {
	save("data/file.new", &value, sizeof value, 0, 0);
	nap(4); // the rest of it
	save("data/file.new", 0, 0, 1, 1);
	finish();
}

static void recover(void) {
	uint32_t fresh;
	load("data/file", &value, sizeof value);
	int n = load("data/journal", journal, sizeof journal);
	length_of_journal = n > 0 ? (uint32_t)n / sizeof value : 0;
	if (length_of_journal > 0)
		value = journal[length_of_journal - 1];
	if (load("data/file.new", &fresh, sizeof fresh) < (int)sizeof fresh || fresh != value)
		return;
	say("finds a file that is not finished\n");
#ifdef FIXED
	save("data/file.new", 0, 0, 1, 1);
#endif
	finish();
}

void _start(void) {
	char line[64];
	recover();
	for (;;) {
		uint32_t fd = request(line, sizeof line, 1000);
		if (!fd)
			continue;
		const char *rest = line + 2;
		if (line[0] == 'w') {
			value = number(&rest);
			if (!save("data/journal", &value, sizeof value, 1, 1)) {
				fd_close(fd);
				return;
			}
			if (++length_of_journal >= 8)
				compact();
		}
		reply_number(fd, value);
	}
}
