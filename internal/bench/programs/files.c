// Writes files into directories, walks them, reads and hashes what it finds, and removes all: a program that works with files.
//
//	files [number of files] [directory]
//
// build: -Wl,--strip-all
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char buf[4096];
static uint64_t hash = 14695981039346656037u;
static int found;
static const char *root = "";

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static void make(int n) {
	char name[256];
	for (int i = 0; i < n; i++) {
		if (i % 100 == 0) {
			snprintf(name, sizeof name, "%s/d%d", root, i / 100);
			if (mkdir(name, 0777)) fail(name);
		}
		snprintf(name, sizeof name, "%s/d%d/file%d", root, i / 100, i);
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
		if (fd < 0) fail(name);
		size_t size = 64 + i * 37 % (sizeof buf - 64);
		memset(buf, i, size);
		if (write(fd, buf, size) != (ssize_t)size) fail(name);
		close(fd);
	}
}

static void walk(const char *path) {
	DIR *d = opendir(*path ? path : "/");
	if (!d) fail(path);
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.') continue;
		char name[256];
		snprintf(name, sizeof name, "%s/%s", path, e->d_name);
		struct stat st;
		if (stat(name, &st)) fail(name);
		if (S_ISDIR(st.st_mode)) {
			walk(name);
			continue;
		}
		int fd = open(name, O_RDONLY);
		if (fd < 0) fail(name);
		uint64_t h = 14695981039346656037u;
		for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;)
			for (ssize_t i = 0; i < n; i++) h = (h ^ (uint8_t)buf[i]) * 1099511628211u;
		close(fd);
		hash += h; // the order of names is the file system's
		found++;
	}
	closedir(d);
}

static void clear(int n) {
	char name[256];
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s/d%d/file%d", root, i / 100, i);
		if (unlink(name)) fail(name);
		if (i % 100 == 99 || i == n - 1) {
			snprintf(name, sizeof name, "%s/d%d", root, i / 100);
			if (rmdir(name)) fail(name);
		}
	}
}

int main(int argc, char **argv) {
	int n = argc > 1 ? atoi(argv[1]) : 1000;
	if (argc > 2) root = argv[2];
	make(n);
	walk(root);
	clear(n);
	if (found != n) {
		fprintf(stderr, "%d files of %d\n", found, n);
		return 1;
	}
	printf("%016llx\n", (unsigned long long)hash);
}
