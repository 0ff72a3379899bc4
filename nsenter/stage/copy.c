/*
 * tmpcopyup: a directory's content copied to the tmpfs that is about to hide
 * it. What is copied is hostile: nothing but directories and regular files is
 * opened, after a look at what it is; nothing is followed, neither links nor
 * mounts; and how much it can be is up to the tmpfs's size and the depth.
 */
#include "stage.h"

#define DEPTH_MAX 128
#define SEEK_SET_ 0
#define SEEK_DATA_ 3
#define SEEK_HOLE_ 4
#define XATTR_MAX 65536 /* of a list as well as of a value, xattr(7) */
#define STATX_WANTED (STATX_BASIC_STATS & ~STATX_BLOCKS)

struct dirent {
	u64 ino;
	i64 off;
	unsigned short len;
	u8 type;
	char name[];
};

struct copy {
	struct stage *s;
	char *names, *value; /* of extended attributes; the second also for what a link says */
};

static void copy_data(struct stage *s, int in, int out, i64 size)
{
	i64 at = 0;

	check(s, "ftruncate", sys(ftruncate, out, size));
	/* Holes stay holes: a file of 8 EiB must not keep anybody busy. */
	while (at < size) {
		i64 end;
		long n;

		at = sys(lseek, in, at, SEEK_DATA_);
		if (at == -ENXIO || at >= size)
			return;
		check(s, "lseek", at);
		end = sys(lseek, in, at, SEEK_HOLE_);
		check(s, "lseek", end);
		check(s, "lseek", sys(lseek, out, at, SEEK_SET_));
		n = sys(sendfile, out, in, &at, (end < size ? end : size) - at);
		check(s, "sendfile", n);
		if (n == 0)
			return;
	}
}

static int starts(const char *s, const char *with)
{
	while (*with && *s == *with)
		s++, with++;
	return !*with;
}

/* A security label is the mount's business; an attribute that a tmpfs doesn't know is none that it could lose. */
static void copy_xattrs(struct copy *c, int in, int out)
{
	long left, n = sys(flistxattr, in, c->names, XATTR_MAX);

	if (n == -EOPNOTSUPP)
		return;
	check(c->s, "flistxattr", n);
	for (const char *name = c->names; name < c->names + n; name = next(name)) {
		if (starts(name, "security.") && !str_eq(name, "security.capability"))
			continue;
		left = sys(fgetxattr, in, name, c->value, XATTR_MAX);
		if (left >= 0)
			left = sys(fsetxattr, out, name, c->value, left, 0);
		if (left != -EOPNOTSUPP && left != -ENODATA)
			check(c->s, name, left);
	}
}

static void keep(struct stage *s, int to, const char *name, const struct statx *st, u32 what)
{
	u32 mode = st->stx_mode & 07777;
	i64 times[4] = { st->stx_atime.tv_sec, st->stx_atime.tv_nsec, st->stx_mtime.tv_sec, st->stx_mtime.tv_nsec };

	if (what & COPY_OWNER) {
		long ret = sys(fchownat, to, name, st->stx_uid, st->stx_gid, AT_SYMLINK_NOFOLLOW);

		/* An owner that the user namespace doesn't map: the copy is its root's, and lends nobody that root's rights. */
		if (ret == -EINVAL)
			mode &= 01777;
		else
			check(s, "chown", ret);
	}
	if ((what & COPY_MODE) && (st->stx_mode & S_IFMT_) != S_IFLNK_)
		check(s, "chmod", sys(fchmodat, to, name, mode));
	if (what & COPY_CONTENT)
		check(s, "utimensat", sys(utimensat, to, name, times, AT_SYMLINK_NOFOLLOW));
}

static void copy_directory(struct copy *c, int in, int out, int depth);

static void copy_entry(struct copy *c, int from, int to, const char *name, int depth)
{
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS };
	struct stage *s = c->s;
	struct statx st;
	char *link = c->value;
	long n, fd = sys(openat2, from, name, &how, sizeof(how)), in = -1, out = -1;

	/* Gone meanwhile; or something is mounted there, which isn't the directory's content. */
	if (fd == -ENOENT || fd == -EXDEV)
		return;
	check(s, "open", fd);
	check(s, "statx", sys(statx, fd, "", AT_EMPTY_PATH, STATX_WANTED, &st));
	switch (st.stx_mode & S_IFMT_) {
	case S_IFDIR_:
		in = sys(openat, fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		check(s, "open", in);
		check(s, "mkdir", sys(mkdirat, to, name, 0700));
		out = sys(openat, to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		check(s, "open the copy", out);
		copy_directory(c, (int)in, (int)out, depth + 1);
		break;
	case S_IFREG_:
		in = reopen(s, (int)fd, O_RDONLY);
		check(s, "open", in);
		out = sys(openat, to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		check(s, "create the copy", out);
		copy_data(s, (int)in, (int)out, (i64)st.stx_size);
		break;
	case S_IFLNK_:
		n = sys(readlinkat, fd, "", link, XATTR_MAX - 1);
		check(s, "readlink", n);
		link[n] = 0;
		check(s, "symlink", sys(symlinkat, link, to, name));
		break;
	default:
		check(s, "mknod", sys(mknodat, to, name, st.stx_mode, kernel_dev((u64)st.stx_rdev_major << 32 | st.stx_rdev_minor)));
	}
	keep(s, to, name, &st, COPY_MODE | COPY_OWNER | COPY_CONTENT);
	if (in >= 0) {
		/* After chown(2) and the writes, which take away file capabilities. */
		copy_xattrs(c, (int)in, (int)out);
		sys(close, in);
		sys(close, out);
	}
	sys(close, fd);
}

static void copy_directory(struct copy *c, int in, int out, int depth)
{
	struct stage *s = c->s;
	size_t above = str_len(s->detail);
	char buf[2048];
	long n;

	if (depth > DEPTH_MAX)
		fail(s, "copy directories nested this deep", -ELOOP);
	while ((n = sys(getdents64, in, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n;) {
			const struct dirent *d = (const void *)(buf + at);

			at += d->len;
			if (str_eq(d->name, ".") || str_eq(d->name, ".."))
				continue;
			/* Should it fail, the report says where. */
			str_add(s->detail, sizeof(s->detail), "/");
			str_add(s->detail, sizeof(s->detail), d->name);
			copy_entry(c, in, out, d->name, depth);
			s->detail[above] = 0;
		}
	check(s, "read the directory", n);
}

void copy_up(struct stage *s, int from, int mnt, u32 what)
{
	struct copy c = { .s = s };
	struct statx st;
	long in, out;

	check(s, "statx", sys(statx, from, "", AT_EMPTY_PATH, STATX_WANTED, &st));
	if (what & COPY_CONTENT) {
		c.names = map_memory(s, 2 * XATTR_MAX);
		c.value = c.names + XATTR_MAX;
		in = sys(openat, from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		check(s, "open the directory", in);
		out = sys(openat, mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		check(s, "open the tmpfs", out);
		copy_directory(&c, (int)in, (int)out, 0);
		copy_xattrs(&c, (int)in, (int)out);
		sys(close, in);
		sys(close, out);
	}
	keep(s, mnt, ".", &st, what);
}
