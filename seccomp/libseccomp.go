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
	guards := p.guards()
	sections := make([]section, len(archs))
	for i, a := range archs {
		s := &sections[i]
		s.arch = a
		if s.program, err = generateArch(p, a, rules, tree); err != nil {
			return nil, err
		}
		if p.deniesUnknown() {
			s.limit = limit(p, a)
		}
		for _, name := range slices.Sorted(maps.Keys(guards)) {
			if nr, err := libseccomp.GetSyscallFromNameByArch(name, scmpArch(a)); err == nil && nr >= 0 {
				s.guards = append(s.guards, guard{uint32(nr), guards[name]})
			}
		}
	}
	c := &compiled{program: assemble(sections, p.defaultAction), warnings: p.shadowed()}
	if len(unknown) > 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("linux.seccomp.syscalls: skipped, unknown to libseccomp %s: %q", LibraryVersion(), unknown))
	}
	return c, nil
}

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
