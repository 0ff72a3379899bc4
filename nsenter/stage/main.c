/* The stage's entry and its walk over the plan. */
#include "stage.h"
#include <asm/statfs.h>

#define SIG_SETMASK_ 2
#define SIGNALS 64

/* The compiler may call these. */
void *memcpy(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, size_t n)
{
	char *t = to;

	while (n--)
		*t++ = (char)c;
	return to;
}

/* Back to the default: what the caller ignores or blocks is not the container's business. */
static void reset_signals(void)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		u64 mask;
	} action = { 0 };
	u64 none = 0;

	for (int sig = 1; sig <= SIGNALS; sig++)
		sys(rt_sigaction, sig, &action, 0, sizeof(u64));
	sys(rt_sigprocmask, SIG_SETMASK_, &none, 0, sizeof(none));
}

static void set_memory_policy(struct stage *s)
{
	u32 len;
	const char *nodes = blob(s, MEMORY_POLICY_NODES, &len);

	check(s, "set_mempolicy", sys(set_mempolicy, num(s, MEMORY_POLICY_MODE), len ? nodes : 0, (u64)len * 8 + (len ? 1 : 0)));
}

static void set_scheduler(struct stage *s)
{
	u32 len;
	const char *attr = blob(s, SCHEDULER_ATTR, &len);

	check(s, "sched_setattr", sys(sched_setattr, 0, attr, 0));
}

static void set_affinity(struct stage *s)
{
	u32 len;
	const char *cpus = blob(s, AFFINITY_MASK, &len);

	check(s, "sched_setaffinity", sys(sched_setaffinity, 0, len, cpus));
}

static void set_label(struct stage *s)
{
	char path[64] = "self/attr/";

	str_add(path, sizeof(path), str(s, LABEL_FILE));
	write_proc(s, path, str(s, LABEL_VALUE));
}

static void set_umask(struct stage *s)
{
	sys(umask, num(s, UMASK_INHERIT) ? s->umask : num(s, UMASK_MASK));
}

static void make_directory(struct stage *s)
{
	int fd = make_dir(s, str(s, MKDIR_PATH), (u32)num(s, MKDIR_MODE));

	check(s, "mkdir", fd);
	sys(close, fd);
}

static void enter_root(struct stage *s)
{
	s->root = (int)sys(openat, AT_FDCWD_, "/", O_PATH_CLOEXEC | O_DIRECTORY, 0);
	check(s, "open /", s->root);
}

static void execute(struct stage *s)
{
	switch ((enum op)s->plan.insn[s->at].op) {
	case OP_OOM_SCORE: write_proc(s, "self/oom_score_adj", str(s, OOM_SCORE_VALUE)); return;
	case OP_RAISE_LIMIT: do_raise_limit(s); return;
	case OP_JOIN: do_join(s); return;
	case OP_CLONE: do_clone(s); return;
	case OP_DUMPABLE: set_dumpable(s, num(s, DUMPABLE_VALUE)); return;
	case OP_WAIT: wait_token(s, (u32)num(s, WAIT_TOKEN)); return;
	case OP_SYNC:
		report(s, REPORT_WAITING, (long)num(s, SYNC_TOKEN));
		wait_token(s, (u32)num(s, SYNC_TOKEN));
		return;
	case OP_BECOME_ROOT: do_become_root(s); return;
	case OP_UNSHARE: check(s, "unshare", sys(unshare, num(s, UNSHARE_FLAGS))); return;
	case OP_TIME_NAMESPACE: do_time_namespace(s); return;
	case OP_KEYRING: do_keyring(s); return;
	case OP_PROPAGATION: check(s, "set propagation", sys(mount, 0, str(s, PROPAGATION_PATH), 0, num(s, PROPAGATION_FLAGS), 0)); return;
	case OP_ROOTFS: do_rootfs(s); return;
	case OP_OWN_FILES: do_own_files(s); return;
	case OP_MOUNT: do_mount(s); return;
	case OP_MOUNT_ID_MAPPED: do_mount_idmapped(s); return;
	case OP_BIND: do_bind(s); return;
	case OP_REMOUNT: do_remount(s); return;
	case OP_MKDIR: make_directory(s); return;
	case OP_MKNOD: do_mknod(s); return;
	case OP_BIND_DEVICE: do_bind_device(s); return;
	case OP_SYMLINK: do_symlink(s); return;
	case OP_PTY: do_pty(s); return;
	case OP_SEND_FILE: do_send_file(s); return;
	case OP_HOSTNAME: check(s, "sethostname", sys(sethostname, str(s, HOSTNAME_NAME), str_len(str(s, HOSTNAME_NAME)))); return;
	case OP_DOMAINNAME: check(s, "setdomainname", sys(setdomainname, str(s, DOMAINNAME_NAME), str_len(str(s, DOMAINNAME_NAME)))); return;
	case OP_LOOPBACK: do_loopback(s); return;
	case OP_SYSCTL: write_proc(s, str(s, SYSCTL_PATH), str(s, SYSCTL_VALUE)); return;
	case OP_MASK: do_mask(s); return;
	case OP_READ_ONLY: do_read_only(s); return;
	case OP_ROOT_ATTR: do_root_attr(s); return;
	case OP_PIVOT: do_pivot(s); return;
	case OP_CHROOT: do_chroot(s); return;
	case OP_ROOT_PROPAGATION: check(s, "set propagation", sys(mount, 0, "/", 0, num(s, ROOT_PROPAGATION_FLAGS), 0)); return;
	case OP_ENTER_ROOT: enter_root(s); return;
	case OP_NEXT_PLAN:
		report(s, REPORT_PHASE_DONE, 0);
		take_plan(s);
		return; /* take_plan left s->at in front of the first one */
	case OP_SESSION: do_session(s); return;
	case OP_RLIMIT: do_rlimit(s); return;
	case OP_UMASK: set_umask(s); return;
	case OP_PERSONALITY: check(s, "personality", sys(personality, num(s, PERSONALITY_DOMAIN))); return;
	case OP_SCHEDULER: set_scheduler(s); return;
	case OP_IO_PRIORITY: check(s, "ioprio_set", sys(ioprio_set, 2 /* IOPRIO_WHO_PGRP */, 0, num(s, IO_PRIORITY_VALUE))); return;
	case OP_AFFINITY: set_affinity(s); return;
	case OP_MEMORY_POLICY: set_memory_policy(s); return;
	case OP_LABEL: set_label(s); return;
	case OP_NO_NEW_PRIVS: check(s, "PR_SET_NO_NEW_PRIVS", sys(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); return;
	case OP_BOUNDING: do_bounding(s); return;
	case OP_USER: do_user(s); return;
	case OP_CAPABILITIES: do_capabilities(s); return;
	case OP_CHDIR: do_chdir(s); return;
	case OP_LANDLOCK_RULESET: do_landlock_ruleset(s); return;
	case OP_LANDLOCK_PATH: do_landlock_path(s); return;
	case OP_LANDLOCK_PORT: do_landlock_port(s); return;
	case OP_LANDLOCK_RESTRICT: do_landlock_restrict(s); return;
	case OP_SECCOMP: do_seccomp(s); return;
	case OP_CLOSE_FROM: do_close_from(s); return;
	case OP_LOOK_UP: do_look_up(s); return;
	case OP_REPORT_READY:
		send_times(s);
		report(s, REPORT_READY, 0);
		return;
	case OP_PARK: do_park(s); return;
	case OP_LET_GO: do_let_go(s); return;
	case OP_EXEC: do_exec(s);
	case OP_END: break;
	}
	fail(s, "unknown instruction", -EINVAL);
}

/* The caller's procfs, before anything of the container is in view. */
static void open_proc(struct stage *s)
{
	struct statfs st;

	s->proc = (int)sys(openat, AT_FDCWD_, "/proc", O_PATH_CLOEXEC | O_DIRECTORY, 0);
	check(s, "open /proc", s->proc);
	check(s, "fstatfs", sys(fstatfs, s->proc, &st));
	if (st.f_type != PROC_MAGIC)
		fail(s, "/proc is not a procfs", -ENODEV);
}

static int parse_fd(const char *p)
{
	int n = 0;

	if (!*p || str_len(p) > 6)
		return -1;
	for (; *p; p++) {
		if (*p < '0' || *p > '9')
			return -1;
		n = n * 10 + (*p - '0');
	}
	return n;
}

static const char usage[] = "davit-stage: executes a container's plan; started by davit, not by hand\n";

/* argv[1] is the number of the socket to davit; the descriptors below it, all of them open, are those of the container's process. */
__attribute__((noreturn, used)) void start(long *stack)
{
	static struct stage s;
	const char **argv = (const char **)(stack + 1);

	s.at = NO_INSN;
	s.sock = stack[0] == 2 ? parse_fd(argv[1]) : -1;
	if (s.sock < 3 || sys(fcntl, s.sock, F_SETFD, FD_CLOEXEC) < 0) {
		sys(write, 2, usage, sizeof(usage) - 1);
		quit(2);
	}
	s.root = s.files = s.host_root = s.pty = s.empty = s.ruleset = -1;
	/* From here on no other process can look into this one, and nothing is open that davit didn't hand over. */
	set_dumpable(&s, 0);
	check(&s, "close_range", sys(close_range, s.sock + 1, ~0U, 0));
	reset_signals();
	s.umask = (u32)sys(umask, 0);
	open_proc(&s);
	/* Otherwise it goes by the number of its memfd. */
	sys(prctl, PR_SET_NAME, "davit-stage", 0, 0, 0);
	take_plan(&s);
	for (s.at = 0; s.at < s.plan.insns; s.at++) {
		execute(&s);
		note_time(&s);
	}
	s.at = s.plan.insns - 1;
	fail(&s, "the plan ends without exec", -EINVAL);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tand sp, x0, #-16\n\tb start\n");
#elif defined(__riscv)
__asm__(".globl _start\n_start:\n\tmv a0, sp\n\tandi sp, sp, -16\n\ttail start\n");
#endif
