// Writes a text, splits it into words, counts and sorts them, and formats a report: what the C library does in real programs. Its
// argument is how many rounds.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
	char *text;
	int count;
};

static struct word *words;
static size_t used, room;

static int compare(const void *a, const void *b) {
	const struct word *x = a, *y = b;
	return x->count != y->count ? y->count - x->count : strcmp(x->text, y->text);
}

static void note(const char *text) {
	for (size_t i = 0; i < used; i++)
		if (strcmp(words[i].text, text) == 0) {
			words[i].count++;
			return;
		}
	if (used == room) {
		room = room ? 2 * room : 16;
		words = realloc(words, room * sizeof *words);
	}
	words[used++] = (struct word){strdup(text), 1};
}

int main(int argc, char **argv) {
	int rounds = argc > 1 ? atoi(argv[1]) : 1;
	unsigned seed = 1, sum = 0;
	for (int round = 0; round < rounds; round++) {
		size_t size = 0, length = 0;
		char *text = 0;
		for (int i = 0; i < 2000; i++) {
			char line[64];
			seed = seed * 1664525 + 1013904223;
			int n = snprintf(line, sizeof line, "Word%u, %.2f; ", (seed >> 16) % 97, (seed >> 8) / 1000.0);
			if (length + n + 1 > size) {
				size = 2 * (length + n + 1);
				text = realloc(text, size);
			}
			memcpy(text + length, line, n + 1);
			length += n;
		}
		for (char *p = text; *p; p++)
			*p = tolower((unsigned char)*p);
		used = 0;
		for (char *p = strtok(text, ",; "); p; p = strtok(NULL, ",; "))
			if (!isdigit((unsigned char)*p))
				note(p);
		qsort(words, used, sizeof *words, compare);
		for (size_t i = 0; i < used; i++) {
			char line[64];
			snprintf(line, sizeof line, "%-10s %5d", words[i].text, words[i].count);
			for (char *p = line; *p; p++)
				sum = sum * 31 + (unsigned char)*p;
			free(words[i].text);
		}
		free(text);
	}
	printf("%x\n", sum);
	return 0;
}
