//go:build seccomp && cgo

package seccomp

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// built: this build can compile profiles.
const built = true

// notifyAPI is the level of seccomp_api_get(3) from which on NOTIFY and TSYNC
// go together; the binding always asks libseccomp for TSYNC.
const notifyAPI = 6

// LibraryVersion is the version of libseccomp, "" in a build without it.
func LibraryVersion() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}

// apiLevel says which actions and flags libseccomp has found in the running kernel.
func apiLevel() uint {
	level, _ := libseccomp.GetAPI()
	return level
}

func libraryKnows(a specs.Arch) bool {
	_, err := libseccomp.GetSyscallFromNameByArch("read", scmpArch(a))
	return err == nil
}

// generate has libseccomp write a program for each architecture and joins them.
// If what comes out is wrong (see verify.go), guards decide about the calls with
// conditions, and libseccomp about the rest. The rules that libseccomp refuses
// have come up by then.
func generate(p *profile, failUnknown, tree bool) (*compiled, error) {
	if p.notify && apiLevel() < notifyAPI {
		return nil, fieldErrorf("linux.seccomp.syscalls", "SCMP_ACT_NOTIFY needs libseccomp 2.5 and Linux 5.7 (API level %d); this is libseccomp %s with API level %d", notifyAPI, LibraryVersion(), apiLevel())
	}
	archs, err := architectures(p.archs)
	if err != nil {
		return nil, err
	}
	rules, unknown, err := resolve(p, failUnknown)
	if err != nil {
		return nil, err
	}
	program, err := join(p, archs, rules, tree, false)
	if err == nil && verify(program) != nil {
		program, err = join(p, archs, rules, tree, true)
	}
	if err != nil {
		return nil, err
	}
	if err := verify(program); err != nil {
		return nil, fieldErrorf("linux.seccomp.syscalls", "libseccomp %s writes a wrong program for the conditions of %q (%w): drop conditions, or architectures", LibraryVersion(), slices.Sorted(maps.Keys(p.guards(true))), err)
	}
	c := &compiled{program: program, warnings: p.shadowed()}
	if len(unknown) > 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("linux.seccomp.syscalls: skipped, unknown to libseccomp %s: %q", LibraryVersion(), unknown))
	}
	return c, nil
}

// join makes the program of all architectures. With guardAll libseccomp is left
// the rules without conditions, and those that no guard can take over.
func join(p *profile, archs []specs.Arch, rules []resolvedRule, tree, guardAll bool) ([]byte, error) {
	guards := p.guards(guardAll)
	sections := make([]section, len(archs))
	for i, a := range archs {
		s := &sections[i]
		s.arch = a
		guarded := make(map[string]bool)
		for _, name := range slices.Sorted(maps.Keys(guards)) {
			if nr, err := libseccomp.GetSyscallFromNameByArch(name, scmpArch(a)); err == nil && nr >= 0 && !multiplexer(name) {
				s.guards = append(s.guards, guard{uint32(nr), guards[name]})
				guarded[name] = guardAll
			}
		}
		left := slices.DeleteFunc(slices.Clone(rules), func(r resolvedRule) bool { return guarded[r.name] })
		var err error
		if s.program, err = generateArch(p, a, left, tree); err != nil {
			return nil, err
		}
		if p.deniesUnknown() {
			s.limit = limit(p, a)
		}
	}
	return assemble(sections, p.defaultAction), nil
}

// multiplexer: libseccomp adds rules of its own to the call, for those behind it.
func multiplexer(name string) bool { return name == "socketcall" || name == "ipc" }

// generateArch returns libseccomp's program for one architecture.
func generateArch(p *profile, a specs.Arch, rules []resolvedRule, tree bool) ([]byte, error) {
	filter, err := libseccomp.NewFilter(scmpAction(p.defaultAction))
	if err != nil {
		return nil, libraryError("linux.seccomp.defaultAction", err)
	}
	defer filter.Release()
	native, err := libseccomp.GetNativeArch()
	if err == nil && scmpArch(a) != native {
		if err = filter.AddArch(scmpArch(a)); err == nil {
			err = filter.RemoveArch(native)
		}
	}
	if errors.Is(err, unix.EDOM) {
		return nil, fieldErrorf("linux.seccomp.architectures", "%s has another byte order than this machine", a)
	}
	if err != nil {
		return nil, libraryError("linux.seccomp.architectures", fmt.Errorf("%s: %w", a, err))
	}
	if tree {
		// Fails before libseccomp 2.5: the program is slower then, not different.
		_ = filter.SetOptimize(2)
	}
	for _, r := range rules {
		for _, conds := range r.alternatives {
			err := filter.AddRuleConditional(r.nr, scmpAction(r.action), conds)
			switch {
			case errors.Is(err, unix.EEXIST):
				return nil, fieldErrorf(r.field(""), "asks for %s on %q under the same conditions as another entry does for another action", r.action, r.name)
			case err != nil:
				return nil, libraryError(r.field(""), fmt.Errorf("refuses the rule for %q: %w", r.name, err))
			}
		}
	}
	program, err := export(filter)
	if err != nil {
		return nil, libraryError("linux.seccomp", err)
	}
	return program, nil
}

func libraryError(field string, err error) error {
	return fieldErrorf(field, "libseccomp %s (API level %d): %w", LibraryVersion(), apiLevel(), err)
}

// architectures returns those of the filter, the native one first.
func architectures(names []specs.Arch) ([]specs.Arch, error) {
	native, err := libseccomp.GetNativeArch()
	if err != nil {
		return nil, libraryError("linux.seccomp.architectures", err)
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
		if !slices.Contains(archs, a) {
			archs = append(archs, a)
		}
	}
	return archs, nil
}

// resolvedRule is what libseccomp is asked for about one system call.
type resolvedRule struct {
	*rule
	name         string
	nr           libseccomp.ScmpSyscall
	alternatives [][]libseccomp.ScmpCondition
}

// resolve looks up the names, and leaves out the rules for the default action,
// which libseccomp refuses.
func resolve(p *profile, failUnknown bool) (rules []resolvedRule, unknown []string, err error) {
	for i := range p.rules {
		r := &p.rules[i]
		alternatives, err := conditions(r)
		if err != nil {
			return nil, nil, libraryError(r.field(".args"), err)
		}
		for n, name := range r.names {
			// A negative number stands for a call that the native architecture
			// lacks; libseccomp translates it for the others.
			nr, err := libseccomp.GetSyscallFromName(name)
			switch {
			case err == nil && r.action != p.defaultAction:
				rules = append(rules, resolvedRule{r, name, nr, alternatives})
			case err != nil && failUnknown:
				return nil, nil, fieldErrorf(r.field(fmt.Sprintf(".names[%d]", n)), "libseccomp %s knows no system call %q", LibraryVersion(), name)
			case err != nil:
				unknown = append(unknown, name)
			}
		}
	}
	slices.Sort(unknown)
	return rules, slices.Compact(unknown), nil
}

// conditions are those of each libseccomp rule that an entry stands for.
func conditions(r *rule) ([][]libseccomp.ScmpCondition, error) {
	all := make([]libseccomp.ScmpCondition, len(r.args))
	for i, arg := range r.args {
		c, err := libseccomp.MakeCondition(arg.Index, scmpOperator(arg.Op), arg.Value, arg.ValueTwo)
		if err != nil {
			return nil, err
		}
		all[i] = c
	}
	if !r.anyArg || len(all) == 0 {
		return [][]libseccomp.ScmpCondition{all}, nil
	}
	var rules [][]libseccomp.ScmpCondition
	for i := range all {
		rules = append(rules, all[i:i+1])
	}
	return rules, nil
}

// limit finds where the profile's knowledge of an architecture ends; see enosys.go.
func limit(p *profile, a specs.Arch) *numberLimit {
	var last uint32
	mentioned := false
	for i := range p.rules {
		for _, name := range p.rules[i].names {
			if nr, ok := number(a, name); ok {
				mentioned = true
				last = max(last, nr)
			}
		}
	}
	if !mentioned {
		return nil
	}
	statx, _ := number(a, lastOfFormat)
	return &numberLimit{a, max(last, statx)}
}

// number is that of a call that the architecture has and that came in order.
func number(a specs.Arch, name string) (uint32, bool) {
	nr, err := libseccomp.GetSyscallFromNameByArch(name, scmpArch(a))
	if err != nil || nr < 0 {
		return 0, false
	}
	n := uint32(nr)
	if a == specs.ArchX32 {
		n &^= x32Bit
	}
	return n, inOrder(a, n)
}

// export reads the program back from a memfd: libseccomp writes it to a
// descriptor in one go, which on a pipe never ends when the program is larger
// than the pipe's buffer.
func export(filter *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp-bpf", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "seccomp-bpf")
	defer f.Close()
	if err := filter.ExportBPF(f); err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if size == 0 || size%insnSize != 0 {
		return nil, fmt.Errorf("exported %d bytes, which is no BPF program", size)
	}
	program := make([]byte, size)
	_, err = f.ReadAt(program, 0)
	return program, err
}
