/*
 * Paths of the container. A rootfs is hostile ground: any component may be a
 * symbolic link, and may become one between two look-ups (CVE-2021-30465).
 * So every path is resolved by openat2(2) below the root's descriptor, in one
 * look-up, and used as the descriptor that came out of it.
 */
#include "stage.h"
#include <asm/statfs.h>

#define PATH_MAX_ 4096
#define LINKS_MAX 40 /* as many as the kernel follows, path_resolution(7) */

int root_open(struct stage *s, const char *path, u64 flags, u64 resolve)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd = -EAGAIN;

	/* EAGAIN: a rename or mount happened meanwhile, openat2(2). A racing attacker can cause it for ever; don't let him. */
	for (int i = 0; i < 1000 && fd == -EAGAIN; i++)
		fd = sys(openat2, s->root, path, &how, sizeof(how));
	return (int)fd;
}

/* Puts the next component of *todo into name; 0 at the end, a negative errno where it is too long. */
static int component(const char **todo, char name[256])
{
	const char *p = *todo;
	int n = 0;

	while (*p == '/')
		p++;
	for (; *p && *p != '/'; p++) {
		if (n == 255)
			return -ENAMETOOLONG;
		name[n++] = *p;
	}
	while (*p == '/')
		p++;
	name[n] = 0;
	*todo = p;
	return n;
}

static void drop_last(char *path)
{
	size_t n = str_len(path);

	while (n && path[n - 1] != '/')
		n--;
	path[n ? n - 1 : 0] = 0;
}

enum last { LAST_DIRECTORY, LAST_FILE, LAST_NONE };

struct walk {
	char done[PATH_MAX_]; /* resolved so far: real directories only, no links, no dots */
	char todo[2][PATH_MAX_];
	int which;
	int links;
};

static const char *here(const struct walk *w)
{
	return w->done[0] ? w->done : ".";
}

/* Puts what the link points to in front of the rest of the way. */
static int splice_link(struct walk *w, int link, const char *rest)
{
	char *to = w->todo[!w->which];
	long n;

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	n = sys(readlinkat, link, "", to, PATH_MAX_ - 1);
	if (n < 0)
		return (int)n;
	to[n] = 0;
	if (*to == '/')
		w->done[0] = 0;
	if ((size_t)n + str_len(rest) + 2 > PATH_MAX_)
		return -ENAMETOOLONG;
	str_add(to, PATH_MAX_, "/");
	str_add(to, PATH_MAX_, rest);
	w->which = !w->which;
	return 0;
}

static int make_at(int parent, const char *name, enum last kind, u32 mode)
{
	long ret;

	if (kind != LAST_FILE)
		return (int)sys(mkdirat, parent, name, mode);
	ret = sys(openat, parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (ret < 0)
		return (int)ret;
	sys(close, ret);
	return 0;
}

static int make_one(struct stage *s, const struct walk *w, const char *name, enum last kind, u32 mode)
{
	int parent = root_open(s, here(w), O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS), ret;

	if (parent < 0)
		return parent;
	ret = make_at(parent, name, kind, mode);
	sys(close, parent);
	return ret == -EEXIST ? 0 : ret;
}

/*
 * The usual case, of a path without links whose last component is all that may
 * be missing: opens the directory that holds it. Anything else is an error,
 * and to be walked.
 */
static int plain_parent(struct stage *s, const char *path, char last[256])
{
	char dir[PATH_MAX_];
	size_t n = str_len(path), from;

	dir[0] = last[0] = 0;
	while (n && path[n - 1] == '/')
		n--;
	for (from = n; from && path[from - 1] != '/'; from--)
		;
	if (n - from == 0 || n - from > 255 || n >= PATH_MAX_)
		return -EINVAL;
	str_add(last, n - from + 1, path + from);
	if (str_eq(last, ".") || str_eq(last, ".."))
		return -EINVAL;
	str_add(dir, from + 1, path);
	return root_open(s, from ? dir : ".", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
}

/* Makes the last component of such a path and opens it. */
static int make_plain(struct stage *s, const char *path, enum last kind, u32 mode)
{
	char last[256];
	int parent = plain_parent(s, path, last), ret;

	if (parent < 0)
		return parent;
	ret = make_at(parent, last, kind, mode);
	if (ret >= 0)
		ret = (int)sys(openat, parent, last, O_PATH_CLOEXEC | O_NOFOLLOW | (kind == LAST_DIRECTORY ? O_DIRECTORY : 0), 0);
	sys(close, parent);
	return ret;
}

/*
 * Walks path below the root and makes what is missing; a dangling link is made
 * to point somewhere, below the root. With LAST_NONE the last component is
 * left alone and returned in last, the rest in w->done.
 */
static int walk_and_make(struct stage *s, struct walk *w, const char *path, enum last kind, u32 mode, char last[256])
{
	const char *todo = path;
	char name[256];
	int n, tried = 0;

	w->done[0] = 0;
	w->which = w->links = 0;
	while ((n = component(&todo, name)) > 0) {
		enum last k = *todo ? LAST_DIRECTORY : kind;
		size_t keep = str_len(w->done);
		u64 device;
		int fd;

		if (str_eq(name, "."))
			continue;
		if (str_eq(name, "..")) {
			drop_last(w->done);
			continue;
		}
		if (k == LAST_NONE) {
			last[0] = 0;
			str_add(last, 256, name);
			return 0;
		}
		if (keep + (size_t)n + 2 > PATH_MAX_)
			return -ENAMETOOLONG;
		if (keep)
			str_add(w->done, PATH_MAX_, "/");
		str_add(w->done, PATH_MAX_, name);
		fd = root_open(s, w->done, O_PATH | O_NOFOLLOW, 0);
		if (fd == -ENOENT && tried++ < 1000) {
			w->done[keep] = 0;
			n = make_one(s, w, name, k, k == LAST_DIRECTORY && *todo ? 0755 : mode);
			if (n < 0)
				return n;
			if (keep)
				str_add(w->done, PATH_MAX_, "/");
			str_add(w->done, PATH_MAX_, name);
			fd = root_open(s, w->done, O_PATH | O_NOFOLLOW, 0);
		}
		if (fd < 0)
			return fd;
		if ((file_mode(s, fd, &device) & S_IFMT_) == S_IFLNK_) {
			w->done[keep] = 0;
			n = splice_link(w, fd, todo);
			sys(close, fd);
			if (n < 0)
				return n;
			todo = w->todo[w->which];
			continue;
		}
		sys(close, fd);
	}
	return n;
}

static int make_path(struct stage *s, const char *path, enum last kind, u32 mode)
{
	struct walk w;
	char last[256];
	int ret = make_plain(s, path, kind, mode);

	if (ret >= 0)
		return ret;
	ret = *path ? walk_and_make(s, &w, path, kind, mode, last) : -ENOENT;

	return ret < 0 ? ret : root_open(s, here(&w), O_PATH, RESOLVE_NO_SYMLINKS);
}

int make_dir(struct stage *s, const char *path, u32 mode)
{
	int fd = root_open(s, path, O_PATH | O_DIRECTORY, 0);

	return fd == -ENOENT ? make_path(s, path, LAST_DIRECTORY, mode) : fd;
}

/* A place to mount a file on: what is there already, or a new empty file. */
int make_target(struct stage *s, const char *path)
{
	int fd = root_open(s, path, O_PATH, 0);

	return fd == -ENOENT ? make_path(s, path, LAST_FILE, 0644) : fd;
}

/* The directory that holds path's last component, made where it is missing; *name is that component, never a link that was followed. */
int make_parent(struct stage *s, const char *path, const char **name)
{
	struct walk w;
	static char last[256];
	int ret = plain_parent(s, path, last);

	*name = last;
	if (ret >= 0)
		return ret;
	last[0] = 0;
	ret = walk_and_make(s, &w, path, LAST_NONE, 0, last);
	if (ret < 0)
		return ret;
	if (!last[0])
		return -EINVAL;
	*name = last;
	return root_open(s, here(&w), O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
}

/*
 * Opens a file of the caller's procfs. It was opened before the stage joined
 * or mounted anything, so the container has no part in it (CVE-2019-16884,
 * CVE-2025-52881), and a mount over one of its files is refused (NO_XDEV).
 */
int proc_open(struct stage *s, const char *path, u64 flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS,
	};

	return (int)sys(openat2, s->proc, path, &how, sizeof(how));
}

void write_proc(struct stage *s, const char *path, const char *value)
{
	long n, fd = proc_open(s, path, O_WRONLY);

	str_add(s->detail, sizeof(s->detail), "/proc/");
	str_add(s->detail, sizeof(s->detail), path);
	check(s, "open", fd);
	n = sys(write, fd, value, str_len(value));
	check(s, "write", n);
	if ((size_t)n != str_len(value))
		fail(s, "write", -EIO);
	sys(close, fd);
	s->detail[0] = 0;
}

/*
 * Opens what an O_PATH descriptor refers to. An open can have effects of its
 * own (a device, a FIFO), so the descriptor's type is looked at first.
 */
int reopen(struct stage *s, int fd, u64 flags)
{
	char path[32] = "self/fd/";

	if (s->files >= 0)
		path[0] = 0;
	num_add(path, sizeof(path), (u64)fd);
	return (int)sys(openat, s->files >= 0 ? s->files : s->proc, path, flags | O_CLOEXEC, 0);
}

/*
 * A detached mount is its own parent: unlike a descriptor of the directory
 * itself, this one leads to no other file of the procfs. Made here, because it
 * has to be of this process and of the caller's mounts as the process has them.
 */
void do_own_files(struct stage *s)
{
	struct statfs st;

	s->files = clone_mount(s, AT_FDCWD_, "/proc/self/fd", 0);
	check(s, "fstatfs", sys(fstatfs, s->files, &st));
	if (st.f_type != PROC_MAGIC)
		fail(s, "/proc is not a procfs", -ENODEV);
}

/* The path by which calls that take no descriptor reach fd: in the caller's /proc, so only before pivot. */
void fd_path(char out[32], int fd)
{
	out[0] = 0;
	str_add(out, 32, "/proc/self/fd/");
	num_add(out, 32, (u64)fd);
}

u32 file_mode(struct stage *s, int fd, u64 *device)
{
	struct statx st;

	check(s, "statx", sys(statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE, &st));
	*device = (u64)st.stx_rdev_major << 32 | st.stx_rdev_minor;
	return st.stx_mode;
}
