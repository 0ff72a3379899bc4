// Package seccomp turns linux.seccomp of a config.json into the BPF program
// and the flags that seccomp(2) takes.
//
// [Compile] is a function of the profile and of libseccomp's tables: it loads
// nothing and reads nothing from the host. [Cache] remembers what it made.
// Loading the filter is left to the process that is to be confined.
//
// Which system calls there are, under which numbers on which architecture, is
// libseccomp's knowledge, which needs cgo: it is compiled in with the build tag
// "seccomp". Without the tag the package builds everywhere and checks profiles,
// and Compile ends in [ErrNotBuilt]. The program is written here, in time that
// grows with the profile's size: libseccomp 2.5.4 writes wrong ones for some
// conditions, and for others doesn't come to an end.
//
// # What a profile means
//
// The specification leaves some cases open. They are decided so that a profile
// means what it means to runc:
//
//   - The rules of a system call without conditions beat those with
//     conditions, whatever their order, and the first of them wins. A rule that
//     can never act because of that is named in [Filter.Warnings].
//   - Of the rules with conditions that hold, those with fewer beat those with
//     more, and among equals the first wins. Two rules that ask for different
//     actions under the same conditions are an error.
//   - All conditions of an entry must hold, unless two of them look at the same
//     argument: then they are alternatives, each a rule of its own, because a
//     libseccomp rule can look at an argument only once. The warnings name such
//     an entry, for who wrote "at least 5, at most 10" gets "anything".
//   - On architectures of 32 bits arguments are numbers below 1<<32, so that none
//     equals 1<<32. A negative number of 64 bits stands for the same one of 32.
//   - Where socketcall or ipc stand for a call whose rules have conditions, the
//     strictest action that could come of them is taken; see multiplex.go.
//   - Rules that ask for the default action are left out, and so never beat
//     another rule of the same system call.
//   - The native architecture is always part of the filter. A call made through
//     an ABI that isn't (i386 code on x86-64, say) kills the thread.
//   - Names that libseccomp doesn't know are skipped with a warning, or are an
//     error with [Options.FailUnknownSyscalls].
//   - Without "flags" the filter asks for SECCOMP_FILTER_FLAG_SPEC_ALLOW; an
//     empty list asks for none. See [Filter.Flags].
//   - System calls younger than the profile give ENOSYS; see enosys.go for the
//     rule and its reason.
package seccomp

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ErrNotBuilt says that this build can't compile profiles.
var ErrNotBuilt = errors.New("this davit was built without libseccomp: build it with `make`, or with cgo and `-tags seccomp`")

// A FieldError is a value of linux.seccomp that can't be used.
type FieldError struct {
	Field string // JSON path, such as "linux.seccomp.syscalls[3].action"
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Err: fmt.Errorf(format, args...)}
}

// Filter is what seccomp(SECCOMP_SET_MODE_FILTER) takes.
type Filter struct {
	// Program is an array of struct sock_filter in native byte order.
	// Its length is a multiple of 8 and at most 8*4096 bytes (BPF_MAXINSNS).
	Program []byte

	// Flags are SECCOMP_FILTER_FLAG_* bits.
	//
	// A profile without "flags" gets SPEC_ALLOW. Kernels before 5.16 take a
	// filter as a wish for the mitigations of speculative store bypass and
	// indirect branch speculation, which cost every program in the container
	// some per cent, whether or not it runs foreign code; from 5.16 on the flag
	// changes nothing by default. Linux 4.17 and later know it.
	Flags uint32

	// Notify: a rule asks for SCMP_ACT_NOTIFY. Flags then has NEW_LISTENER and
	// seccomp(2) returns the listener's descriptor instead of 0.
	//
	// Whoever loads the filter hands that descriptor over while the filter is in
	// force and nobody listens yet. write(2) is the one system call it may use
	// for that, which is why NOTIFY on write is refused.
	Notify bool

	// Warnings are parts of the profile that have no effect, for a debug log.
	Warnings []string
}

// Len is the number of BPF instructions.
func (f *Filter) Len() int { return len(f.Program) / insnSize }

// Options of a compilation.
type Options struct {
	// FailUnknownSyscalls makes a name that libseccomp doesn't know an error.
	FailUnknownSyscalls bool
}

// Compile translates a profile. Errors are a *[FieldError] for a profile that
// breaks config-linux.md, "Seccomp", or that libseccomp can't express, and
// [ErrNotBuilt].
func Compile(cfg *specs.LinuxSeccomp, opts Options) (*Filter, error) {
	p, err := parse(cfg)
	if err != nil {
		return nil, err
	}
	c, err := compileProfile(p, opts)
	if err != nil {
		return nil, err
	}
	return p.filter(c), nil
}

// compiled is the part of a Filter that costs time to make, and that Cache keeps.
type compiled struct {
	program  []byte
	warnings []string
}

func compileProfile(p *profile, opts Options) (*compiled, error) {
	c, err := generate(p, opts.FailUnknownSyscalls)
	if err != nil {
		return nil, err
	}
	if n := len(c.program) / insnSize; n > unix.BPF_MAXINSNS {
		return nil, fieldErrorf("linux.seccomp", "compiles to %d instructions, the kernel takes %d: drop architectures or argument conditions", n, unix.BPF_MAXINSNS)
	}
	return c, nil
}

func (p *profile) filter(c *compiled) *Filter {
	return &Filter{
		Program:  c.program,
		Flags:    p.flags,
		Notify:   p.notify,
		Warnings: append(p.warnings, c.warnings...),
	}
}

// CheckKernel asks the running kernel whether it takes the filter's flags. It
// costs one system call and changes nothing.
func (f *Filter) CheckKernel() error {
	if kernelTakes(f.Flags) {
		return nil
	}
	for rest := f.Flags; rest != 0; rest &= rest - 1 {
		if flag := uint32(1) << bits.TrailingZeros32(rest); !kernelTakes(withNeeded(flag)) {
			return fieldErrorf("linux.seccomp.flags", "this kernel doesn't know %s", flagName(flag))
		}
	}
	return fieldErrorf("linux.seccomp.flags", "this kernel refuses the combination %#x of filter flags", f.Flags)
}
