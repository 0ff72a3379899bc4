//go:build cgo

/*
 * What davit does before the Go runtime starts. The Go runtime takes longer to
 * start than a container takes to build, so the stage is started first and
 * comes to life beside it, and the runtime is told to be small: davit's
 * commands do one thing after the other and live for milliseconds.
 *
 * The linker puts the functions __wrap_x in front of x (--wrap, see the
 * Makefile). A program that only imports davit's packages isn't linked so and
 * runs none of this. There is no libc in here but clone(3): errno and the rest
 * belong to a thread that the child shares with us.
 */
#include "stage/sys.h"
#include <linux/memfd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif
#define AF_UNIX_ 1
#define SOCK_SEQPACKET_CLOEXEC (5 | O_CLOEXEC)
#define SIGCHLD_ 17
#define AT_EMPTY_PATH_ 0x1000
#define RLIMIT_NOFILE_ 7
#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
/* The descriptor at which the stage finds its socket: the first behind the standard streams. */
#define STAGE_SOCK 3
/* How late, in ns, a timer of the Go runtime may fire. Its monitor thread asks to be woken every 20 us and has nothing to do. */
#define TIMER_SLACK 2000000
#define ENTRIES_MAX 8192

int clone(int (*)(void *), void *, int, void *, ...);
int __real_main(int argc, char **argv, char **envp) __attribute__((weak));
int __wrap_main(int argc, char **argv, char **envp);

u64 davit_began;                  /* when main was called, in ns of CLOCK_MONOTONIC */
int davit_stage_pid;              /* 0: none was started */
int davit_stage_sock = -1;
long davit_timer_slack = -1;      /* of the caller, in ns; -1: it was left alone */
const char *davit_gomaxprocs;     /* what the caller's environment says, or NULL */
int davit_gomaxprocs_set;         /* it was replaced */

#if defined(__x86_64__) && __has_include("stage/bin/stage-amd64")
#define STAGE_FILE "stage/bin/stage-amd64"
#elif defined(__aarch64__) && __has_include("stage/bin/stage-arm64")
#define STAGE_FILE "stage/bin/stage-arm64"
#elif defined(__riscv) && __has_include("stage/bin/stage-riscv64")
#define STAGE_FILE "stage/bin/stage-riscv64"
#endif

#ifdef STAGE_FILE
__asm__(".section .rodata\n.balign 16\ndavit_stage_begin:\n.incbin \"" STAGE_FILE "\"\ndavit_stage_end:\n.byte 0\n.text\n");
extern const char davit_stage_begin[], davit_stage_end[];

/* Executes the stage from a memfd that nobody can change; memfd.go does the same, later. */
static int become_stage(void *sock)
{
	static char *const argv[] = { "davit-stage", "3", 0 }, *const env[] = { 0 };
	const char *p = davit_stage_begin;
	long n, from = (long)sock, exe = sys(memfd_create, "davit-stage", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (exe == -EINVAL) /* older than Linux 6.3 */
		exe = sys(memfd_create, "davit-stage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	while (exe >= 0 && p < davit_stage_end) {
		n = sys(write, exe, p, davit_stage_end - p);
		if (n < 0 && n != -EINTR)
			goto out;
		p += n > 0 ? n : 0;
	}
	if (exe < 0 || sys(fcntl, exe, F_ADD_SEALS, ALL_SEALS) < 0)
		goto out;
	if (exe == STAGE_SOCK)
		exe = sys(fcntl, exe, F_DUPFD_CLOEXEC, STAGE_SOCK + 1);
	n = from == STAGE_SOCK ? sys(fcntl, from, F_SETFD, 0) : sys(dup3, from, STAGE_SOCK, 0);
	if (n >= 0)
		sys(execveat, exe, "", argv, env, AT_EMPTY_PATH_);
out:
	sys(exit_group, 127);
	return 127;
}

static void start_stage(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	int pair[2];

	if (sys(socketpair, AF_UNIX_, SOCK_SEQPACKET_CLOEXEC, 0, pair) < 0)
		return;
	/* Not vfork: we go on while the stage is being executed. */
	davit_stage_pid = clone(become_stage, stack + sizeof(stack), CLONE_VM | SIGCHLD_, (void *)(long)pair[1]);
	sys(close, pair[1]);
	if (davit_stage_pid > 0)
		davit_stage_sock = pair[0];
	else
		sys(close, pair[0]);
}
#else
static void start_stage(void)
{
}
#endif

static int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static int starts(const char *p, const char *prefix)
{
	while (*prefix && *p == *prefix)
		p++, prefix++;
	return !*prefix;
}

/*
 * A guess: a stage that turns out not to be needed ends with us. A process
 * that is to inherit more than its standard streams needs another stage, and
 * so does one whose standard streams are closed.
 */
static int wants_stage(char **argv, char **envp)
{
	int wanted = 0;

	for (int i = 1; argv[0] && argv[i]; i++) {
		if (starts(argv[i], "--preserve-fds") || starts(argv[i], "-preserve-fds"))
			return 0;
		wanted |= equal(argv[i], "run") || equal(argv[i], "create") || equal(argv[i], "exec");
	}
	for (; *envp; envp++)
		if (starts(*envp, "LISTEN_FDS="))
			return 0;
	for (int fd = 0; fd < STAGE_SOCK; fd++)
		if (sys(fcntl, fd, F_GETFD, 0) < 0)
			return 0;
	return wanted;
}

static struct {
	u64 soft, hard;
} open_files;
static int open_files_lowered;

static void limit_open_files(u64 soft)
{
	u64 limit[2] = { soft, open_files.hard };

	sys(prlimit64, 0, RLIMIT_NOFILE_, limit, 0);
}

/*
 * The Go runtime reads /proc/self/mountinfo while it starts, whatever
 * GOMAXPROCS and GODEBUG say, which takes the longer the more mounts the host
 * has (runtime/cgroup_linux.go). Where it can't open it, it goes on without.
 */
static void forbid_open(void)
{
	for (int fd = 0; fd < STAGE_SOCK; fd++)
		if (sys(fcntl, fd, F_GETFD, 0) < 0)
			return; /* it opens /dev/null in their place */
	if (sys(prlimit64, 0, RLIMIT_NOFILE_, 0, &open_files) < 0)
		return;
	limit_open_files(0);
	open_files_lowered = 1;
}

/* What Go's runtime/cgo calls when the runtime is up, before any package of Go is initialized. */
void __real_x_cgo_notify_runtime_init_done(void *context) __attribute__((weak));
void __wrap_x_cgo_notify_runtime_init_done(void *context);

void __wrap_x_cgo_notify_runtime_init_done(void *context)
{
	if (open_files_lowered)
		limit_open_files(open_files.soft);
	__real_x_cgo_notify_runtime_init_done(context);
}

/* Copies what the kernel laid out (arguments, environment, auxiliary vector) with one processor for the Go runtime: more threads are only more to start. */
static int one_processor(int argc, char **argv, char **out)
{
	static char one[] = "GOMAXPROCS=1";
	int from = 0, to = 0;

	while (from <= argc)
		out[to++] = argv[from++];
	for (; argv[from]; from++) {
		if (to > ENTRIES_MAX - 80)
			return 0;
		if (starts(argv[from], "GOMAXPROCS="))
			davit_gomaxprocs = argv[from] + sizeof("GOMAXPROCS=") - 1;
		else
			out[to++] = argv[from];
	}
	out[to++] = one;
	out[to++] = argv[from++];
	do {
		if (to > ENTRIES_MAX - 2)
			return 0;
		out[to++] = argv[from];
		out[to++] = argv[from + 1];
		from += 2;
	} while (argv[from - 2]);
	davit_gomaxprocs_set = 1;
	return 1;
}

int __wrap_main(int argc, char **argv, char **envp)
{
	static char *copy[ENTRIES_MAX];
	struct {
		i64 sec, nsec;
	} now;

	sys(clock_gettime, 1 /* CLOCK_MONOTONIC */, &now);
	davit_began = (u64)now.sec * 1000000000 + (u64)now.nsec;
	if (wants_stage(argv, envp))
		start_stage();
	davit_timer_slack = sys(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	if (davit_timer_slack >= 0)
		sys(prctl, PR_SET_TIMERSLACK, TIMER_SLACK, 0, 0, 0);
	if (argc < ENTRIES_MAX / 2 && envp == argv + argc + 1 && one_processor(argc, argv, copy))
		argv = copy;
	forbid_open();
	return __real_main(argc, argv, argv + argc + 1);
}
