// What POSIX says about names, asked through wasi-libc: each call below "w", with what it gave. The transcript is the same
// on Linux.
#include "transcript.h"

static void making(void)
{
	puts("# making");
	SHOW(mkdir("w", 0777));
	SHOW(make("w/f"));
	SHOW(make("w/f"));
	SHOW(mkdir("w/d", 0777));
	SHOW(mkdir("w/d/e", 0777));
	SHOW(make("w/d/x"));
	SHOW(mkdir("w/f/g", 0777));
	SHOW(mkdir("w/none/g", 0777));
	SHOW(mkdir("w/slash/", 0777));
	SHOW(mkdir("w/slash", 0777));
	SHOW(mkdir("w/.", 0777));
}

static void opening(void)
{
	puts("# opening");
	OPEN(open("w/f/", O_RDONLY));
	OPEN(open("w/new/", O_CREAT | O_WRONLY, 0644));
	OPEN(open("w/d", O_RDONLY));
	OPEN(open("w/d", O_WRONLY));
	OPEN(open("w/d", O_RDWR));
	OPEN(open("w/d", O_CREAT | O_WRONLY, 0644));
	OPEN(open("w/f", O_RDONLY | O_DIRECTORY));
	OPEN(open("w/f/x", O_RDONLY));
	OPEN(open("w/none", O_RDONLY));
	OPEN(open("w/d/.", O_RDONLY));
	OPEN(open("w/d/e/..", O_RDONLY));
	OPEN(open("w/d/e/../x", O_RDONLY));
	OPEN(open("w/f/../f", O_RDONLY));
	OPEN(open("w//d///x", O_RDONLY));
	SHOW(access("w/d", R_OK | W_OK | X_OK));
	SHOW(access("w/none", F_OK));
}

static void removing(void)
{
	puts("# removing");
	SHOW(unlink("w/none"));
	SHOW(unlink("w/f/"));
	SHOW(unlink("w/f/x"));
	SHOW(unlink("w/d") == -1);
	SHOW(rmdir("w/f"));
	SHOW(rmdir("w/d"));
	SHOW(rmdir("w/none"));
	SHOW(rmdir("w/d/e/."));
	SHOW(rmdir("w/d/e/.."));
	SHOW(rmdir("w/slash/"));
	SHOW(unlinkat(AT_FDCWD, "w/f", AT_REMOVEDIR));
}

static void linking(void)
{
	char b[64];

	puts("# symbolic links");
	SHOW(symlink("f", "w/lf"));
	SHOW(symlink("d", "w/ld"));
	SHOW(symlink("gone", "w/dangling"));
	SHOW(symlink("loop2", "w/loop1"));
	SHOW(symlink("loop1", "w/loop2"));
	SHOW(symlink("x", "w/f"));
	SHOW(symlink("", "w/empty"));
	SHOW(symlink("x", "w/none/"));
	SHOW(readlink("w/lf", b, sizeof b));
	SHOW(readlink("w/dangling", b, 2));
	SHOW(readlink("w/f", b, sizeof b));
	SHOW(readlink("w/d", b, sizeof b));
	SHOW(readlink("w/none", b, sizeof b));
	SHOW(readlink("w/lf/", b, sizeof b));
	SHOW(readlink("w/ld/", b, sizeof b));
	OPEN(open("w/loop1", O_RDONLY));
	OPEN(open("w/lf", O_RDONLY | O_NOFOLLOW));
	OPEN(open("w/lf", O_RDONLY));
	OPEN(open("w/ld/x", O_RDONLY));
	OPEN(open("w/ld", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
	OPEN(open("w/ld", O_RDONLY | O_DIRECTORY));
	OPEN(open("w/dangling", O_RDONLY));
	OPEN(open("w/dangling", O_CREAT | O_EXCL | O_WRONLY, 0644));
	OPEN(open("w/dangling", O_CREAT | O_WRONLY, 0644));
	is("w/gone");
	SHOW(unlink("w/gone"));
	SHOW(mkdir("w/dangling", 0777));
	SHOW(access("w/dangling", F_OK));
	SHOW(rmdir("w/ld"));
	SHOW(rmdir("w/ld/"));
	SHOW(unlink("w/ld/"));

	puts("# hard links");
	SHOW(link("w/f", "w/h"));
	SHOW(link("w/f", "w/h"));
	SHOW(link("w/d", "w/hd"));
	SHOW(link("w/none", "w/q"));
	SHOW(link("w/f", "w/f/x"));
	SHOW(link("w/lf", "w/hl"));
	SHOW(link("w/dangling", "w/hdangling"));
	SHOW(link("w/f", "w/d"));
	SHOW(link("w/f", "w/none/"));
	SHOW(link("w/f/", "w/none"));
	is("w/f");
	is("w/hl");
	is("w/hdangling");
}

static void renaming(void)
{
	puts("# renaming");
	SHOW(make("w/a"));
	SHOW(make("w/bb"));
	SHOW(rename("w/a", "w/bb"));
	is("w/a");
	is("w/bb");
	SHOW(rename("w/f", "w/h"));
	is("w/f");
	is("w/h");
	SHOW(rename("w/f", "w/f"));
	SHOW(rename("w/none", "w/x"));
	SHOW(rename("w/bb", "w/d"));
	SHOW(rename("w/d", "w/bb"));
	SHOW(mkdir("w/empty", 0777));
	SHOW(rename("w/d/e", "w/empty"));
	is("w/d/e");
	is("w/empty");
	SHOW(mkdir("w/d/e", 0777));
	SHOW(rename("w/empty", "w/d"));
	SHOW(rename("w/d", "w/d/e/z"));
	SHOW(rename("w/d", "w/d/e"));
	SHOW(rename("w/d/e", "w/d"));
	SHOW(rename("w/d", "w/d"));
	SHOW(rename("w/bb", "w/none/x"));
	SHOW(rename("w/bb", "w/f/x"));
	SHOW(rename("w/bb", "w/cc/"));
	SHOW(rename("w/bb/", "w/cc"));
	SHOW(rename("w/empty", "w/moved/"));
	SHOW(rename("w/moved/", "w/empty"));
	is("w/empty");
	SHOW(rename("w/lf", "w/lf2"));
	is("w/lf2");
	SHOW(rename("w/ld", "w/empty"));
	SHOW(rename("w/empty", "w/ld"));
	SHOW(rename("w/bb", "w/ld"));
	is("w/ld");
	SHOW(rename("w/.", "w/q"));
	SHOW(rename("w/empty", "w/."));
}

static void lengths(void)
{
	char name[300] = "w/";

	puts("# lengths");
	memset(name + 2, 'n', 255);
	SHOW(mkdir(name, 0777));
	name[257] = 'n';
	SHOW(mkdir(name, 0777));
}

static void open_and_gone(void)
{
	char b[8];
	struct stat s;

	puts("# open and gone");
	int fd = open("w/u", O_CREAT | O_RDWR, 0644);
	SHOW(unlink("w/u"));
	SHOW(write(fd, "abc", 3));
	SHOW(fstat(fd, &s));
	printf("%d links, %d bytes\n", (int)s.st_nlink, (int)s.st_size);
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(read(fd, b, sizeof b));
	SHOW(ftruncate(fd, 10));
	SHOW(close(fd));
	SHOW(close(fd));

	SHOW(mkdir("w/rd", 0777));
	int dir = open("w/rd", O_RDONLY | O_DIRECTORY);
	SHOW(rmdir("w/rd"));
	OPEN(openat(dir, "x", O_CREAT | O_WRONLY, 0644));
	SHOW(mkdirat(dir, "y", 0777));
	SHOW(close(dir));

	SHOW(mkdir("w/mv", 0777));
	dir = open("w/mv", O_RDONLY | O_DIRECTORY);
	SHOW(rename("w/mv", "w/d/mv"));
	SHOW(mkdirat(dir, "inside", 0777));
	is("w/d/mv/inside");
	SHOW(symlinkat("x", dir, "l"));
	SHOW(readlinkat(dir, "l", b, sizeof b));
	SHOW(renameat(dir, "l", dir, "inside/l"));
	SHOW(unlinkat(dir, "inside/l", 0));
	SHOW(unlinkat(dir, "inside", AT_REMOVEDIR));
	SHOW(close(dir));
}

int main(void)
{
	making();
	opening();
	removing();
	linking();
	renaming();
	lengths();
	open_and_gone();
}
