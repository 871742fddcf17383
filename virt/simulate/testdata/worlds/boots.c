// build: -mbulk-memory -Wl,--export=_start
// A node counts its starts that did not last, to come up with its factory settings after three of them, as phones and routers do.
// The planted bug takes the data back with the settings: it takes four crashes, each but the first soon after a start.
#include "node.h"

static struct {
	uint32_t starts, value;
} disk;

static void keep(void) { replace("data/disk", "data/disk.new", &disk, sizeof disk); }

void _start(void) {
	char line[64];
	load("data/disk", &disk, sizeof disk);
	disk.starts++;
	keep();
	if (disk.starts > 3) {
		say("comes up with its factory settings\n");
#ifndef FIXED
		disk.value = 0;
#endif
		keep();
	}
	uint64_t begun = now();
	for (;;) {
		uint32_t fd = request(line, sizeof line, 10);
		if (disk.starts > 0 && now() - begun >= 30) {
			disk.starts = 0;
			keep();
		}
		if (!fd)
			continue;
		const char *rest = line + 2;
		if (line[0] == 'w') {
			disk.value = number(&rest);
			keep();
		}
		reply_number(fd, disk.value);
	}
}
