// Arguments, environment, standard input, time, randomness, and the ways to end: the first argument chooses.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1) * (n | 1); }

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "args")) {
		for (int i = 0; i < argc; i++)
			puts(argv[i]);
		for (char **e = environ; *e; e++)
			puts(*e);
	} else if (!strcmp(what, "cat")) {
		char buf[1000];
		ssize_t n;
		while ((n = read(0, buf, sizeof buf)) > 0)
			write(1, buf, n);
	} else if (!strcmp(what, "exit")) {
		exit(atoi(argv[2]));
	} else if (!strcmp(what, "abort")) {
		abort();
	} else if (!strcmp(what, "divide")) {
		volatile int hundred = 100, zero = 0; // both, or the compiler finds a way around dividing
		printf("%d\n", hundred / zero);
	} else if (!strcmp(what, "sleep")) {
		struct timespec before, after, pause = {1, 500000000};
		clock_gettime(CLOCK_MONOTONIC, &before);
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &after);
		printf("%lld ms\n", (long long)(after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000);
		time_t now = time(NULL);
		printf("%s", asctime(gmtime(&now)));
	} else if (!strcmp(what, "hour")) {
		struct timespec before, after;
		clock_gettime(CLOCK_MONOTONIC, &before);
		for (int i = 0; i < 500; i++) {
			struct timespec pause = {3, 600000000};
			nanosleep(&pause, NULL);
			clock_gettime(CLOCK_MONOTONIC, &after);
			after.tv_sec += 3;
			after.tv_nsec += 600000000;
			if (after.tv_nsec >= 1000000000) {
				after.tv_nsec -= 1000000000;
				after.tv_sec++;
			}
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &after, NULL);
		}
		clock_gettime(CLOCK_MONOTONIC, &after);
		printf("%ld s %ld ns\n", (long)(after.tv_sec - before.tv_sec), (long)(after.tv_nsec - before.tv_nsec));
	} else if (!strcmp(what, "random")) {
		unsigned char r[8];
		getentropy(r, sizeof r);
		for (int i = 0; i < 8; i++)
			printf("%02x", r[i]);
		puts("");
	} else if (!strcmp(what, "spin")) {
		for (volatile unsigned i = 0;; i++)
			;
	} else if (!strcmp(what, "deep")) {
		printf("%d\n", deep(1 << 28));
	} else {
		fprintf(stderr, "what is %s?\n", what);
		return 2;
	}
	return 0;
}
