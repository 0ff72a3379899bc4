/* Entering and making namespaces: what happens before and right after the container's process exists. */
#include "stage.h"

#define CLONE_INTO_CGROUP_ 0x200000000ULL
#define CLONE_NEWTIME_ 0x80
#define CLONE_NEWUSER_ 0x10000000
#define KEYCTL_JOIN_SESSION_KEYRING 1
#define KEYCTL_SETPERM 5
#define SIOCGIFFLAGS 0x8913
#define SIOCSIFFLAGS 0x8914
#define IFF_UP 1
#define AF_UNIX_ 1
#define SOCK_DGRAM_CLOEXEC (2 | O_CLOEXEC)

void do_join(struct stage *s)
{
	check(s, "setns", sys(setns, slot(s, JOIN_FD), num(s, JOIN_TYPE)));
}

void do_clone(struct stage *s)
{
	int cgroup = slot(s, CLONE_CGROUP);
	struct clone_args args = { .flags = num(s, CLONE_FLAGS) | CLONE_PARENT };
	long pid;

	/* The clone inherits what was made ahead: the plan has to want it, and not in a user namespace that would own it. */
	if ((s->ahead & ~args.flags) || (s->ahead && (args.flags & CLONE_NEWUSER_)))
		fail(s, "namespaces made ahead", -EPROTO);
	args.flags &= ~(u64)s->ahead;
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP_;
		args.cgroup = (u64)cgroup;
	}
	pid = sys(clone3, &args, sizeof(args));
	check(s, "clone3", pid);
	if (pid == 0)
		return;
	report(s, REPORT_CLONED, pid);
	quit(0);
}

/* The kernel makes a process dumpable again when its credentials change and fs.suid_dumpable is 1, so it is said anew after each change. */
void set_dumpable(struct stage *s, u64 value)
{
	check(s, "PR_SET_DUMPABLE", sys(prctl, PR_SET_DUMPABLE, value, 0, 0, 0));
}

/* how: 0 leave them, 1 set them, 2 set them unless the user namespace forbids it. */
void set_groups(struct stage *s, int how, u64 count, const void *groups)
{
	long ret = how ? sys(setgroups, count, groups) : 0;

	if (how == 2 && ret == -EPERM)
		return;
	check(s, "setgroups", ret);
}

void do_become_root(struct stage *s)
{
	set_groups(s, (int)num(s, BECOME_ROOT_GROUPS), 0, 0);
	check(s, "setresgid", sys(setresgid, 0, 0, 0));
	check(s, "setresuid", sys(setresuid, 0, 0, 0));
	set_dumpable(s, 0);
}

void do_time_namespace(struct stage *s)
{
	long fd;

	check(s, "unshare", sys(unshare, CLONE_NEWTIME_));
	/* Offsets can be set only while no process is inside, time_namespaces(7); setns enters afterwards. */
	if (*str(s, TIME_NAMESPACE_OFFSETS))
		write_proc(s, "self/timens_offsets", str(s, TIME_NAMESPACE_OFFSETS));
	fd = sys(openat, s->proc, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC, 0);
	check(s, "open /proc/self/ns/time_for_children", fd);
	check(s, "setns", sys(setns, fd, CLONE_NEWTIME_));
	sys(close, fd);
}

void do_keyring(struct stage *s)
{
	const char *label = str(s, KEYRING_LABEL);
	long id;

	if (*label)
		write_proc(s, "self/attr/keycreate", label);
	id = sys(keyctl, KEYCTL_JOIN_SESSION_KEYRING, str(s, KEYRING_NAME), 0, 0, 0);
	/* A kernel without keys has none to protect. */
	if (id == -ENOSYS)
		return;
	check(s, "join session keyring", id);
	/* The possessor may do all, the owner may view, read, search and link: processes that exec adds find the keys. */
	check(s, "set permissions of the session keyring", sys(keyctl, KEYCTL_SETPERM, id, 0x3f1b0000, 0, 0));
	if (*label)
		write_proc(s, "self/attr/keycreate", "\n");
}

void do_raise_limit(struct stage *s)
{
	u64 limit[2]; /* soft, hard */

	check(s, "prlimit", sys(prlimit64, 0, num(s, RAISE_LIMIT_RESOURCE), 0, limit));
	if (limit[1] >= num(s, RAISE_LIMIT_HARD))
		return;
	limit[1] = num(s, RAISE_LIMIT_HARD);
	check(s, "prlimit", sys(prlimit64, 0, num(s, RAISE_LIMIT_RESOURCE), limit, 0));
}

void do_loopback(struct stage *s)
{
	struct {
		char name[16];
		short flags;
		char rest[22];
	} ifreq = { .name = "lo" };
	/* Any socket reaches the device layer; a Unix one needs no IPv4. */
	long fd = sys(socket, AF_UNIX_, SOCK_DGRAM_CLOEXEC, 0);

	check(s, "socket", fd);
	check(s, "SIOCGIFFLAGS", sys(ioctl, fd, SIOCGIFFLAGS, &ifreq));
	ifreq.flags |= IFF_UP;
	check(s, "SIOCSIFFLAGS", sys(ioctl, fd, SIOCSIFFLAGS, &ifreq));
	sys(close, fd);
}
