// What the guests that print a transcript share: a line for each call, with its result or the name of its errno.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *errno_name(int e)
{
	static const struct {
		int e;
		const char *name;
	} names[] = {
#define NAME(e) {e, #e}
		NAME(EPERM),   NAME(ENOENT), NAME(EBADF),	 NAME(EACCES),	  NAME(EBUSY), NAME(EEXIST),
		NAME(ENOTDIR), NAME(EISDIR), NAME(EINVAL),	 NAME(EFBIG),	  NAME(EROFS), NAME(ESPIPE),
		NAME(EMLINK),  NAME(ELOOP),  NAME(ENAMETOOLONG), NAME(ENOTEMPTY), NAME(ENOTTY),
#ifdef ENOTCAPABLE
		NAME(ENOTCAPABLE),
#endif
	};
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].e == e)
			return names[i].name;
	return e ? strerror(e) : "no errno";
}

// SHOW prints the call and what it gave.
#define SHOW(call)                                                               \
	do {                                                                     \
		errno = 0;                                                       \
		long long r_ = (long long)(call);                                \
		if (r_ < 0)                                                      \
			printf("%s: %s\n", #call, errno_name(errno));            \
		else                                                             \
			printf("%s: %lld\n", #call, r_);                         \
	} while (0)

// OPEN is for calls that give a descriptor, whose number does not matter.
#define OPEN(call)                                                               \
	do {                                                                     \
		errno = 0;                                                       \
		int fd_ = (call);                                                \
		printf("%s: %s\n", #call, fd_ < 0 ? errno_name(errno) : "open"); \
		if (fd_ >= 0)                                                    \
			close(fd_);                                              \
	} while (0)

// is prints what stands at a name, itself and not what a link leads to.
static inline void is(const char *path)
{
	struct stat s;

	errno = 0;
	if (lstat(path, &s))
		printf("  %s: %s\n", path, errno_name(errno));
	else if (S_ISDIR(s.st_mode))
		printf("  %s: a directory\n", path);
	else
		printf("  %s: a %s, %d links, %lld bytes\n", path, S_ISLNK(s.st_mode) ? "link" : "file", (int)s.st_nlink,
		       (long long)s.st_size);
}

// make makes a file that holds its own name.
static inline int make(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);

	return fd < 0 ? -1 : (write(fd, path, strlen(path)) < 0) | close(fd);
}
