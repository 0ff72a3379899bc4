/* What stands in the container's /dev, and its terminal. */
#include "stage.h"
#include <asm/statfs.h>

#define TIOCSPTLCK_ 0x40045431
#define TIOCGPTPEER_ 0x5441
#define TIOCSWINSZ_ 0x5414

u64 kernel_dev(u64 device)
{
	u64 major = device >> 32, minor = (u32)device;

	return (minor & 0xff) | (major << 8) | ((minor & ~0xffULL) << 12);
}

static int parent_of(struct stage *s, int arg, const char **name)
{
	int fd = make_parent(s, str(s, arg), name);

	check(s, "open the directory", fd);
	return fd;
}

/* The node that is there, which must be the device that was asked for (config-linux.md, Devices). */
static int open_same(struct stage *s, int parent, const char *name, u32 mode, u64 device)
{
	long fd = sys(openat, parent, name, O_PATH_CLOEXEC | O_NOFOLLOW, 0);
	u64 have = 0;

	check(s, "open", fd);
	if ((file_mode(s, (int)fd, &have) & S_IFMT_) != (mode & S_IFMT_) || ((mode & S_IFMT_) != S_IFIFO_ && have != device)) {
		str_add(s->detail, sizeof(s->detail), "a different file is there");
		fail(s, "mknod", -EEXIST);
	}
	return (int)fd;
}

void do_mknod(struct stage *s)
{
	const char *name;
	int parent = parent_of(s, MKNOD_PATH, &name);
	u32 mode = (u32)num(s, MKNOD_MODE);
	u64 device = num(s, MKNOD_DEVICE);
	int own = num(s, MKNOD_UID) || num(s, MKNOD_GID);
	long ret = sys(mknodat, parent, name, mode, kernel_dev(device));

	if (ret != -EEXIST)
		check(s, "mknod", ret);
	if (ret == -EEXIST || own) {
		int fd = open_same(s, parent, name, mode, device);
		if (ret == 0)
			check(s, "chown", sys(fchownat, fd, "", num(s, MKNOD_UID), num(s, MKNOD_GID), AT_EMPTY_PATH));
		sys(close, fd);
	}
	sys(close, parent);
}

/* An empty regular file to mount on, or what is there already. */
static int file_target(struct stage *s, int parent, const char *name)
{
	long fd = sys(openat, parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd != -EEXIST) {
		check(s, "create the mount point", fd);
		sys(close, fd);
	}
	fd = sys(openat, parent, name, O_PATH_CLOEXEC | O_NOFOLLOW, 0);
	check(s, "open the mount point", fd);
	return (int)fd;
}

void do_bind_device(struct stage *s)
{
	const char *name;
	int parent = parent_of(s, BIND_DEVICE_PATH, &name);
	long mnt = sys(open_tree, AT_FDCWD_, str(s, BIND_DEVICE_SOURCE), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	u32 mode = (u32)num(s, BIND_DEVICE_MODE);
	u64 have;

	check(s, "open_tree", mnt);
	if ((file_mode(s, (int)mnt, &have) & S_IFMT_) != (mode & S_IFMT_) || have != num(s, BIND_DEVICE_DEVICE)) {
		str_add(s->detail, sizeof(s->detail), "the host's node is a different device");
		fail(s, "bind", -ENXIO);
	}
	attach(s, (int)mnt, file_target(s, parent, name));
	sys(close, mnt);
	sys(close, parent);
}

void do_symlink(struct stage *s)
{
	const char *name, *to = str(s, SYMLINK_TO);
	int parent = parent_of(s, SYMLINK_PATH, &name);
	long ret = sys(symlinkat, to, parent, name);

	if (ret == -EEXIST && num(s, SYMLINK_REPLACE)) {
		check(s, "unlink", sys(unlinkat, parent, name, 0));
		ret = sys(symlinkat, to, parent, name);
	}
	if (ret != -EEXIST || num(s, SYMLINK_REPLACE))
		check(s, "symlink", ret);
	sys(close, parent);
}

/*
 * The terminal is allocated on the container's own devpts, by descriptors that
 * were verified: a /dev/pts or ptmx that the rootfs replaced is not opened,
 * and no path leads to the other end (CVE-2025-52565).
 */
void do_pty(struct stage *s)
{
	struct {
		unsigned short rows, columns, x, y;
	} size = { (unsigned short)num(s, PTY_ROWS), (unsigned short)num(s, PTY_COLUMNS), 0, 0 };
	int unlock = 0, master, ptmx = root_open(s, "dev/pts/ptmx", O_PATH, RESOLVE_NO_SYMLINKS);
	struct statfs st;
	u64 device = 0;
	const char *name;

	check(s, "open /dev/pts/ptmx", ptmx);
	check(s, "fstatfs", sys(fstatfs, ptmx, &st));
	if (st.f_type != DEVPTS_MAGIC || (file_mode(s, ptmx, &device) & S_IFMT_) != S_IFCHR_ || device != (5ULL << 32 | 2))
		fail(s, "/dev/pts/ptmx is not a devpts multiplexer", -ENODEV);
	master = reopen(s, ptmx, O_RDWR | O_NOCTTY);
	check(s, "open /dev/pts/ptmx", master);
	sys(close, ptmx);
	check(s, "unlock the terminal", sys(ioctl, master, TIOCSPTLCK_, &unlock));
	s->pty = (int)sys(ioctl, master, TIOCGPTPEER_, O_RDWR | O_NOCTTY | O_CLOEXEC);
	check(s, "TIOCGPTPEER", s->pty);
	if (size.rows || size.columns)
		check(s, "TIOCSWINSZ", sys(ioctl, s->pty, TIOCSWINSZ_, &size));
	if (num(s, PTY_UID))
		check(s, "chown the terminal", sys(fchown, s->pty, num(s, PTY_UID), -1));
	send_fd(s, FILE_PTY_MASTER, master);
	sys(close, master);
	if (num(s, PTY_CONSOLE)) {
		long mnt;
		int parent = make_parent(s, "dev/console", &name);

		check(s, "open /dev", parent);
		mnt = sys(open_tree, s->pty, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
		check(s, "open_tree", mnt);
		attach(s, (int)mnt, file_target(s, parent, name));
		sys(close, mnt);
		sys(close, parent);
	}
}

void do_send_file(struct stage *s)
{
	int fd, path = root_open(s, str(s, SEND_FILE_PATH), O_PATH, 0);
	u64 device;

	if (path < 0)
		fd = path;
	else if ((file_mode(s, path, &device) & S_IFMT_) != S_IFREG_)
		fd = -EINVAL;
	else
		fd = reopen(s, path, O_RDONLY);
	send_fd(s, (u32)num(s, SEND_FILE_KIND), fd);
	if (fd >= 0)
		sys(close, fd);
	if (path >= 0)
		sys(close, path);
}
