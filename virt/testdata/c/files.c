// What a C program does with files through wasi-libc. Prints one line a step; exits 1 at the first that fails.
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHECK(what)                                                            \
	do {                                                                   \
		if (!(what)) {                                                 \
			printf("FAILED %s: %s\n", #what, strerror(errno));     \
			return 1;                                              \
		}                                                              \
	} while (0)

int main(void)
{
	char buf[64];
	struct stat st, st2;

	CHECK(mkdir("/box", 0777) == 0);
	CHECK(mkdir("/box", 0777) == -1 && errno == EEXIST);
	int fd = open("/box/a", O_CREAT | O_EXCL | O_RDWR, 0666);
	CHECK(fd >= 0);
	CHECK(write(fd, "hello, world", 12) == 12);
	CHECK(lseek(fd, 7, SEEK_SET) == 7);
	CHECK(read(fd, buf, sizeof buf) == 5 && memcmp(buf, "world", 5) == 0);
	CHECK(pread(fd, buf, 5, 0) == 5 && memcmp(buf, "hello", 5) == 0);
	struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
	CHECK(pwrite(fd, "HELLO", 5, 0) == 5);
	CHECK(writev(fd, v, 2) == 4);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 16 && S_ISREG(st.st_mode));
	CHECK(ftruncate(fd, 5) == 0 && fsync(fd) == 0);
	puts("read and write");

	CHECK(link("/box/a", "/box/b") == 0);
	CHECK(stat("/box/b", &st2) == 0 && st2.st_ino == st.st_ino && st2.st_nlink == 2);
	CHECK(symlink("a", "/box/l") == 0);
	CHECK(readlink("/box/l", buf, sizeof buf) == 1 && buf[0] == 'a');
	CHECK(lstat("/box/l", &st2) == 0 && S_ISLNK(st2.st_mode));
	CHECK(stat("/box/l", &st2) == 0 && S_ISREG(st2.st_mode));
	puts("links");

	CHECK(rename("/box/a", "/box/c") == 0);
	CHECK(access("/box/a", F_OK) == -1 && errno == ENOENT);
	CHECK(rmdir("/box") == -1 && errno == ENOTEMPTY);
	CHECK(unlink("/box/c") == 0 && unlink("/box/b") == 0);
	CHECK(pread(fd, buf, 5, 0) == 5 && memcmp(buf, "HELLO", 5) == 0);
	CHECK(close(fd) == 0);
	puts("names");

	int append = open("/box/log", O_CREAT | O_WRONLY | O_APPEND, 0666);
	CHECK(append >= 0);
	CHECK(write(append, "one\n", 4) == 4 && lseek(append, 0, SEEK_SET) == 0);
	CHECK(write(append, "two\n", 4) == 4 && close(append) == 0);
	FILE *f = fopen("/box/log", "r");
	CHECK(f && fgets(buf, sizeof buf, f) && strcmp(buf, "one\n") == 0);
	CHECK(fgets(buf, sizeof buf, f) && strcmp(buf, "two\n") == 0);
	CHECK(fclose(f) == 0);
	puts("append");

	for (int i = 0; i < 300; i++) {
		snprintf(buf, sizeof buf, "/box/file%03d", i);
		int each = open(buf, O_CREAT | O_WRONLY, 0666);
		CHECK(each >= 0 && close(each) == 0);
	}
	struct dirent **names;
	int n = scandir("/box", &names, NULL, alphasort);
	CHECK(n == 304);
	CHECK(strcmp(names[0]->d_name, ".") == 0 && strcmp(names[2]->d_name, "file000") == 0);
	for (int i = 0; i < n; i++)
		CHECK(names[i]->d_ino != 0);
	puts("directories");

	CHECK(open("/../etc/passwd", O_RDONLY) == -1);
	CHECK(symlink("/etc/passwd", "/box/out") == -1 || open("/box/out", O_RDONLY) == -1);
	puts("inside");
	CHECK(isatty(0) == 0);
	puts("ok");
	return 0;
}
