package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Young system calls
//
// A C library that meets a kernel without some new system call gets ENOSYS and
// falls back to an older one. A filter that answers EPERM, or kills, says
// something else: that the thing itself is forbidden. So whenever a C library
// starts to use a call that a profile's author couldn't have heard of, programs
// break in containers that have nothing to hide from them (statx, faccessat2
// and clone3 each did this once).
//
// The rule: for each architecture of the filter, numbers above both
//
//   - the largest number of all calls that the profile mentions, whatever
//     the action: the author knew of that one, and so of those before it, and
//   - the number of statx, the youngest call that all architectures had in Linux
//     4.12, the kernel of the day when this format of profiles was published
//     (runtime-spec 1.0, July 2017): whoever wrote a profile of three calls knew
//     the rest, and meant the default action for them,
//
// give ENOSYS. All others meet the rules as written. Numbers are given out in
// the order in which the calls come, with two exceptions: see outOfOrder.
//
// It is applied where the default action denies: ERRNO (unless it is ENOSYS
// anyway), TRAP and the KILLs. ALLOW and LOG are meant to let the unknown
// through; TRACE shows it to a tracer, without which the kernel gives ENOSYS by
// itself. An architecture of which the profile mentions no call has no limit,
// so that a bare default of KILL kills at the first call, as config-linux.md
// has it. A call is never allowed by this rule that the profile denies.

// numberLimit is the last number of an architecture that the profile's author knew.
type numberLimit struct {
	arch specs.Arch
	last uint32 // x32: without x32Bit
}

// lastOfFormat is the youngest call that every author of a profile could know.
const lastOfFormat = "statx"

// x32Bit marks the numbers of x32, whose seccomp_data.arch is x86-64's.
const x32Bit = 0x40000000

// youngNumbers are the ranges above the limit, ascending. They leave out
// outOfOrder's range. All of them end with -1: that is no system call, the
// kernel says ENOSYS to it, and a tracer that suppresses a call puts it there.
func (l numberLimit) youngNumbers() []numberRange {
	if l.arch == specs.ArchX86_64 { // above x32Bit are the numbers of another ABI
		return []numberRange{{l.last + 1, x32Bit - 1}, {maxNumber, maxNumber}}
	}
	var base uint32
	if l.arch == specs.ArchX32 {
		base = x32Bit
	}
	first, last := outOfOrder(l.arch)
	if last == 0 || l.last > last {
		return []numberRange{{base + l.last + 1, maxNumber}}
	}
	return []numberRange{{base + l.last + 1, base + first - 1}, {base + last + 1, maxNumber}}
}

type numberRange struct{ first, last uint32 }

const maxNumber = 1<<32 - 1

// outOfOrder is a range of numbers that never are young and say nothing about
// what the author knew. Those of x32 are the calls whose structures differ from
// x86-64's, a range that the kernel has closed; those of ARM are private to the
// architecture (__ARM_NR_BASE).
func outOfOrder(a specs.Arch) (first, last uint32) {
	switch a {
	case specs.ArchX32:
		return 512, 547
	case specs.ArchARM:
		return 0x0f0000, 0x0fffff
	}
	return 0, 0
}

// limitOf is the limit that follows from the numbers which a profile mentions,
// if statx is the last one that it could know.
func limitOf(a specs.Arch, mentioned []uint32, statx uint32) numberLimit {
	l := numberLimit{arch: a}
	for _, nr := range append(mentioned, statx) {
		if a == specs.ArchX32 {
			nr &^= x32Bit
		}
		if inOrder(a, nr) {
			l.last = max(l.last, nr)
		}
	}
	return l
}

// inOrder: the number says when the call came. The bit of x32 is cleared.
func inOrder(a specs.Arch, nr uint32) bool {
	first, last := outOfOrder(a)
	return nr < first || nr > last || last == 0
}

// deniesUnknown: the default action keeps calls from being made.
func (p *profile) deniesUnknown() bool {
	switch p.defaultAction.kind() {
	case unix.SECCOMP_RET_ERRNO:
		return p.defaultAction.data() != uint16(unix.ENOSYS)
	case unix.SECCOMP_RET_TRAP, unix.SECCOMP_RET_KILL_THREAD, unix.SECCOMP_RET_KILL_PROCESS:
		return true
	}
	return false
}
