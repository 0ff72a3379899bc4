//go:build seccomp && cgo

package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// translation makes sections of a profile.
type translation struct {
	d        *decider
	names    []string // known ones, each once
	bodies   bodies
	warnings []string
}

// sections returns one for each value of seccomp_data.arch, in the order of the architectures.
func (t *translation) sections(archs []specs.Arch) (sections []section, err error) {
	for i, a := range archs {
		audit := auditArch(a)
		if slices.ContainsFunc(archs[:i], func(b specs.Arch) bool { return auditArch(b) == audit }) {
			continue
		}
		s := section{audit: audit}
		if audit != unix.AUDIT_ARCH_X86_64 {
			s.spans, err = t.spans(a, numberRange{0, maxNumber})
		} else {
			s.spans, err = t.x86(archs)
		}
		if err != nil {
			return nil, err
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// x86 gives the numbers below x32Bit to x86-64 and those above it to x32. The
// calls of the one that isn't in the filter kill the thread; but -1, which is no
// call, is x86-64's then.
func (t *translation) x86(archs []specs.Arch) ([]span, error) {
	lower, upper := numberRange{0, x32Bit - 1}, numberRange{x32Bit, maxNumber}
	kill := verdict{action: unix.SECCOMP_RET_KILL_THREAD}
	if !slices.Contains(archs, specs.ArchX32) {
		return t.spans(specs.ArchX86_64, numberRange{0, maxNumber}, assignment{numberRange{x32Bit, maxNumber - 1}, kill})
	}
	x32, err := t.spans(specs.ArchX32, upper)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(archs, specs.ArchX86_64) {
		return append(fill(lower, nil, kill), x32...), nil
	}
	spans, err := t.spans(specs.ArchX86_64, lower)
	return append(spans, x32...), err
}

// spans decides about a range of an architecture's numbers, of which some may be assigned already.
func (t *translation) spans(a specs.Arch, all numberRange, assigned ...assignment) ([]span, error) {
	calls := t.calls(a)
	numbers := make([]uint32, 0, len(calls))
	for nr := range calls {
		numbers = append(numbers, nr)
	}
	slices.Sort(numbers)
	for _, nr := range numbers {
		d, err := t.d.decide(calls[nr]...)
		if err != nil {
			return nil, err
		}
		assigned = append(assigned, assignment{numberRange{nr, nr}, t.bodies.verdict(d, a)})
	}
	for _, m := range multiplexers() {
		nr, ok := number(a, m.name)
		if !ok || !m.mentioned(t.d) {
			continue
		}
		d, unseen, err := m.decide(t.d)
		if err != nil {
			return nil, err
		}
		if len(unseen) > 0 {
			t.warnings = append(t.warnings, m.warning(a, unseen))
		}
		assigned = append(assigned, assignment{numberRange{nr, nr}, t.bodies.verdict(d, a)})
		numbers = append(numbers, nr)
	}
	if t.d.p.deniesUnknown() && len(numbers) > 0 {
		statx, _ := number(a, lastOfFormat)
		for _, r := range limitOf(a, numbers, statx).youngNumbers() {
			assigned = append(assigned, assignment{r, verdict{action: unix.SECCOMP_RET_ERRNO | action(unix.ENOSYS)}})
		}
	}
	return fill(all, assigned, verdict{action: t.d.p.defaultAction}), nil
}

// calls returns the names of the profile by their numbers, without the
// multiplexers. Behind one of those libseccomp keeps the direct numbers of the
// calls to itself.
func (t *translation) calls(a specs.Arch) map[uint32][]string {
	calls := make(map[uint32][]string, len(t.names))
	muxed := false
	for _, name := range t.names {
		if nr, ok := number(a, name); ok && !multiplexes(name) {
			calls[nr] = append(calls[nr], name)
		}
	}
	for _, m := range multiplexers() {
		_, ok := number(a, m.name)
		muxed = muxed || ok && m.mentioned(t.d)
	}
	if muxed {
		t.directCalls(a, calls)
	}
	return calls
}

// directCalls adds the direct numbers of multiplexed calls.
func (t *translation) directCalls(a specs.Arch, calls map[uint32][]string) {
	for _, nr := range directNumbers(a) {
		if name := callAt(a, nr); len(t.d.entries[name]) > 0 && !multiplexes(name) && !slices.Contains(calls[nr], name) {
			calls[nr] = append(calls[nr], name)
		}
	}
}

// directNumbers are where an architecture with multiplexers may have the direct
// numbers. On i386, the only such one of this machine's kernels, they are known.
func directNumbers(a specs.Arch) (numbers []uint32) {
	add := func(first, last uint32) {
		for nr := first; nr <= last; nr++ {
			numbers = append(numbers, nr)
		}
	}
	if a == specs.ArchX86 {
		add(337, 337) // recvmmsg, Linux 2.6.33
		add(345, 345) // sendmmsg, Linux 3.0
		add(359, 373) // socket to shutdown, Linux 4.3
		add(393, 402) // semget to msgctl, Linux 5.1
		return numbers
	}
	first, _ := number(a, "socketcall")
	first -= first % 1000 // MIPS counts from 4000
	add(first, first+500)
	return numbers
}
