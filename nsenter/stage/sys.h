/*
 * The kernel as the stage sees it: system calls without a C library. The stage
 * is linked against nothing, so that it starts in a fraction of the time of a
 * static libc program and holds no code that the plan can't reach.
 *
 * Every wrapper returns what the kernel returned: a negative errno on failure.
 */
#ifndef SYS_H
#define SYS_H

#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <linux/stat.h>
#include <linux/types.h>
#include <asm/errno.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 i32;
typedef __s64 i64;

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#elif defined(__riscv) && __riscv_xlen == 64
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long a7 __asm__("a7") = n;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;
	register long a5 __asm__("a5") = f;
	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
}
#else
#error "the stage has no system call sequence for this architecture"
#endif

#define SYS_PICK(_1, _2, _3, _4, _5, _6, _7, name, ...) name
#define sys(...) SYS_PICK(__VA_ARGS__, SYS_6, SYS_5, SYS_4, SYS_3, SYS_2, SYS_1, SYS_0)(__VA_ARGS__)
#define L(x) ((long)(x))
#define SYS_0(n) sys6(__NR_##n, 0, 0, 0, 0, 0, 0)
#define SYS_1(n, a) sys6(__NR_##n, L(a), 0, 0, 0, 0, 0)
#define SYS_2(n, a, b) sys6(__NR_##n, L(a), L(b), 0, 0, 0, 0)
#define SYS_3(n, a, b, c) sys6(__NR_##n, L(a), L(b), L(c), 0, 0, 0)
#define SYS_4(n, a, b, c, d) sys6(__NR_##n, L(a), L(b), L(c), L(d), 0, 0)
#define SYS_5(n, a, b, c, d, e) sys6(__NR_##n, L(a), L(b), L(c), L(d), L(e), 0)
#define SYS_6(n, a, b, c, d, e, f) sys6(__NR_##n, L(a), L(b), L(c), L(d), L(e), L(f))

/* Constants of headers that can't be used without a C library, or that are newer than the build host's. */
#define AT_FDCWD_ (-100)
#define O_PATH_CLOEXEC (O_PATH | O_CLOEXEC)
#define S_IFMT_ 0170000
#define S_IFIFO_ 0010000
#define S_IFCHR_ 0020000
#define S_IFDIR_ 0040000
#define S_IFBLK_ 0060000
#define S_IFREG_ 0100000
#define S_IFLNK_ 0120000
#define PROC_MAGIC 0x9fa0
#define DEVPTS_MAGIC 0x1cd1
#define MOUNT_ATTR_IDMAP_ 0x00100000
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

static inline size_t str_len(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

static inline int str_eq(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Appends s to the NUL-terminated buf of cap bytes, cutting it short where it doesn't fit. */
static inline void str_add(char *buf, size_t cap, const char *s)
{
	size_t n = str_len(buf);
	while (*s && n + 1 < cap)
		buf[n++] = *s++;
	buf[n] = 0;
}

static inline void num_add(char *buf, size_t cap, u64 v)
{
	char digits[24];
	int i = sizeof(digits);
	digits[--i] = 0;
	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	str_add(buf, cap, digits + i);
}

#endif
