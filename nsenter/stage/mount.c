/*
 * Mounts, by the descriptor-based API of Linux 5.2: a mount is complete before
 * it is attached, the place it is attached to was resolved below the root, and
 * no path of the container is looked up twice.
 */
#include "stage.h"
#include <asm/statfs.h>

#define MS_RDONLY_ 1
#define MS_NOSUID_ 2
#define MS_NODEV_ 4
#define MS_NOEXEC_ 8
#define MS_SYNCHRONOUS_ 16
#define MS_REMOUNT_ 32
#define MS_MANDLOCK_ 64
#define MS_DIRSYNC_ 128
#define MS_NOSYMFOLLOW_ 256
#define MS_NOATIME_ 1024
#define MS_NODIRATIME_ 2048
#define MS_BIND_ 4096
#define MS_SLAVE_ (1 << 19)
#define MS_SHARED_ (1 << 20)
#define MS_RELATIME_ (1 << 21)
#define MS_STRICTATIME_ (1 << 24)
#define MS_LAZYTIME_ (1 << 25)
/* statfs(2) has flags of its own for these. */
#define ST_RELATIME_ 4096
#define ST_NOSYMFOLLOW_ 8192
/* The kernel copies at most this much of an fsconfig string, and a page of mount data. */
#define FSCONFIG_STRING_MAX 255
#define DATA_MAX 4095

static const struct {
	u32 attr, flag;
} attr_flags[] = {
	{ MOUNT_ATTR_RDONLY, MS_RDONLY_ },	 { MOUNT_ATTR_NOSUID, MS_NOSUID_ },
	{ MOUNT_ATTR_NODEV, MS_NODEV_ },	 { MOUNT_ATTR_NOEXEC, MS_NOEXEC_ },
	{ MOUNT_ATTR_NOATIME, MS_NOATIME_ },	 { MOUNT_ATTR_STRICTATIME, MS_STRICTATIME_ },
	{ MOUNT_ATTR_NODIRATIME, MS_NODIRATIME_ }, { MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW_ },
};

static u64 ms_flags(u64 attr)
{
	u64 flags = 0;

	for (size_t i = 0; i < sizeof(attr_flags) / sizeof(attr_flags[0]); i++)
		if (attr & attr_flags[i].attr)
			flags |= attr_flags[i].flag;
	return flags;
}

/* mount(2) for what has no descriptor-based form; the path is that of a descriptor. */
static long mount_fd(const char *source, int fd, const char *type, u64 flags, const char *data)
{
	char path[32];

	fd_path(path, fd);
	return sys(mount, source, path, type, flags, data);
}

void attach(struct stage *s, int mnt, int target)
{
	check(s, "move_mount", sys(move_mount, mnt, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
	sys(close, target);
}

static long set_attr(int fd, u64 set, u64 clear, int recursive)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };
	i64 pause[2] = { 0, 1000000 };
	long ret;

	if (!set && !clear)
		return 0;
	/* EBUSY: somebody is about to write, if only a file's access time. A process that joins right now does that, for a moment. */
	for (int i = 0; i < 100; i++) {
		ret = sys(mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr));
		if (ret != -EBUSY)
			break;
		sys(nanosleep, pause, 0);
	}
	return ret;
}

/* Tells whether the kernel is too old for a call with these attributes: mount_setattr(2) is of 5.12, and takes nosymfollow since 5.14, as fsmount(2) does. */
static int too_old(long ret, u64 attr)
{
	return ret == -ENOSYS || (ret == -EINVAL && (attr & MOUNT_ATTR_NOSYMFOLLOW));
}

/*
 * set_attr for kernels that are too old: on an attached mount, without those
 * below it, by a remount that repeats the flags that stay. The access time is always
 * named: it is what a user namespace may not change by leaving it out.
 */
static void set_attr_old(struct stage *s, int fd, u64 set, u64 clear)
{
	const u64 same = MS_RDONLY_ | MS_NOSUID_ | MS_NODEV_ | MS_NOEXEC_ | MS_NOATIME_ | MS_NODIRATIME_;
	const u64 atime = MS_NOATIME_ | MS_RELATIME_ | MS_STRICTATIME_;
	struct statfs st;
	u64 have, flags;

	check(s, "fstatfs", sys(fstatfs, fd, &st));
	have = (u64)st.f_flags;
	flags = have & same;
	if (have & ST_NOSYMFOLLOW_)
		flags |= MS_NOSYMFOLLOW_;
	if (have & ST_RELATIME_)
		flags |= MS_RELATIME_;
	if (!(flags & atime))
		flags |= MS_STRICTATIME_;
	if (clear & MOUNT_ATTR__ATIME)
		flags &= ~atime;
	flags = (flags & ~ms_flags(clear)) | ms_flags(set);
	if (!(flags & atime))
		flags |= MS_RELATIME_;
	check(s, "remount", mount_fd(0, fd, 0, MS_REMOUNT_ | MS_BIND_ | flags, 0));
}

void change_attr(struct stage *s, int fd, u64 set)
{
	long ret = set_attr(fd, set, 0, 0);

	if (too_old(ret, set))
		set_attr_old(s, fd, set, 0);
	else
		check(s, "mount_setattr", ret);
}

static void set_propagation(struct stage *s, int fd, u64 flags)
{
	if ((flags & MS_SLAVE_) && (flags & MS_SHARED_)) {
		/* One after the other: a slave that shares, mount_namespaces(7). */
		check(s, "set propagation", mount_fd(0, fd, 0, flags & ~(u64)MS_SHARED_, 0));
		flags &= ~(u64)MS_SLAVE_;
	}
	if (flags)
		check(s, "set propagation", mount_fd(0, fd, 0, flags, 0));
}

/* What is mounted on the root is the root from then on. */
static void placed(struct stage *s, int mnt, const char *path)
{
	if (str_eq(path, "/")) {
		sys(close, s->root);
		s->root = mnt;
	} else {
		sys(close, mnt);
	}
}

/* Adds the kernel's own words about a failed fsopen/fsconfig to the detail: messages such as "e tmpfs: Bad value for 'size'". */
void fs_fail(struct stage *s, int fs, const char *call, long err)
{
	char buf[256];
	long n;

	while ((n = sys(read, fs, buf, sizeof(buf) - 1)) > 0) {
		while (n && (buf[n - 1] == '\n' || !buf[n - 1]))
			n--;
		buf[n] = 0;
		if (n < 2 || buf[0] != 'e')
			continue;
		if (s->detail[0])
			str_add(s->detail, sizeof(s->detail), ": ");
		str_add(s->detail, sizeof(s->detail), buf + 2);
	}
	fail(s, call, err);
}

void configure(struct stage *s, int fs, const char *option)
{
	char key[FSCONFIG_STRING_MAX + 1];
	size_t n = 0;
	long ret;

	while (option[n] && option[n] != '=' && n < sizeof(key) - 1) {
		key[n] = option[n];
		n++;
	}
	key[n] = 0;
	if (option[n] == '=')
		ret = sys(fsconfig, fs, FSCONFIG_SET_STRING, key, option + n + 1, 0);
	else
		ret = sys(fsconfig, fs, FSCONFIG_SET_FLAG, key, 0, 0);
	if (ret < 0) {
		str_add(s->detail, sizeof(s->detail), option);
		fs_fail(s, fs, "fsconfig", ret);
	}
}

/* Flags of the superblock that fsconfig knows by name; the rest goes through a remount. */
static const struct {
	u32 flag;
	char name[12];
} super_names[] = {
	{ MS_RDONLY_, "ro" }, { MS_SYNCHRONOUS_, "sync" }, { MS_DIRSYNC_, "dirsync" }, { MS_LAZYTIME_, "lazytime" }, { MS_MANDLOCK_, "mand" },
};

static int mount_target(struct stage *s, const char *path, int directory, u64 no_symlinks)
{
	int fd = directory ? make_dir(s, path, 0755) : make_target(s, path);

	check(s, "open the mount point", fd);
	if (no_symlinks) {
		/* A link in place of /proc or /sys would move it elsewhere (CVE-2019-19921, CVE-2023-27561). */
		sys(close, fd);
		fd = root_open(s, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
		check(s, "open the mount point as an ordinary directory", fd);
	}
	return fd;
}

/* Adds an option to mount(2)'s list, in which the commas of a security context need quotes. */
static void add_option(char *data, const char *option)
{
	static const char context[] = "context=";
	size_t n = 0;

	while (option[n] && option[n] == context[n])
		n++;
	if (*data)
		str_add(data, DATA_MAX + 2, ",");
	if (n < sizeof(context) - 1) {
		str_add(data, DATA_MAX + 2, option);
		return;
	}
	str_add(data, DATA_MAX + 2, context);
	str_add(data, DATA_MAX + 2, "\"");
	str_add(data, DATA_MAX + 2, option + n);
	str_add(data, DATA_MAX + 2, "\"");
}

/* The options don't fit through fsconfig: the call of old takes a page of them. */
static void mount_old(struct stage *s)
{
	u32 count;
	const char *option = list(s, MOUNT_OPTIONS, &count);
	u64 flags = ms_flags(num(s, MOUNT_ATTR)) | num(s, MOUNT_SUPER);
	char *data = map_memory(s, DATA_MAX + 2);
	int fd;

	for (; count; count--, option = next(option))
		add_option(data, option);
	if (str_len(data) > DATA_MAX) {
		str_add(s->detail, sizeof(s->detail), "the options are longer than a page");
		fail(s, "mount", -E2BIG);
	}
	if (str_eq(str(s, MOUNT_TARGET), "/")) {
		str_add(s->detail, sizeof(s->detail), "an option of the root directory's mount may be 255 bytes long");
		fail(s, "mount", -E2BIG);
	}
	fd = mount_target(s, str(s, MOUNT_TARGET), 1, num(s, MOUNT_NO_SYMLINKS));
	check(s, "mount", mount_fd(str(s, MOUNT_SOURCE), fd, str(s, MOUNT_TYPE), flags, data));
	sys(close, fd);
	if (!num(s, MOUNT_PROPAGATION))
		return;
	fd = root_open(s, str(s, MOUNT_TARGET), O_PATH, 0);
	check(s, "open the new mount", fd);
	set_propagation(s, fd, num(s, MOUNT_PROPAGATION));
	sys(close, fd);
}

/* Takes out of *super and *attr what it has done. */
static int make_mount(struct stage *s, u64 *super, u64 *attr)
{
	const char *source = str(s, MOUNT_SOURCE);
	u32 count;
	const char *option = list(s, MOUNT_OPTIONS, &count);
	long ret, mnt, fs = sys(fsopen, str(s, MOUNT_TYPE), FSOPEN_CLOEXEC);

	if (fs < 0)
		str_add(s->detail, sizeof(s->detail), str(s, MOUNT_TYPE));
	check(s, "fsopen", fs);
	if (*source) {
		ret = sys(fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0);
		if (ret < 0)
			fs_fail(s, (int)fs, "fsconfig source", ret);
	}
	for (; count; count--, option = next(option))
		configure(s, (int)fs, option);
	for (size_t i = 0; i < sizeof(super_names) / sizeof(super_names[0]); i++)
		if (*super & super_names[i].flag) {
			configure(s, (int)fs, super_names[i].name);
			*super &= ~(u64)super_names[i].flag;
		}
	ret = sys(fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (ret < 0)
		fs_fail(s, (int)fs, "create the filesystem", ret);
	mnt = sys(fsmount, fs, FSMOUNT_CLOEXEC, *attr);
	if (too_old(mnt, *attr)) {
		mnt = sys(fsmount, fs, FSMOUNT_CLOEXEC, *attr & ~(u64)MOUNT_ATTR_NOSYMFOLLOW);
		*attr = MOUNT_ATTR_NOSYMFOLLOW;
	} else {
		*attr = 0;
	}
	if (mnt < 0)
		fs_fail(s, (int)fs, "fsmount", mnt);
	sys(close, fs);
	return (int)mnt;
}

static void label(struct stage *s, int mnt, const char *value)
{
	char path[32];

	fd_path(path, mnt);
	if (*value)
		check(s, "setxattr security.selinux", sys(setxattr, path, "security.selinux", value, str_len(value) + 1, 0));
}

void do_mount(struct stage *s)
{
	u64 super = num(s, MOUNT_SUPER), attr = num(s, MOUNT_ATTR);
	const char *path = str(s, MOUNT_TARGET);
	u32 count;
	const char *option = list(s, MOUNT_OPTIONS, &count);
	int mnt, target = -ENOENT, fits = str_len(str(s, MOUNT_SOURCE)) <= FSCONFIG_STRING_MAX;

	for (; count; count--, option = next(option))
		fits &= str_len(option) <= FSCONFIG_STRING_MAX;
	if (!fits) {
		if (num(s, MOUNT_KEEP) & COPY_CONTENT) {
			str_add(s->detail, sizeof(s->detail), "an option is too long for a tmpfs that begins with a copy");
			fail(s, "mount", -E2BIG);
		}
		mount_old(s);
		return;
	}
	mnt = make_mount(s, &super, &attr);
	label(s, mnt, str(s, MOUNT_LABEL));
	if (num(s, MOUNT_KEEP))
		target = root_open(s, path, O_PATH | O_DIRECTORY, num(s, MOUNT_NO_SYMLINKS) ? RESOLVE_NO_SYMLINKS : 0);
	if (target >= 0)
		copy_up(s, target, mnt, (u32)num(s, MOUNT_KEEP));
	else
		target = mount_target(s, path, 1, num(s, MOUNT_NO_SYMLINKS));
	attach(s, mnt, target);
	if (attr)
		set_attr_old(s, mnt, attr, 0);
	if (super) /* such as MS_I_VERSION: known to mount(2) only */
		check(s, "remount", mount_fd(0, mnt, 0, MS_REMOUNT_ | num(s, MOUNT_SUPER) | ms_flags(num(s, MOUNT_ATTR)), 0));
	set_propagation(s, mnt, num(s, MOUNT_PROPAGATION));
	placed(s, mnt, path);
}

/* The operands of what makes a mount are where Mount has them. */
_Static_assert((int)MOUNT_ID_MAPPED_TYPE == (int)MOUNT_TYPE && (int)MOUNT_ID_MAPPED_SOURCE == (int)MOUNT_SOURCE &&
	       (int)MOUNT_ID_MAPPED_OPTIONS == (int)MOUNT_OPTIONS && (int)MOUNT_ID_MAPPED_ATTR == (int)MOUNT_ATTR &&
	       (int)MOUNT_ID_MAPPED_SUPER == (int)MOUNT_SUPER, "mount-idmapped differs from mount");

void do_mount_idmapped(struct stage *s)
{
	u64 super = num(s, MOUNT_SUPER), rest = num(s, MOUNT_ATTR);
	int ns = slot(s, MOUNT_ID_MAPPED_FD), mnt = make_mount(s, &super, &rest);
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP_, .userns_fd = (u64)ns };
	long ret = sys(mount_setattr, mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr));

	if (ret == -EINVAL)
		str_add(s->detail, sizeof(s->detail), "this filesystem can't be idmapped on this kernel");
	if (ret == -ENOSYS)
		str_add(s->detail, sizeof(s->detail), "idmapped mounts need Linux 5.12");
	check(s, "map the ids", ret);
	if (super || rest)
		fail(s, "mount with these options and mapped ids", -EOPNOTSUPP);
	sys(close, ns);
	s->slot[num(s, MOUNT_ID_MAPPED_FD)] = mnt;
}

/* A clone of the mounts at source, not yet attached. */
static long try_clone(int dir, const char *path, int recursive)
{
	return sys(open_tree, dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) | (*path ? 0 : AT_EMPTY_PATH));
}

int clone_mount(struct stage *s, int dir, const char *path, int recursive)
{
	long fd = try_clone(dir, path, recursive);

	if (fd < 0)
		str_add(s->detail, sizeof(s->detail), path);
	check(s, "open_tree", fd);
	return (int)fd;
}

/* Sets the attributes that the kernel allows on a mount that isn't attached; *old tells that the mount's own are left for later. */
static long bind_attr(struct stage *s, int mnt, int *old)
{
	u64 set = num(s, BIND_SET), clear = num(s, BIND_CLEAR);
	long ret = set_attr(mnt, num(s, BIND_R_SET), num(s, BIND_R_CLEAR), 1);

	if (ret < 0 && ret != -EPERM)
		check(s, "mount_setattr (recursive)", ret);
	if (ret == 0)
		ret = set_attr(mnt, set, clear, 0);
	*old = too_old(ret, set | clear);
	return *old ? 0 : ret;
}

/*
 * What is to be bound. A clone made here has its flags locked in a user
 * namespace (mount_namespaces(7)): nobody inside makes a read-only volume
 * writable. That of davit hasn't; it is for what can't be cloned here, or
 * where the config itself wants less than the source's flags.
 */
static int bind_source(struct stage *s, int *old)
{
	const char *path = str(s, BIND_SOURCE);
	int from = slot(s, BIND_FD), recursive = (int)num(s, BIND_RECURSIVE);
	long mnt, ret;

	mnt = from < 0 ? clone_mount(s, AT_FDCWD_, path, recursive) : *path ? try_clone(AT_FDCWD_, path, recursive) : -ENOENT;
	ret = mnt < 0 ? mnt : bind_attr(s, (int)mnt, old);
	if (from >= 0) {
		s->slot[num(s, BIND_FD)] = -1;
		sys(close, ret < 0 ? mnt : from);
		if (ret < 0) {
			mnt = from;
			ret = bind_attr(s, from, old);
		}
	}
	check(s, "mount_setattr", ret);
	return (int)mnt;
}

static int is_directory(struct stage *s, int fd)
{
	u64 device;

	return (file_mode(s, fd, &device) & S_IFMT_) == S_IFDIR_;
}

/* Containers have many binds: what can be said by failing alone is asked only then. */
static void attach_bind(struct stage *s, int mnt)
{
	const char *path = str(s, BIND_TARGET);
	u64 no_symlinks = num(s, BIND_NO_SYMLINKS);
	int target = no_symlinks ? -ENOENT : root_open(s, path, O_PATH, 0);
	long ret;

	if (target == -ENOENT)
		target = mount_target(s, path, is_directory(s, mnt), no_symlinks);
	check(s, "open the mount point", target);
	ret = sys(move_mount, mnt, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	if (ret == -EINVAL && is_directory(s, mnt) != is_directory(s, target)) {
		int directory = is_directory(s, mnt);

		str_add(s->detail, sizeof(s->detail), directory ? "the source is a directory and the destination is not" : "the destination is a directory and the source is not");
		fail(s, "mount", directory ? -ENOTDIR : -EISDIR);
	}
	check(s, "move_mount", ret);
	sys(close, target);
}

void do_bind(struct stage *s)
{
	int old, mnt = bind_source(s, &old);

	attach_bind(s, mnt);
	if (old)
		set_attr_old(s, mnt, num(s, BIND_SET), num(s, BIND_CLEAR));
	set_propagation(s, mnt, num(s, BIND_PROPAGATION));
	placed(s, mnt, str(s, BIND_TARGET));
}

void do_remount(struct stage *s)
{
	int fd = root_open(s, str(s, REMOUNT_TARGET), O_PATH, 0);

	check(s, "open the mount point", fd);
	check(s, "remount", mount_fd(0, fd, 0, MS_REMOUNT_ | num(s, REMOUNT_FLAGS), str(s, REMOUNT_DATA)));
	set_propagation(s, fd, num(s, REMOUNT_PROPAGATION));
	sys(close, fd);
}
