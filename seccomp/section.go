package seccomp

import (
	"encoding/binary"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// section is the part of a filter that decides about one architecture.
//
// libseccomp could write one program for all of them, but its time grows with
// the square of the rules: three architectures of 370 calls take it twice as
// long together as one by one.
type section struct {
	arch    specs.Arch
	program []byte // libseccomp's, for this architecture alone
	limit   *numberLimit
	guards  []guard
}

// assemble joins the sections. Calls of other architectures kill the thread, as
// libseccomp does it (SCMP_FLTATR_ACT_BADARCH).
func assemble(sections []section, defaultAction action) []byte {
	var a assembler
	x32 := false
	for _, s := range sections {
		x32 = x32 || s.arch == specs.ArchX32
	}
	for i := range sections {
		sections[i].write(&a, x32, defaultAction)
	}
	a.do(opReturn, unix.SECCOMP_RET_KILL_THREAD)
	return a.link()
}

func (s *section) write(a *assembler, x32 bool, defaultAction action) {
	var mine, other, end label
	a.do(opLoad, offsetArch)
	a.test(opEqual, auditArch(s.arch), nil, &other)
	a.do(opLoad, offsetNr)
	switch {
	case s.arch == specs.ArchX32:
		a.test(opAtLeast, x32Bit, &mine, &other)
	case s.arch == specs.ArchX86_64 && x32:
		a.test(opAtLeast, x32Bit, &other, &mine)
	default:
		a.jump(&mine)
	}
	a.place(&other)
	a.jump(&end)
	a.place(&mine)
	if s.limit != nil {
		s.limit.write(a)
	}
	for i := range s.guards {
		s.guards[i].write(a, s.arch, defaultAction)
	}
	a.include(s.program)
	a.place(&end)
}

// write returns ENOSYS for young numbers. The accumulator holds the number,
// before and after. The last range always ends with the largest number.
func (l numberLimit) write(a *assembler) {
	var young, old label
	for _, r := range l.youngNumbers() {
		if r.last == 1<<32-1 {
			a.test(opAtLeast, r.first, &young, &old)
			break
		}
		a.test(opAtLeast, r.first, nil, &old)
		a.test(opGreater, r.last, nil, &young)
	}
	a.place(&young)
	a.do(opReturn, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS))
	a.place(&old)
}

// guard decides about one system call in libseccomp's stead.
//
// When two rules of a call compare the same argument by order (LT, LE, GT, GE),
// libseccomp 2.5.4's program is wrong for some values: where the upper halves
// differ a failed comparison skips the rules that follow, or an action is taken
// that no rule asks for. "ALLOW below 3" beside "ALLOW from 1<<63" lets
// 0xffffffff through. The text that seccomp_export_pfc(3) writes of the same
// filter is right.
//
// Where the whole program comes out wrong (see verify.go), guards decide about
// all calls with conditions but those that share a number with others, as the
// calls behind socketcall(2) do on some architectures: libseccomp tells them apart.
type guard struct {
	nr    uint32
	rules []guardRule // in the order of the profile; the first that holds decides
}

type guardRule struct {
	action action
	args   []specs.LinuxSeccompArg // all must hold
}

// guards finds the calls whose rules libseccomp gets wrong, or with all, each
// call whose rules have conditions. Rules for the default action and calls that
// a rule decides without conditions are none.
func (p *profile) guards(all bool) map[string][]guardRule {
	found := make(map[string][]guardRule)
	unconditional := make(map[string]bool)
	for i := range p.rules {
		r := &p.rules[i]
		if r.action == p.defaultAction {
			continue
		}
		for _, name := range r.names {
			switch {
			case len(r.args) == 0:
				unconditional[name] = true
			case r.anyArg:
				for n := range r.args {
					found[name] = append(found[name], guardRule{r.action, r.args[n : n+1]})
				}
			default:
				found[name] = append(found[name], guardRule{r.action, r.args})
			}
		}
	}
	for name, rules := range found {
		if unconditional[name] || !all && !ordersTwice(rules) {
			delete(found, name)
		}
	}
	return found
}

// ordersTwice: two rules compare the same argument by order.
func ordersTwice(rules []guardRule) bool {
	var seen [maxArgs]bool
	for _, r := range rules {
		for _, arg := range r.args {
			switch arg.Op {
			case specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual:
				if seen[arg.Index] {
					return true
				}
				seen[arg.Index] = true
			}
		}
	}
	return false
}

// write leaves the number in the accumulator for who comes next.
func (g *guard) write(a *assembler, arch specs.Arch, defaultAction action) {
	var body, end label
	a.test(opEqual, g.nr, &body, nil)
	a.jump(&end)
	a.place(&body)
	for _, r := range g.rules {
		var failed label
		for _, arg := range r.args {
			writeCondition(a, arg, wordSize(arch), &failed)
		}
		a.do(opReturn, uint32(r.action))
		a.place(&failed)
	}
	a.do(opReturn, uint32(defaultAction))
	a.place(&end)
}

// writeCondition goes on where the condition holds, and to failed otherwise.
// Like libseccomp it looks at the lower half only on 32-bit architectures.
func writeCondition(a *assembler, arg specs.LinuxSeccompArg, wordSize int, failed *label) {
	low := offsetArgs + 8*uint32(arg.Index)
	high := low + 4
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		low, high = high, low
	}
	value, mask := arg.Value, uint64(1<<64-1)
	if arg.Op == specs.OpMaskedEqual {
		value, mask = arg.ValueTwo&arg.Value, arg.Value
	}
	var holds label
	if wordSize == 8 {
		h := uint32(value >> 32)
		a.do(opLoad, high)
		switch arg.Op {
		case specs.OpMaskedEqual:
			a.do(opAnd, uint32(mask>>32))
			a.test(opEqual, h, nil, failed)
		case specs.OpEqualTo:
			a.test(opEqual, h, nil, failed)
		case specs.OpNotEqual:
			a.test(opEqual, h, nil, &holds)
		case specs.OpGreaterThan, specs.OpGreaterEqual:
			a.test(opGreater, h, &holds, nil)
			a.test(opEqual, h, nil, failed)
		case specs.OpLessThan, specs.OpLessEqual:
			a.test(opGreater, h, failed, nil)
			a.test(opEqual, h, nil, &holds)
		}
	}
	l := uint32(value)
	a.do(opLoad, low)
	switch arg.Op {
	case specs.OpMaskedEqual:
		a.do(opAnd, uint32(mask))
		a.test(opEqual, l, nil, failed)
	case specs.OpEqualTo:
		a.test(opEqual, l, nil, failed)
	case specs.OpNotEqual:
		a.test(opEqual, l, failed, nil)
	case specs.OpGreaterThan:
		a.test(opGreater, l, nil, failed)
	case specs.OpGreaterEqual:
		a.test(opAtLeast, l, nil, failed)
	case specs.OpLessThan:
		a.test(opAtLeast, l, failed, nil)
	case specs.OpLessEqual:
		a.test(opGreater, l, failed, nil)
	}
	a.place(&holds)
}

// wordSize is the size of an argument in bytes. x32 and n32 pass 32 bits.
func wordSize(a specs.Arch) int {
	switch a {
	case specs.ArchX86_64, specs.ArchAARCH64, specs.ArchLOONGARCH64, specs.ArchMIPS64, specs.ArchMIPSEL64,
		specs.ArchPARISC64, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchRISCV64, specs.ArchS390X:
		return 8
	}
	return 4
}
