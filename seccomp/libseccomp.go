//go:build seccomp && cgo

package seccomp

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// built: this build can compile profiles.
const built = true

// LibraryVersion is the version of libseccomp, "" in a build without it.
func LibraryVersion() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}

func libraryKnows(a specs.Arch) bool {
	_, err := libseccomp.GetSyscallFromNameByArch("read", scmpArch(a))
	return err == nil
}

// generate makes the program from the numbers that libseccomp has for the names.
//
// libseccomp's own generator isn't used: see docs/seccomp.md for what it gets
// wrong. The tests compare with it.
func generate(p *profile, failUnknown bool) (*compiled, error) {
	archs, err := architectures(p.archs)
	if err != nil {
		return nil, err
	}
	names, unknown, err := resolve(p, failUnknown)
	if err != nil {
		return nil, err
	}
	t := &translation{d: newDecider(p), names: names, bodies: make(bodies)}
	sections, err := t.sections(archs)
	if err != nil {
		return nil, err
	}
	c := &compiled{program: assemble(sections), warnings: append(p.shadowed(), t.warnings...)}
	if len(unknown) > 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("linux.seccomp.syscalls: skipped, unknown to libseccomp %s: %q", LibraryVersion(), unknown))
	}
	return c, nil
}

// architectures returns those of the filter, the native one first.
func architectures(names []specs.Arch) ([]specs.Arch, error) {
	native, err := libseccomp.GetNativeArch()
	if err != nil {
		return nil, fieldErrorf("linux.seccomp.architectures", "libseccomp %s: %w", LibraryVersion(), err)
	}
	var archs []specs.Arch
	for _, a := range archNames() {
		if scmpArch(a) == native {
			archs = append(archs, a)
		}
	}
	for i, a := range names {
		if !libraryKnows(a) {
			return nil, fieldErrorf(fmt.Sprintf("linux.seccomp.architectures[%d]", i), "%s is unknown to libseccomp %s", a, LibraryVersion())
		}
		if bigEndian(a) {
			return nil, fieldErrorf(fmt.Sprintf("linux.seccomp.architectures[%d]", i), "%s has another byte order than this machine", a)
		}
		if !slices.Contains(archs, a) {
			archs = append(archs, a)
		}
	}
	return archs, nil
}

// resolve returns the names that libseccomp knows, on whatever architecture, and the others.
func resolve(p *profile, failUnknown bool) (known, unknown []string, err error) {
	seen := make(map[string]bool, p.names())
	for i := range p.rules {
		r := &p.rules[i]
		for n, name := range r.names {
			if seen[name] {
				continue
			}
			seen[name] = true
			// A negative number stands for a call that the native architecture lacks.
			if _, err := libseccomp.GetSyscallFromName(name); err == nil {
				known = append(known, name)
			} else if failUnknown {
				return nil, nil, fieldErrorf(r.field(fmt.Sprintf(".names[%d]", n)), "libseccomp %s knows no system call %q", LibraryVersion(), name)
			} else {
				unknown = append(unknown, name)
			}
		}
	}
	slices.Sort(unknown)
	return known, unknown, nil
}

// number is that of a call on an architecture.
func number(a specs.Arch, name string) (nr uint32, ok bool) {
	n, err := libseccomp.GetSyscallFromNameByArch(name, scmpArch(a))
	if err != nil || n < 0 {
		return 0, false
	}
	return uint32(n), true
}

// callAt is the name behind a number, "" for none.
func callAt(a specs.Arch, nr uint32) string {
	name, _ := libseccomp.ScmpSyscall(nr).GetNameByArch(scmpArch(a))
	return name
}
