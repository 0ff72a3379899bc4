/* The container's process: session, limits, credentials, filter, and the exec itself. */
#include "stage.h"

#define TIOCSCTTY_ 0x540e
#define F_OK_ 0
#define X_OK_ 1
#define CLOSE_RANGE_CLOEXEC_ 4
#define BPF_MAXINSNS_ 4096
#define SECCOMP_SET_MODE_FILTER_ 1
#define SECCOMP_FILTER_FLAG_NEW_LISTENER_ 8

void do_session(struct stage *s)
{
	check(s, "setsid", sys(setsid));
	if (!num(s, SESSION_TERMINAL))
		return;
	for (int fd = 0; fd < 3; fd++)
		check(s, "dup3", sys(dup3, s->pty, fd, 0));
	check(s, "TIOCSCTTY", sys(ioctl, 0, TIOCSCTTY_, 0));
}

void do_rlimit(struct stage *s)
{
	u64 limit[2] = { num(s, RLIMIT_SOFT), num(s, RLIMIT_HARD) };

	check(s, "setrlimit", sys(prlimit64, 0, num(s, RLIMIT_RESOURCE), limit, 0));
}

void do_bounding(struct stage *s)
{
	u64 keep = num(s, BOUNDING_KEEP), last = num(s, BOUNDING_LAST);

	for (u64 c = 0; c <= last && c < 64; c++)
		if (!(keep >> c & 1))
			check(s, "PR_CAPBSET_DROP", sys(prctl, PR_CAPBSET_DROP, c, 0, 0, 0));
}

void do_user(struct stage *s)
{
	u32 len;
	const char *groups = blob(s, USER_GROUPS, &len);

	/* -1 would mean to stay who one is, setresuid(2); what is above it would be cut down to somebody else. */
	if (num(s, USER_UID) >= (u32)-1 || num(s, USER_GID) >= (u32)-1)
		fail(s, "setresuid", -EINVAL);
	/* Capabilities survive the change of user until do_capabilities sets them, capabilities(7). */
	check(s, "PR_SET_KEEPCAPS", sys(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
	set_groups(s, (int)num(s, USER_SET_GROUPS), len / sizeof(u32), groups);
	check(s, "setresgid", sys(setresgid, num(s, USER_GID), num(s, USER_GID), num(s, USER_GID)));
	check(s, "setresuid", sys(setresuid, num(s, USER_UID), num(s, USER_UID), num(s, USER_UID)));
	check(s, "PR_SET_KEEPCAPS", sys(prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0));
	set_dumpable(s, 0);
}

void do_capabilities(struct stage *s)
{
	u64 e = num(s, CAPABILITIES_EFFECTIVE), p = num(s, CAPABILITIES_PERMITTED), i = num(s, CAPABILITIES_INHERITABLE);
	u64 ambient = num(s, CAPABILITIES_AMBIENT);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (u32)e, (u32)p, (u32)i },
		{ (u32)(e >> 32), (u32)(p >> 32), (u32)(i >> 32) },
	};

	check(s, "capset", sys(capset, &header, data));
	check(s, "PR_CAP_AMBIENT_CLEAR_ALL", sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	for (u64 c = 0; c < 64; c++)
		if (ambient >> c & 1)
			check(s, "PR_CAP_AMBIENT_RAISE", sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0));
}

void do_chdir(struct stage *s)
{
	static char cwd[4096]; /* the longest that getcwd(2) returns */
	long ret;

	if (s->in_cwd)
		return;
	ret = sys(chdir, str(s, CHDIR_PATH));
	if (ret == -EACCES && num(s, CHDIR_MAY_FAIL))
		return;
	check(s, "chdir", ret);
	s->in_cwd = 1;
	/* A directory outside of the root has a path that begins with "(unreachable)", getcwd(2); CVE-2024-21626. */
	check(s, "getcwd", sys(getcwd, cwd, sizeof(cwd)));
	if (cwd[0] != '/') {
		str_add(s->detail, sizeof(s->detail), "the working directory is outside of the container");
		fail(s, "getcwd", -ENOENT);
	}
}

void do_seccomp(struct stage *s)
{
	u32 len;
	struct {
		unsigned short len;
		const void *filter;
	} program;
	long ret;

	program.filter = blob(s, SECCOMP_FILTER, &len);
	/* The length is 16 bits wide: of a longer filter only a part would be loaded. */
	if (len % 8 || len / 8 > BPF_MAXINSNS_)
		fail(s, "seccomp", -EINVAL);
	program.len = (unsigned short)(len / 8);
	ret = sys(seccomp, SECCOMP_SET_MODE_FILTER_, num(s, SECCOMP_FLAGS), &program);
	check(s, "seccomp", ret);
	if (!(num(s, SECCOMP_FLAGS) & SECCOMP_FILTER_FLAG_NEW_LISTENER_))
		return;
	report(s, REPORT_LISTENER, ret);
	/* Held on to here, the listener would outlive its agent, and who waits for an answer would wait for ever. */
	wait_token(s, TOKEN_LISTENER_SENT);
	check(s, "close", sys(close, ret));
}

static int forbidden(long ret)
{
	return ret == -EPERM || ret == -ENOSYS;
}

/*
 * 0 where path is a file that this process may execute, with the credentials
 * that execve(2) goes by. A filter that is loaded already may not know the
 * newer calls, or none of them: then the exec itself tells.
 */
static long executable(const char *path)
{
	struct statx st;
	long ret = sys(statx, AT_FDCWD_, path, 0, STATX_TYPE, &st);

	if (ret == 0 && (st.stx_mode & S_IFMT_) == S_IFDIR_)
		return -EISDIR;
	ret = sys(faccessat2, AT_FDCWD_, path, X_OK_, AT_EACCESS);
	if (forbidden(ret))
		ret = sys(faccessat, AT_FDCWD_, path, X_OK_);
	return forbidden(ret) ? 0 : ret;
}

/*
 * close_range(2), or one by one where the kernel is older than 5.11 or a filter
 * that is loaded already forbids it. What davit had left open was closed at the
 * start, so the numbers end with what the stage itself can have open.
 */
void do_close_from(struct stage *s)
{
	u64 first = num(s, CLOSE_FROM_FIRST), end = (u64)s->sock + 4 * SLOTS;

	if (sys(close_range, first, ~0U, CLOSE_RANGE_CLOEXEC_) == 0)
		return;
	for (u64 fd = first; fd < end; fd++) {
		long ret = sys(fcntl, fd, F_SETFD, FD_CLOEXEC);
		if (ret != -EBADF)
			check(s, "close_range", ret);
	}
}

static void drop(struct stage *s, int *fd)
{
	if (*fd >= 0)
		check(s, "close", sys(close, *fd));
	*fd = -1;
}

/* What isn't needed for the wait in do_park: all but the way to the FIFO. */
static void drop_rest(struct stage *s, int fifo)
{
	drop(s, &s->root);
	drop(s, &s->host_root);
	drop(s, &s->pty);
	drop(s, &s->empty);
	for (u32 i = 0; i < s->slots; i++)
		if (s->slot[i] != fifo)
			drop(s, &s->slot[i]);
}

/*
 * Closes all but the conversation and the process's own descriptors. Close-on-exec
 * would be too late: execve(2) itself follows the container's paths, and one
 * that leads through /proc/self/fd must not come out on the host (CVE-2024-21626).
 * By close(2), which filters know that know nothing of close_range(2).
 */
void do_let_go(struct stage *s)
{
	drop(s, &s->proc);
	drop(s, &s->files);
	drop_rest(s, -1);
	s->slots = 0;
}

void do_look_up(struct stage *s)
{
	u32 count;
	const char *path = list(s, LOOK_UP_PATHS, &count);
	long err = -ENOENT;

	for (; count; count--, path = next(path)) {
		long ret = executable(path);
		if (ret == 0)
			return;
		if (ret != -ENOENT && ret != -ENOTDIR && err == -ENOENT)
			err = ret;
	}
	fail(s, "exec", err);
}

/*
 * Waits for `davit start`: opening the FIFO for writing blocks until a reader
 * comes. Then the FIFO takes the socket's place: it carries the error of a
 * failed exec, and closes on a good one.
 */
void do_park(struct stage *s)
{
	int fd;

	sys(close, s->sock);
	/* The wait may be long, and whoever may look into this process would find the host's procfs and cgroups. */
	if (s->files >= 0)
		drop(s, &s->proc);
	drop_rest(s, slot(s, PARK_FIFO));
	do
		fd = reopen(s, slot(s, PARK_FIFO), O_WRONLY);
	while (fd == -EINTR);
	/* In the socket's very place, so that what is the process's and what is the stage's stay apart. */
	if (fd < 0 || (fd != s->sock && sys(dup3, fd, s->sock, O_CLOEXEC) < 0))
		quit(1);
}

static const char **vector(struct stage *s, int arg)
{
	u32 count;
	const char *p = list(s, arg, &count);
	const char **v = map_memory(s, ((u64)count + 1) * sizeof(*v));

	for (u32 i = 0; i < count; i++, p = next(p))
		v[i] = p;
	return v;
}

static void exec_fail(struct stage *s, const char *path, long err) __attribute__((noreturn));
static void exec_fail(struct stage *s, const char *path, long err)
{
	static struct exec_report r;
	long n = 0, fd = sys(openat, AT_FDCWD_, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);

	r.type = REPORT_EXEC_FAILED;
	r.index = s->at;
	r.err = (i32)-err;
	str_add(r.path, sizeof(r.path), path);
	if (fd >= 0)
		n = sys(read, fd, r.head, sizeof(r.head));
	r.head_len = n > 0 ? (u32)n : 0;
	send_report(s, &r, sizeof(r), -1);
	quit(127);
}

void do_exec(struct stage *s)
{
	u32 count;
	const char *path = list(s, EXEC_PATHS, &count), *first = path, *denied = 0;
	const char **argv = vector(s, EXEC_ARGV), **env = vector(s, EXEC_ENV);

	do_let_go(s);
	for (; count; count--, path = next(path)) {
		long ret = sys(execve, path, argv, env);

		if (ret == -EACCES && !denied)
			denied = path;
		if (ret == -EACCES || ret == -ENOTDIR)
			continue;
		/* ENOENT for a file that exists: what is missing is its interpreter, execve(2). */
		if (ret == -ENOENT && sys(faccessat, AT_FDCWD_, path, F_OK_) < 0)
			continue;
		exec_fail(s, path, ret);
	}
	if (denied)
		exec_fail(s, denied, -EACCES);
	exec_fail(s, first, -ENOENT);
}
