package seccomp

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rules is a stand-in for what a profile says: the answer is unmistakable.
const rules = action(unix.SECCOMP_RET_TRACE | 0x1234)

const young = action(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))

// assembled is a program that always gives the same answer.
func assembled(answer action) []byte {
	var a assembler
	a.do(opReturn, uint32(answer))
	return a.link()
}

// filterOf gives rules to all numbers that a limit leaves. 0 is no limit.
func filterOf(limits []numberLimit) []byte {
	var sections []section
	for _, l := range limits {
		all := numberRange{0, maxNumber}
		if l.arch == specs.ArchX32 {
			all.first = x32Bit
		} else if l.arch == specs.ArchX86_64 && slices.ContainsFunc(limits, func(l numberLimit) bool { return l.arch == specs.ArchX32 }) {
			all.last = x32Bit - 1
		}
		var assigned []assignment
		if l.last != 0 {
			for _, r := range l.youngNumbers() {
				assigned = append(assigned, assignment{r, verdict{action: young}})
			}
		}
		spans := fill(all, assigned, verdict{action: rules})
		i := slices.IndexFunc(sections, func(s section) bool { return s.audit == auditArch(l.arch) })
		switch {
		case i < 0:
			sections = append(sections, section{auditArch(l.arch), spans})
		case l.arch == specs.ArchX32:
			sections[i].spans = append(sections[i].spans, spans...)
		default:
			sections[i].spans = append(spans, sections[i].spans...)
		}
	}
	return assemble(sections)
}

func TestYoungNumbers(t *testing.T) {
	const max = 1<<32 - 1
	tests := []struct {
		name   string
		limits []numberLimit
		arch   uint32
		old    []uint32
		young  []uint32
	}{
		{
			"amd64 alone leaves x32 to the rules",
			[]numberLimit{{specs.ArchX86_64, 440}}, unix.AUDIT_ARCH_X86_64,
			[]uint32{0, 439, 440, x32Bit, x32Bit + 441, x32Bit + 1000, max - 1},
			[]uint32{441, 1000, x32Bit - 1, max},
		},
		{
			"x32 beside amd64",
			[]numberLimit{{specs.ArchX86_64, 440}, {specs.ArchX86, 383}, {specs.ArchX32, 332}}, unix.AUDIT_ARCH_X86_64,
			[]uint32{0, 440, x32Bit, x32Bit + 332, x32Bit + 512, x32Bit + 547},
			[]uint32{441, x32Bit - 1, x32Bit + 333, x32Bit + 511, x32Bit + 548, max},
		},
		{
			"x32 first",
			[]numberLimit{{specs.ArchX32, 332}, {specs.ArchX86_64, 440}}, unix.AUDIT_ARCH_X86_64,
			[]uint32{0, 440, x32Bit, x32Bit + 332, x32Bit + 512, x32Bit + 547},
			[]uint32{441, x32Bit - 1, x32Bit + 333, x32Bit + 511, x32Bit + 548, max},
		},
		{
			"x32 without a limit for amd64",
			[]numberLimit{{specs.ArchX86_64, 0}, {specs.ArchX32, 332}}, unix.AUDIT_ARCH_X86_64,
			[]uint32{0, 441, 100000, x32Bit - 1, x32Bit, x32Bit + 332, x32Bit + 530},
			[]uint32{x32Bit + 333, x32Bit + 600, max},
		},
		{
			"x32 numbers above the closed range",
			[]numberLimit{{specs.ArchX86_64, 440}, {specs.ArchX32, 600}}, unix.AUDIT_ARCH_X86_64,
			[]uint32{x32Bit, x32Bit + 511, x32Bit + 530, x32Bit + 600},
			[]uint32{x32Bit + 601, max},
		},
		{
			"private calls of ARM",
			[]numberLimit{{specs.ArchAARCH64, 291}, {specs.ArchARM, 400}}, unix.AUDIT_ARCH_ARM,
			[]uint32{0, 400, 0xf0000, 0xf0005, 0xfffff},
			[]uint32{401, 0xeffff, 0x100000, max},
		},
		{
			"second of two",
			[]numberLimit{{specs.ArchAARCH64, 291}, {specs.ArchARM, 400}}, unix.AUDIT_ARCH_AARCH64,
			[]uint32{0, 291}, []uint32{292, 400, 0xf0000, max},
		},
		{
			"an architecture without limit",
			[]numberLimit{{specs.ArchX86_64, 440}, {specs.ArchX86, 0}}, unix.AUDIT_ARCH_I386,
			[]uint32{0, 384, 441, max}, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			program := filterOf(tt.limits)
			for _, nr := range tt.old {
				if got := run(t, program, call{nr: nr, arch: tt.arch}); got != rules {
					t.Errorf("number %#x: %v instead of the rules", nr, got)
				}
			}
			for _, nr := range tt.young {
				if got := run(t, program, call{nr: nr, arch: tt.arch}); got != young {
					t.Errorf("number %#x: %v instead of ENOSYS", nr, got)
				}
			}
		})
	}
}

func TestForeignArchitecture(t *testing.T) {
	program := filterOf([]numberLimit{{specs.ArchX86_64, 440}, {specs.ArchX86, 383}})
	for _, nr := range []uint32{0, 441, 1<<32 - 1} {
		if got := run(t, program, call{nr: nr, arch: unix.AUDIT_ARCH_AARCH64}); got != unix.SECCOMP_RET_KILL_THREAD {
			t.Errorf("number %d: %v", nr, got)
		}
	}
}

func TestYoungNumbersOfAllArchitectures(t *testing.T) {
	var limits []numberLimit
	for i, a := range archNames() {
		limits = append(limits, numberLimit{a, 300 + uint32(i)})
	}
	program := filterOf(limits)
	for _, l := range limits {
		var base uint32
		if l.arch == specs.ArchX32 {
			base = x32Bit
		}
		for nr, want := range map[uint32]action{0: rules, l.last: rules, l.last + 1: young} {
			if got := run(t, program, call{nr: base + nr, arch: auditArch(l.arch)}); got != want {
				t.Errorf("%s, number %d: %v, want %v", l.arch, nr, got, want)
			}
		}
	}
}

func TestWhichDefaultsDeny(t *testing.T) {
	for _, tt := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		want   bool
	}{
		{specs.ActErrno, nil, true},
		{specs.ActErrno, ptr(uint(0)), true},
		{specs.ActErrno, ptr(uint(unix.ENOSYS)), false},
		{specs.ActKill, nil, true},
		{specs.ActKillThread, nil, true},
		{specs.ActKillProcess, nil, true},
		{specs.ActTrap, nil, true},
		{specs.ActTrace, nil, false},
		{specs.ActAllow, nil, false},
		{specs.ActLog, nil, false},
	} {
		p, err := parse(&specs.LinuxSeccomp{DefaultAction: tt.action, DefaultErrnoRet: tt.errno})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.deniesUnknown(); got != tt.want {
			t.Errorf("%v: %v", p.defaultAction, got)
		}
	}
}
