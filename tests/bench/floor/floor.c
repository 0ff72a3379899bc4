/*
 * floor DIR ID: the physical limit that container runtimes are measured against.
 *
 * One C program that asks the kernel for what the default configuration asks
 * for (the same namespaces, mounts, device nodes, masked paths, pivot_root,
 * capabilities, a cgroup) and executes /bin/true of DIR/rootfs in it, with nothing around
 * it: no configuration is read, no state is kept, no error explained, no
 * hostile root file system feared. What a runtime takes beyond this is its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEED(what, call) do { if ((call) < 0) { perror(what); _exit(1); } } while (0)

static const char *const masked_files[] = { "proc/kcore", "proc/keys", "proc/latency_stats", "proc/timer_list", "proc/sched_debug" };
static const char *const masked_dirs[] = { "proc/acpi", "proc/asound", "proc/scsi", "sys/firmware" };
static const char *const read_only[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
static const struct { const char *path; int major, minor; } nodes[] = {
	{ "dev/null", 1, 3 }, { "dev/zero", 1, 5 }, { "dev/full", 1, 7 }, { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 },
};
static const struct { const char *to, *at; } links[] = {
	{ "/proc/self/fd", "dev/fd" }, { "/proc/self/fd/0", "dev/stdin" }, { "/proc/self/fd/1", "dev/stdout" },
	{ "/proc/self/fd/2", "dev/stderr" }, { "pts/ptmx", "dev/ptmx" },
};
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void mount_all(const char *rootfs)
{
	const unsigned long safe = MS_NOSUID | MS_NOEXEC | MS_NODEV;

	NEED("make private", mount(0, "/", 0, MS_PRIVATE | MS_REC, 0));
	NEED("bind rootfs", mount(rootfs, rootfs, 0, MS_BIND | MS_REC, 0));
	NEED("chdir rootfs", chdir(rootfs));
	mkdir("proc", 0755), mkdir("dev", 0755), mkdir("sys", 0755);
	NEED("proc", mount("proc", "proc", "proc", 0, 0));
	NEED("dev", mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	NEED("mkdir", mkdir("dev/pts", 0755));
	NEED("pts", mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	NEED("mkdir", mkdir("dev/shm", 0755));
	NEED("shm", mount("shm", "dev/shm", "tmpfs", safe, "mode=1777,size=65536k"));
	NEED("mkdir", mkdir("dev/mqueue", 0755));
	NEED("mqueue", mount("mqueue", "dev/mqueue", "mqueue", safe, 0));
	NEED("sysfs", mount("sysfs", "sys", "sysfs", safe | MS_RDONLY, 0));
	NEED("cgroup", mount("cgroup", "sys/fs/cgroup", "cgroup2", safe | MS_RDONLY, 0));
	for (size_t i = 0; i < COUNT(nodes); i++)
		NEED(nodes[i].path, mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for (size_t i = 0; i < COUNT(links); i++)
		NEED(links[i].at, symlink(links[i].to, links[i].at));
}

/* Whichever of the paths the kernel doesn't have is passed over. */
static void cover(void)
{
	for (size_t i = 0; i < COUNT(read_only); i++)
		if (!mount(read_only[i], read_only[i], 0, MS_BIND | MS_REC, 0))
			NEED(read_only[i], mount(0, read_only[i], 0, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, 0));
	for (size_t i = 0; i < COUNT(masked_files); i++)
		mount("dev/null", masked_files[i], 0, MS_BIND, 0);
	for (size_t i = 0; i < COUNT(masked_dirs); i++)
		mount("tmpfs", masked_dirs[i], "tmpfs", MS_RDONLY, "nr_blocks=1,nr_inodes=1");
}

static void enter_root(void)
{
	int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	NEED("pivot_root", syscall(SYS_pivot_root, ".", "."));
	NEED("fchdir", fchdir(old));
	NEED("make old root private", mount(0, ".", 0, MS_PRIVATE | MS_REC, 0));
	NEED("umount old root", umount2(".", MNT_DETACH));
	NEED("chdir", chdir("/"));
	NEED("read-only root", mount(0, "/", 0, MS_BIND | MS_REMOUNT | MS_RDONLY, 0));
}

static void drop_privileges(void)
{
	const unsigned keep = 1U << CAP_KILL | 1U << CAP_NET_BIND_SERVICE | 1U << CAP_AUDIT_WRITE;
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2] = { { keep, keep, 0 }, { 0, 0, 0 } };

	for (int c = 0; c <= 40; c++)
		if (c > 31 || !(keep & 1U << c))
			prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	NEED("capset", syscall(SYS_capset, &header, sets));
	NEED("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int main(int argc, char **argv)
{
	char rootfs[4096], cgroup[4096];
	struct clone_args clone = { .exit_signal = SIGCHLD };
	int status, pid;

	if (argc != 3)
		return fprintf(stderr, "usage: floor DIR ID\n"), 2;
	snprintf(rootfs, sizeof(rootfs), "%s/rootfs", argv[1]);
	snprintf(cgroup, sizeof(cgroup), "/sys/fs/cgroup/%s", argv[2]);
	NEED("mkdir cgroup", mkdir(cgroup, 0755));
	clone.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_INTO_CGROUP;
	clone.cgroup = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid = (int)syscall(SYS_clone3, &clone, sizeof(clone));
	if (!pid) {
		setsid();
		mount_all(rootfs);
		cover();
		NEED("sethostname", sethostname("davit", 5));
		enter_root();
		drop_privileges();
		execve("/bin/true", (char *[]){ "/bin/true", 0 }, (char *[]){ "PATH=/bin", 0 });
		_exit(127);
	}
	NEED("clone3", pid);
	NEED("wait", waitpid(pid, &status, 0));
	NEED("rmdir", rmdir(cgroup));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
