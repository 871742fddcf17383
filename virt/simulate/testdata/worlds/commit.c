// build: -mbulk-memory -Wl,--export=_start
// Two-phase commit with presumed abort: the coordinator c asks p and q to prepare, decides, and tells them. A participant that does
// not hear of the decision asks for it. The planted bug answers "abort" while the coordinator still loads its decisions: it takes a
// participant that misses the decision, and a start of the coordinator just before it asks.
#include "node.h"

enum { most = 512, loading = 6 };

static uint8_t decided[most]; // 'c' where the coordinator has committed

static char tell(char to, char what, uint32_t n) {
	char line[32];
	line[0] = what;
	line[1] = ' ';
	put_text(put_number(line + 2, n), "\n");
	return ask(to, line, 20);
}

static void coordinate(void) {
	char line[64];
	uint64_t ready = now() + loading; // so long does it take to read the decisions
	int loaded = 0;
	for (;;) {
		uint32_t fd = request(line, sizeof line, 5);
		if (!loaded && now() >= ready) {
			load("data/decided", decided, sizeof decided);
			loaded = 1;
		}
		if (!fd)
			continue;
		const char *rest = line + 2;
		uint32_t n = number(&rest) % most;
		if (line[0] == 'a') { // a participant asks
#ifdef FIXED
			reply(fd, !loaded ? "later\n" : decided[n] == 'c' ? "commit\n" : "abort\n");
#else
			reply(fd, decided[n] == 'c' ? "commit\n" : "abort\n");
#endif
			continue;
		}
		if (!loaded) {
			reply(fd, "later\n");
			continue;
		}
		char p = tell('p', 'r', n), q = tell('q', 'r', n);
		int yes = p == 'y' && q == 'y';
		if (yes) {
			decided[n] = 'c';
			if (!replace("data/decided", "data/decided.new", decided, sizeof decided))
				return;
			nap(1);
		}
		tell('p', yes ? 'c' : 'b', n);
		tell('q', yes ? 'c' : 'b', n);
		reply(fd, yes ? "commit\n" : "abort\n");
	}
}

static struct {
	uint32_t prepared; // a transaction, 0 for none
	uint8_t did[most]; // 'c' or 'a'
} disk;

static int end(uint8_t how) {
	disk.did[disk.prepared] = how;
	disk.prepared = 0;
	return replace("data/disk", "data/disk.new", &disk, sizeof disk);
}

static void participate(void) {
	char line[64];
	load("data/disk", &disk, sizeof disk);
	uint64_t patience = now() + 20;
	for (;;) {
		uint32_t fd = request(line, sizeof line, 10);
		if (disk.prepared && now() >= patience) {
			say_number("does not know how to end ", disk.prepared);
			char how = tell('c', 'a', disk.prepared);
			if ((how == 'c' || how == 'a') && !end((uint8_t)how))
				return;
			patience = now() + 40;
		}
		if (!fd)
			continue;
		const char *rest = line + 2;
		uint32_t n = number(&rest) % most;
		if (line[0] == 'r') { // prepare
			int yes = !disk.prepared;
			if (yes) {
				disk.prepared = n;
				yes = replace("data/disk", "data/disk.new", &disk, sizeof disk);
				patience = now() + 20;
			}
			reply(fd, yes ? "yes\n" : "no\n");
			continue;
		}
		if (disk.prepared == n && !end(line[0] == 'c' ? 'c' : 'a'))
			return;
		reply(fd, "ok\n");
	}
}

void _start(void) {
	if (name() == 'c')
		coordinate();
	else
		participate();
}
