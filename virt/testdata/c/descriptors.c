// What POSIX says about descriptors and directories, asked through wasi-libc: each call below "w", with what it gave. The
// transcript is the same on Linux.
#include "transcript.h"
#include <poll.h>
#include <sys/select.h>
#include <time.h>

static void size(int fd)
{
	struct stat s;

	if (fstat(fd, &s))
		puts(errno_name(errno));
	else
		printf("  %lld bytes\n", (long long)s.st_size);
}

static void offsets(void)
{
	char b[100];

	puts("# offsets");
	int fd = open("w/f", O_CREAT | O_RDWR | O_TRUNC, 0644);
	SHOW(write(fd, "0123456789", 10));
	SHOW(lseek(fd, -3, SEEK_END));
	SHOW(read(fd, b, 2));
	SHOW(lseek(fd, -100, SEEK_CUR));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(lseek(fd, 5, 99));
	SHOW(lseek(fd, 100, SEEK_SET));
	SHOW(read(fd, b, 2));
	SHOW(write(fd, "x", 1));
	size(fd);
	SHOW(pread(fd, b, sizeof b, 8));
	printf("%d %d %d\n", b[0], b[1], b[2]);
	SHOW(pread(fd, b, 1, -1));
	SHOW(pwrite(fd, "y", 1, -1));
	SHOW(pread(fd, b, 10, 1000));
	SHOW(read(fd, b, 0));
	SHOW(write(fd, b, 0));
	SHOW(ftruncate(fd, 5));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(ftruncate(fd, -1));
	SHOW(ftruncate(fd, 20));
	SHOW(pread(fd, b, 20, 0));
	printf("%.5s %d\n", b, b[6]);
	SHOW(posix_fallocate(fd, 0, 50));
	SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	size(fd);
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	struct iovec out[4] = {{"a", 1}, {NULL, 0}, {"bcd", 3}, {"", 0}};
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(writev(fd, out, 4));
	SHOW(writev(fd, out, 0));
	SHOW(writev(fd, out, -1));
	struct iovec in[2] = {{b, 2}, {b + 2, 8}};
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(readv(fd, in, 2));
	SHOW(readv(fd, in, 2));
	SHOW(close(fd));
}

static void modes(void)
{
	char b[8];

	puts("# appending");
	int one = open("w/log", O_CREAT | O_WRONLY | O_APPEND, 0644);
	int two = open("w/log", O_WRONLY | O_APPEND);
	SHOW(write(one, "one", 3));
	SHOW(write(two, "two", 3));
	SHOW(write(one, "3", 1));
	SHOW(lseek(one, 0, SEEK_CUR));
	SHOW((fcntl(one, F_GETFL) & O_APPEND) != 0);
	SHOW(fcntl(one, F_SETFL, 0));
	SHOW(lseek(one, 0, SEEK_SET));
	SHOW(write(one, "S", 1));
	size(one);
	SHOW(fcntl(one, F_SETFL, O_APPEND));
	SHOW(write(one, "E", 1));
	size(one);
	int cut = open("w/log", O_WRONLY | O_TRUNC);
	size(one);
	SHOW(write(two, "z", 1));
	size(cut);

	puts("# reading and writing");
	int ro = open("w/log", O_RDONLY), wo = open("w/log", O_WRONLY);
	SHOW(write(ro, "x", 1));
	SHOW(pwrite(ro, "x", 1, 0));
	SHOW(ftruncate(ro, 0) == -1);
	SHOW(read(wo, b, 1));
	SHOW(pread(wo, b, 1, 0));
	OPEN(open("w/log", O_CREAT | O_EXCL | O_RDWR, 0644));
	int dir = open("w", O_RDONLY | O_DIRECTORY);
	SHOW(read(dir, b, 1));
	SHOW(pread(dir, b, 1, 0));
	SHOW(fsync(dir));
	SHOW(isatty(ro));
	SHOW(isatty(dir));
	SHOW(read(-1, b, 1));
	SHOW(close(1000000));

	puts("# waiting");
	struct pollfd p[2] = {{ro, POLLIN | POLLOUT, 0}, {wo, POLLOUT, 0}};
	SHOW(poll(p, 2, 0));
	fd_set r, w;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(ro, &r);
	FD_SET(wo, &w);
	struct timeval none = {0, 0};
	SHOW(select((ro > wo ? ro : wo) + 1, &r, &w, NULL, &none));
	SHOW(FD_ISSET(ro, &r) && FD_ISSET(wo, &w));
}

static void times(void)
{
	struct stat s;
	struct timespec t[2] = {{1000, 5000}, {2000, 123456000}};

	puts("# times");
	int fd = open("w/times", O_CREAT | O_RDWR, 0644);
	SHOW(futimens(fd, t));
	fstat(fd, &s);
	printf("%lld.%09ld %lld.%09ld\n", (long long)s.st_atim.tv_sec, s.st_atim.tv_nsec, (long long)s.st_mtim.tv_sec,
	       s.st_mtim.tv_nsec);
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_sec = 3000;
	SHOW(utimensat(AT_FDCWD, "w/times", t, 0));
	stat("w/times", &s);
	printf("%lld %lld\n", (long long)s.st_atim.tv_sec, (long long)s.st_mtim.tv_sec);
	SHOW(utimensat(AT_FDCWD, "w/none", NULL, 0));
	SHOW(symlink("times", "w/link"));
	struct timespec u[2] = {{5, 0}, {6, 0}};
	SHOW(utimensat(AT_FDCWD, "w/link", u, AT_SYMLINK_NOFOLLOW));
	lstat("w/link", &s);
	printf("the link %lld\n", (long long)s.st_mtim.tv_sec);
	stat("w/link", &s);
	printf("the file %lld\n", (long long)s.st_mtim.tv_sec);
}

enum { FILES = 700 };

static void listing(void)
{
	static char names[FILES + 2][64];
	static long places[FILES + 2];
	char path[80];
	struct dirent *e;
	int n = 0, files = 0, numbered = 0, differ = 0;

	puts("# listing");
	SHOW(mkdir("w/d", 0777));
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof path, "w/d/%03d-%.*s", i, i % 26, "abcdefghijklmnopqrstuvwxyz");
		close(open(path, O_CREAT | O_WRONLY, 0644));
	}
	DIR *d = opendir("w/d");
	for (;;) {
		long place = telldir(d);
		if (!(e = readdir(d)) || n == FILES + 2)
			break;
		places[n] = place;
		strcpy(names[n], e->d_name);
		files += e->d_type == DT_REG;
		numbered += e->d_ino != 0;
		n++;
	}
	printf("%d entries, %d files, %d with an inode number\n", n, files, numbered);
	rewinddir(d);
	for (int i = 0; i < n; i++)
		differ += !(e = readdir(d)) || strcmp(e->d_name, names[i]);
	printf("%d differ after rewinddir\n", differ);
	differ = 0;
	for (int i = n - 1; i >= 0; i -= 7) {
		seekdir(d, places[i]);
		differ += !(e = readdir(d)) || strcmp(e->d_name, names[i]);
	}
	printf("%d differ after seekdir\n", differ);
	rewinddir(d);
	int removed = 0;
	while ((e = readdir(d))) {
		snprintf(path, sizeof path, "w/d/%s", e->d_name);
		removed += e->d_name[0] != '.' && unlink(path) == 0;
	}
	printf("%d removed while they were listed\n", removed);
	SHOW(closedir(d));
	SHOW(rmdir("w/d"));
	SHOW(opendir("w/f") ? 0 : -1);
	SHOW(opendir("w/none") ? 0 : -1);
}

int main(void)
{
	mkdir("w", 0777);
	offsets();
	modes();
	times();
	listing();
}
