/*
 * davit's stage: it executes a plan inside the new namespaces and ends in
 * execve. It decides nothing; every instruction is a kernel operation that the
 * compiler chose. See isa/isa.go for what each one does.
 */
#ifndef STAGE_H
#define STAGE_H

#include "sys.h"
#include "isa_gen.h"

/* The wire format of a plan; encode.go writes it. All numbers are the machine's own. */
struct plan_header {
	char magic[8];
	u32 version;  /* ISA_VERSION */
	u32 size;     /* of the whole plan in bytes */
	u32 insns;    /* number of instructions, directly behind the header */
	u32 pool_off; /* the string pool: begins and ends with a NUL, starts on 8 bytes */
	u32 pool_len;
	u32 timed;    /* 1: tell when each instruction ended */
};

struct insn {
	u32 op;
	u32 zero;
	u64 arg[MAX_ARGS];
};

#define PLAN_MAGIC "davitpln"
#define PLAN_MAX (64u << 20)
#define TIMES_MAX 4096
#define NO_SLOT ((u64)-1)
#define NO_INSN ((u32)-1) /* what is reported is about no instruction */

struct plan {
	const struct insn *insn;
	u32 insns;
	const char *pool;
	int timed;
};

/* decode checks a plan of len bytes once, completely, for a stage with so many slots; afterwards every operand can be used as it is. */
int decode(const void *data, u64 len, u64 slots, struct plan *out);

struct stage {
	struct plan plan;
	u32 at;              /* index of the instruction being executed */
	int sock;            /* the conversation with davit */
	u32 ahead;           /* CLONE_NEW* flags of namespaces that were made before the plan was known */
	u32 tokens;          /* bit mask of what davit said it has done */
	int root;            /* the container's root directory */
	int proc;            /* the caller's procfs, opened before anything of the container is in view */
	int files;           /* of the caller's procfs the directory of this process's descriptors, where nothing else shall stay open */
	int host_root;       /* the caller's root directory, left behind by pivot */
	int pty;             /* the container's end of its terminal */
	int empty;           /* the read-only tmpfs that masks directories */
	int ruleset;         /* of Landlock, until it is enforced */
	int slot[SLOTS];     /* descriptors from davit */
	u32 slots;
	int in_cwd;          /* the working directory is set and verified */
	u32 umask;           /* of davit's caller */
	u32 times;
	u64 time[TIMES_MAX];         /* of CLOCK_MONOTONIC in ns: when each plan was there, and when each of its instructions ended */
	char detail[DETAIL_SIZE];    /* what the kernel or the stage says about the failure at hand */
};

/* What the stage reports; the same layout is in stage.go. */
struct report {
	u32 type;
	u32 index;
	i32 err;
	i32 value;
	char call[CALL_SIZE];
	char detail[DETAIL_SIZE];
};

/* A timed plan's times, value of them, in as many of these as it takes. */
#define TIMES_IN_REPORT 256
struct times_report {
	u32 type;
	u32 index;
	i32 err;
	i32 value;
	u64 time[TIMES_IN_REPORT];
};

/* On a failed execve: errno, the path tried and the first bytes of that file, so that davit can say what is wrong with it. */
struct exec_report {
	u32 type;
	u32 index;
	i32 err;
	u32 head_len;
	char path[PATH_SIZE];
	u8 head[HEAD_SIZE];
};

static inline u64 num(const struct stage *s, int i)
{
	return s->plan.insn[s->at].arg[i];
}

static inline const char *str(const struct stage *s, int i)
{
	return s->plan.pool + num(s, i);
}

static inline const char *blob(const struct stage *s, int i, u32 *len)
{
	*len = (u32)(num(s, i) >> 32);
	return s->plan.pool + (u32)num(s, i);
}

/* The first string of a list and how many there are; the next one is behind the NUL. */
static inline const char *list(const struct stage *s, int i, u32 *count)
{
	return blob(s, i, count);
}

static inline const char *next(const char *p)
{
	return p + str_len(p) + 1;
}

static inline int slot(const struct stage *s, int i)
{
	u64 v = num(s, i);
	return v == NO_SLOT ? -1 : s->slot[v];
}

/* talk.c: the conversation with davit */
void send_report(struct stage *s, const void *data, size_t len, int fd);
void report(struct stage *s, u32 type, long value);
void send_fd(struct stage *s, u32 kind, int fd);
void fail(struct stage *s, const char *call, long err) __attribute__((noreturn));
void check(struct stage *s, const char *call, long ret);
void take_plan(struct stage *s);
void note_time(struct stage *s);
void send_times(struct stage *s);
void wait_token(struct stage *s, u32 token);
void *map_memory(struct stage *s, u64 size);
void quit(int code) __attribute__((noreturn));

/* path.c: paths of the container, resolved below its root and nowhere else */
int root_open(struct stage *s, const char *path, u64 flags, u64 resolve);
int make_dir(struct stage *s, const char *path, u32 mode);
int make_target(struct stage *s, const char *path);
int make_parent(struct stage *s, const char *path, const char **name);
int proc_open(struct stage *s, const char *path, u64 flags);
void write_proc(struct stage *s, const char *path, const char *value);
int reopen(struct stage *s, int fd, u64 flags);
void do_own_files(struct stage *s);
void fd_path(char out[32], int fd);
u32 file_mode(struct stage *s, int fd, u64 *device);

/* The rooms of the instructions. */
void do_join(struct stage *s);
void do_clone(struct stage *s);
void set_dumpable(struct stage *s, u64 value);
void set_groups(struct stage *s, int how, u64 count, const void *groups);
void do_become_root(struct stage *s);
void do_time_namespace(struct stage *s);
void do_keyring(struct stage *s);
void do_raise_limit(struct stage *s);
void do_loopback(struct stage *s);

void do_rootfs(struct stage *s);
void do_mount(struct stage *s);
void do_mount_idmapped(struct stage *s);
void do_bind(struct stage *s);
void do_remount(struct stage *s);
void do_mask(struct stage *s);
void do_read_only(struct stage *s);
void do_root_attr(struct stage *s);
void do_pivot(struct stage *s);
void do_chroot(struct stage *s);

void do_mknod(struct stage *s);
void do_bind_device(struct stage *s);
void do_symlink(struct stage *s);
void do_pty(struct stage *s);
void do_send_file(struct stage *s);
void attach(struct stage *s, int mnt, int target);

/* mount.c: mounts that aren't attached yet, and their filesystems */
void fs_fail(struct stage *s, int fs, const char *call, long err) __attribute__((noreturn));
void configure(struct stage *s, int fs, const char *option);
int clone_mount(struct stage *s, int dir, const char *path, int recursive);
void change_attr(struct stage *s, int fd, u64 set);

/* copy.c: what a new tmpfs takes over from the directory that it hides */
enum { COPY_MODE = 1, COPY_OWNER = 2, COPY_CONTENT = 4 };
void copy_up(struct stage *s, int from, int mnt, u32 what);
u64 kernel_dev(u64 device);
void do_landlock_ruleset(struct stage *s);
void do_landlock_path(struct stage *s);
void do_landlock_port(struct stage *s);
void do_landlock_restrict(struct stage *s);

void do_session(struct stage *s);
void do_rlimit(struct stage *s);
void do_bounding(struct stage *s);
void do_user(struct stage *s);
void do_capabilities(struct stage *s);
void do_chdir(struct stage *s);
void do_seccomp(struct stage *s);
void do_close_from(struct stage *s);
void do_let_go(struct stage *s);
void do_look_up(struct stage *s);
void do_park(struct stage *s);
void do_exec(struct stage *s) __attribute__((noreturn));

#endif
