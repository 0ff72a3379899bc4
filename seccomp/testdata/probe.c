/*
 * Loads a filter into itself and makes system calls, whose results it leaves in
 * a file that it has mapped: what the filter forbids can't keep it from telling.
 *
 * probe PROGRAM FLAGS RESULTS [s] [w] [i:|t:]NR[,ARG...] ...
 *   s   catch SIGSYS and record what it says
 *   w   wait after loading until the parent sets results[GO]
 *   i:  call through the i386 entry
 *   t:  call in a second thread, and go on when that thread has ended
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOADED, GO, DONE, TRAP_NR, TRAP_ERRNO, TRAP_ARCH, CALLS = 8, SLOTS = 512 };

static volatile long *results;

#if defined(__x86_64__)
static long call64(const unsigned long *a)
{
	register long r10 __asm__("r10") = a[4], r8 __asm__("r8") = a[5], r9 __asm__("r9") = a[6];
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(a[0]), "D"(a[1]), "S"(a[2]), "d"(a[3]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}

static long call32(const unsigned long *a)
{
	int ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"((int)a[0]), "b"((int)a[1]), "c"((int)a[2]), "d"((int)a[3]) : "r8", "r9", "r10", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static long call64(const unsigned long *a)
{
	register long x8 __asm__("x8") = a[0];
	register long x0 __asm__("x0") = a[1], x1 __asm__("x1") = a[2], x2 __asm__("x2") = a[3];
	register long x3 __asm__("x3") = a[4], x4 __asm__("x4") = a[5], x5 __asm__("x5") = a[6];

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

static long call32(const unsigned long *a)
{
	(void)a;
	abort();
}
#endif

struct thread {
	unsigned long args[7];
	volatile long *result;
	volatile int alive;
};

static int thread_main(void *p)
{
	struct thread *t = p;
	unsigned long exit_thread[7] = { SYS_exit };

	*t->result = call64(t->args);
	call64(exit_thread);
	return 0;
}

static void in_thread(struct thread *t)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	t->alive = 1;
	if (stack == MAP_FAILED || clone(thread_main, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID, t, NULL, NULL, &t->alive) < 0)
		abort();
	while (t->alive)
		;
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	results[TRAP_NR] = info->si_syscall;
	results[TRAP_ERRNO] = info->si_errno;
	results[TRAP_ARCH] = info->si_arch;
}

static void parse(const char *text, unsigned long *args)
{
	for (int i = 0; i < 7; i++) {
		char *end;

		args[i] = strtoul(text, &end, 0);
		if (*end != ',')
			return;
		text = end + 1;
	}
}

int main(int argc, char **argv)
{
	static char program[8 * 4096 + 1];
	struct sock_fprog fprog = { .filter = (void *)program };
	int fd = open(argv[1], O_RDONLY), out = open(argv[3], O_RDWR), wait = 0;
	long size = read(fd, program, sizeof(program));
	unsigned long flags = strtoul(argv[2], NULL, 0), leave[7] = { SYS_exit_group };
	struct sigaction action = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };

	if (argc < 4 || fd < 0 || out < 0 || size <= 0 || size % 8 || size == sizeof(program))
		return 101;
	close(fd);
	fprog.len = size / 8;
	results = mmap(NULL, SLOTS * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	if (results == MAP_FAILED || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return 102;
	close(out);
	argv += 4;
	for (; *argv && (*argv)[1] == 0 && ((*argv)[0] == 's' || (*argv)[0] == 'w'); argv++) {
		if (**argv == 's' && sigaction(SIGSYS, &action, NULL))
			return 103;
		wait |= **argv == 'w';
	}
	results[LOADED] = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
	if (results[LOADED] < 0)
		return 104;
	while (wait && !results[GO])
		;
	for (volatile long *result = results + CALLS; *argv; argv++, result++) {
		struct thread t = { .result = result };

		if ((*argv)[1] == ':') {
			parse(*argv + 2, t.args);
			if (**argv == 't')
				in_thread(&t);
			else
				*result = call32(t.args);
		} else {
			parse(*argv, t.args);
			*result = call64(t.args);
		}
	}
	results[DONE] = 1;
	call64(leave);
	__builtin_trap();
}
