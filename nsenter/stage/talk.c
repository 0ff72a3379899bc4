/*
 * The conversation with davit: one SEQPACKET socket, over which plans and
 * tokens come in and reports go out. When davit dies the socket ends, and with
 * it the stage: nothing half made stays behind without an owner.
 */
#include "stage.h"
#include <asm-generic/socket.h>
#include <linux/memfd.h>

#define MSG_NOSIGNAL_ 0x4000
#define MSG_CTRUNC_ 0x8
#define MSG_CMSG_CLOEXEC_ 0x40000000
#define SCM_RIGHTS_ 1
#define PROT_READ_ 1
#define PROT_WRITE_ 2
#define MAP_PRIVATE_ 2
#define MAP_ANONYMOUS_ 0x20
#define SEALS (0x2 | 0x4 | 0x8) /* F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE */

/*
 * What davit sends: MESSAGE_PLAN with the plan's memfd first and the descriptors of its slots behind, MESSAGE_TOKEN, or, in
 * front of the first plan, MESSAGE_AHEAD with the CLONE_NEW* flags of namespaces that its clone is going to ask for.
 */
enum { MESSAGE_PLAN = 1, MESSAGE_TOKEN = 2, MESSAGE_AHEAD = 3 };

struct message {
	u32 type;
	u32 value;
};

struct iov {
	void *base;
	size_t len;
};

struct msghdr_ {
	void *name;
	i32 namelen;
	struct iov *iov;
	size_t iovlen;
	void *control;
	size_t controllen;
	u32 flags;
};

struct cmsg {
	size_t len;
	i32 level;
	i32 type;
};

/* The most that davit sends at a time: a plan's memfd and all slots. */
#define FDS_MAX (SLOTS + 1)

struct control {
	struct cmsg header;
	int fd[FDS_MAX];
};

void quit(int code)
{
	for (;;)
		sys(exit_group, code);
}

/* Sends to davit: over the socket or, once parked, over the exec FIFO. */
void send_report(struct stage *s, const void *data, size_t len, int fd)
{
	struct iov iov = { (void *)data, len };
	struct control control;
	/* CMSG_SPACE: the payload is padded to the alignment of a long. */
	struct msghdr_ msg = { .iov = &iov, .iovlen = 1, .control = &control, .controllen = sizeof(struct cmsg) + sizeof(long) };
	long ret;

	control.header = (struct cmsg){ sizeof(struct cmsg) + sizeof(int), SOL_SOCKET, SCM_RIGHTS_ };
	control.fd[0] = fd;
	do
		/* Without a descriptor write(2) does: it is what a seccomp filter with user notification has to let through. */
		ret = fd >= 0 ? sys(sendmsg, s->sock, &msg, MSG_NOSIGNAL_) : sys(write, s->sock, data, len);
	while (ret == -EINTR);
	if (ret < 0)
		quit(1);
}

void report(struct stage *s, u32 type, long value)
{
	struct report r = { .type = type, .index = s->at, .value = (i32)value };

	send_report(s, &r, offsetof(struct report, call), -1);
}

void send_fd(struct stage *s, u32 kind, int fd)
{
	struct report r = { .type = REPORT_FILE, .index = s->at, .err = fd < 0 ? -fd : 0, .value = (i32)kind };

	send_report(s, &r, offsetof(struct report, call), fd);
}

void fail(struct stage *s, const char *call, long err)
{
	struct report r = { .type = REPORT_FAILED, .index = s->at, .err = (i32)-err };

	str_add(r.call, sizeof(r.call), call);
	str_add(r.detail, sizeof(r.detail), s->detail);
	send_report(s, &r, sizeof(r), -1);
	quit(1);
}

void check(struct stage *s, const char *call, long ret)
{
	if (ret < 0)
		fail(s, call, ret);
}

static struct message receive(struct stage *s, int fds[FDS_MAX], u32 *count)
{
	struct message m;
	struct iov iov = { &m, sizeof(m) };
	struct control control;
	/* Not sizeof: the padding at its end would take one descriptor more. */
	struct msghdr_ msg = { .iov = &iov, .iovlen = 1, .control = &control, .controllen = sizeof(struct cmsg) + sizeof(control.fd) };
	long ret;

	do
		ret = sys(recvmsg, s->sock, &msg, MSG_CMSG_CLOEXEC_);
	while (ret == -EINTR);
	/* davit is gone, or gave the container up: so does the stage. */
	if (ret != sizeof(m))
		quit(1);
	if (msg.flags & MSG_CTRUNC_)
		fail(s, "recvmsg", -EMFILE);
	*count = 0;
	if (msg.controllen >= sizeof(struct cmsg) && control.header.level == SOL_SOCKET && control.header.type == SCM_RIGHTS_) {
		*count = (u32)((control.header.len - sizeof(struct cmsg)) / sizeof(int));
		for (u32 i = 0; i < *count && i < FDS_MAX; i++)
			fds[i] = control.fd[i];
	}
	return m;
}

void *map_memory(struct stage *s, u64 size)
{
	long p = sys(mmap, 0, size, PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);

	if (p < 0 && p > -4096)
		fail(s, "mmap", p);
	return (void *)p;
}

/* Maps the plan that davit sends next and puts its descriptors into the slots behind those that are taken. */
void take_plan(struct stage *s)
{
	int fds[FDS_MAX];
	u32 count;
	struct message m;
	long size, base, seals;

	s->at = NO_INSN;
	m = receive(s, fds, &count);
	if (m.type == MESSAGE_AHEAD && !s->ahead && !s->plan.insns) {
		/* What can't be made now is left to the clone, which reports why. */
		if (sys(unshare, m.value) == 0)
			s->ahead = m.value;
		m = receive(s, fds, &count);
	}
	if (m.type != MESSAGE_PLAN || count == 0 || count - 1 > SLOTS - s->slots)
		fail(s, "receive plan", -EPROTO);
	/* Sealed, so that what is checked is what is executed. */
	seals = sys(fcntl, fds[0], 1034 /* F_GET_SEALS */, 0);
	if (seals < 0 || (seals & SEALS) != SEALS)
		fail(s, "plan is not sealed", -EPERM);
	size = sys(lseek, fds[0], 0, 2 /* SEEK_END */);
	check(s, "lseek", size);
	base = sys(mmap, 0, size, PROT_READ_, MAP_PRIVATE_, fds[0], 0);
	if (base < 0 && base > -4096)
		fail(s, "mmap", base);
	sys(close, fds[0]);
	check(s, "decode plan", decode((void *)base, (u64)size, s->slots + count - 1, &s->plan));
	for (u32 i = 1; i < count; i++)
		s->slot[s->slots++] = fds[i];
	note_time(s);
}

/* By read(2): a filter that is loaded already lets that pass sooner than recvmsg(2). */
void note_time(struct stage *s)
{
	struct {
		i64 sec, nsec;
	} now;

	if (!s->plan.timed || s->times == TIMES_MAX)
		return;
	sys(clock_gettime, 1 /* CLOCK_MONOTONIC */, &now);
	s->time[s->times++] = (u64)now.sec * 1000000000 + (u64)now.nsec;
}

void send_times(struct stage *s)
{
	struct times_report r = { .type = REPORT_TIMES, .index = s->at };

	for (u32 i = 0; i < s->times; i += (u32)r.value) {
		r.value = s->times - i < TIMES_IN_REPORT ? (i32)(s->times - i) : TIMES_IN_REPORT;
		for (i32 k = 0; k < r.value; k++)
			r.time[k] = s->time[i + (u32)k];
		send_report(s, &r, offsetof(struct times_report, time) + (size_t)r.value * sizeof(u64), -1);
	}
	s->times = 0;
	s->plan.timed = 0; /* what comes next is the process's own time */
}

void wait_token(struct stage *s, u32 token)
{
	if (token > 31)
		fail(s, "unknown token", -EINVAL);
	while (!(s->tokens & (1u << token))) {
		struct message m;
		long ret = sys(read, s->sock, &m, sizeof(m));

		if (ret == -EINTR)
			continue;
		/* davit is gone, or gave the container up: so does the stage. */
		if (ret == 0 || ret == -ECONNRESET)
			quit(1);
		check(s, "read", ret);
		if (ret != sizeof(m) || m.type != MESSAGE_TOKEN || m.value > 31)
			fail(s, "receive token", -EPROTO);
		s->tokens |= 1u << m.value;
	}
}
