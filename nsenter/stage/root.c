/* The container's root directory, and which parts of the tree below it are hidden or fixed. */
#include "stage.h"

#define MS_REC_ 16384
#define MS_SLAVE_ (1 << 19)
#define MNT_DETACH_ 2

void do_rootfs(struct stage *s)
{
	long fd = sys(openat, AT_FDCWD_, str(s, ROOTFS_PATH), O_PATH_CLOEXEC | O_DIRECTORY, 0);

	check(s, "open", fd);
	if (!num(s, ROOTFS_CLONE)) {
		s->root = (int)fd;
		return;
	}
	s->root = clone_mount(s, (int)fd, "", 1);
	attach(s, s->root, (int)fd);
	s->host_root = (int)sys(openat, AT_FDCWD_, "/", O_PATH_CLOEXEC | O_DIRECTORY, 0);
	check(s, "open /", s->host_root);
}

/* An empty read-only tmpfs, made once; every masked directory is under a clone of it. */
static int empty_directory(struct stage *s, const char *label)
{
	long fs, ret;

	if (s->empty < 0) {
		fs = sys(fsopen, "tmpfs", FSOPEN_CLOEXEC);
		check(s, "fsopen tmpfs", fs);
		configure(s, (int)fs, "size=0k");
		configure(s, (int)fs, "mode=755");
		if (*label)
			configure(s, (int)fs, label);
		ret = sys(fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
		if (ret < 0)
			fs_fail(s, (int)fs, "create tmpfs", ret);
		s->empty = (int)sys(fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		check(s, "fsmount", s->empty);
		sys(close, fs);
		return s->empty;
	}
	return clone_mount(s, s->empty, "", 0);
}

void do_mask(struct stage *s)
{
	int mnt, fd = root_open(s, str(s, MASK_PATH), O_PATH, 0);
	u64 device;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return;
	check(s, "open", fd);
	if ((file_mode(s, fd, &device) & S_IFMT_) == S_IFDIR_) {
		mnt = empty_directory(s, str(s, MASK_LABEL));
		attach(s, mnt, fd);
		if (mnt != s->empty)
			sys(close, mnt);
		return;
	}
	/* The host's /dev/null, never the container's: that one may be a link (CVE-2025-31133). */
	mnt = clone_mount(s, AT_FDCWD_, "/dev/null", 0);
	if ((file_mode(s, mnt, &device) & S_IFMT_) != S_IFCHR_ || device != (1ULL << 32 | 3))
		fail(s, "the host's /dev/null is not the null device", -ENODEV);
	attach(s, mnt, fd);
	sys(close, mnt);
}

void do_read_only(struct stage *s)
{
	int mnt, fd = root_open(s, str(s, READ_ONLY_PATH), O_PATH, 0);

	if (fd == -ENOENT || fd == -ENOTDIR)
		return;
	check(s, "open", fd);
	/* With what is mounted below it, which stays as it is: a volume in there has been given its own options. */
	mnt = clone_mount(s, fd, "", 1);
	attach(s, mnt, fd);
	change_attr(s, mnt, MOUNT_ATTR_RDONLY);
	sys(close, mnt);
}

void do_root_attr(struct stage *s)
{
	change_attr(s, s->root, num(s, ROOT_ATTR_SET));
}

/* Takes a mount of the old tree away, and covers what is there, for a mount that may not be taken away or is one of several. */
static void hide(struct stage *s, const char *path)
{
	long fd;
	int mnt;

	sys(umount2, path, MNT_DETACH_);
	fd = sys(openat, AT_FDCWD_, path, O_PATH_CLOEXEC | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		return;
	check(s, "open", fd);
	mnt = empty_directory(s, "");
	attach(s, mnt, (int)fd);
	if (mnt != s->empty)
		sys(close, mnt);
}

void do_pivot(struct stage *s)
{
	check(s, "fchdir", sys(fchdir, s->root));
	if (num(s, PIVOT_NO_PIVOT)) {
		/* The old tree stays mounted below the new root: hide what is worst in it. */
		hide(s, "/proc");
		hide(s, "/sys");
		check(s, "move_mount", sys(move_mount, s->root, "", AT_FDCWD_, "/", MOVE_MOUNT_F_EMPTY_PATH));
		check(s, "chroot", sys(chroot, "."));
	} else {
		/* The old root ends up on top of the new one, pivot_root(2); the host's descriptor still reaches it. */
		check(s, "pivot_root", sys(pivot_root, ".", "."));
		check(s, "fchdir", sys(fchdir, s->host_root));
		/* Slave, so that the unmounts below don't travel to the host. */
		check(s, "set propagation", sys(mount, 0, ".", 0, MS_SLAVE_ | MS_REC_, 0));
		check(s, "umount2", sys(umount2, ".", MNT_DETACH_));
	}
	check(s, "chdir", sys(chdir, "/"));
	sys(close, s->host_root);
	s->host_root = -1;
}

void do_chroot(struct stage *s)
{
	check(s, "fchdir", sys(fchdir, s->root));
	check(s, "chroot", sys(chroot, "."));
}
