package devices

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// request is what the kernel asks a policy.
type request struct {
	kind         uint8
	major, minor uint32
	access       Access
}

// emulate is the meaning of a list, word for word: for each kind of access the last entry
// that matches decides, and nothing is allowed by default.
func emulate(rules []rule, q request) bool {
	for bit := Mknod; bit <= Write; bit <<= 1 {
		if q.access&bit == 0 {
			continue
		}
		verdict := false
		for _, r := range rules {
			if r.access&bit != 0 && (r.kind == anyType || r.kind == q.kind) &&
				(r.major == wildcard || r.major == int64(q.major)) && (r.minor == wildcard || r.minor == int64(q.minor)) {
				verdict = r.allow
			}
		}
		if !verdict {
			return false
		}
	}
	return true
}

// interpret executes a program as the kernel would, and fails on anything a verifier
// would: an unknown instruction, an uninitialised register, a jump out or back.
func interpret(t testing.TB, code []Instruction, q request) bool {
	t.Helper()
	ctx := [...]uint32{uint32(q.access)<<16 | uint32(q.kind), q.major, q.minor}
	var reg [11]uint64
	var set [11]bool
	set[rContext] = true
	for pc := 0; ; pc++ {
		if pc < 0 || pc >= len(code) {
			t.Fatalf("ran out of the program at %d", pc)
		}
		i := code[pc]
		if i.Op != opExit && i.Op != opJump && i.Op != opLoad32 && i.Op != opMove && i.Op != opCopy && !set[i.Dst] {
			t.Fatalf("%d: r%d is not set", pc, i.Dst)
		}
		taken := false
		switch i.Op {
		case opLoad32:
			if i.Src != rContext || i.Off%4 != 0 || i.Off < 0 || i.Off > 8 {
				t.Fatalf("%d: bad load", pc)
			}
			reg[i.Dst], set[i.Dst] = uint64(ctx[i.Off/4]), true
		case opMove:
			reg[i.Dst], set[i.Dst] = uint64(int64(i.Imm)), true
		case opCopy:
			reg[i.Dst], set[i.Dst] = reg[i.Src], set[i.Src]
		case opRight32:
			reg[i.Dst] = uint64(uint32(reg[i.Dst]) >> i.Imm)
		case opAnd32:
			reg[i.Dst] = uint64(uint32(reg[i.Dst]) & uint32(i.Imm))
		case opJump:
			taken = true
		case opEqual:
			taken = uint32(reg[i.Dst]) == uint32(i.Imm)
		case opDiffers:
			taken = uint32(reg[i.Dst]) != uint32(i.Imm)
		case opAnyOf:
			taken = uint32(reg[i.Dst])&uint32(i.Imm) != 0
		case opExit:
			if !set[rVerdict] || reg[rVerdict] > 1 {
				t.Fatalf("%d: exit without a verdict", pc)
			}
			return reg[rVerdict] == 1
		default:
			t.Fatalf("%d: unknown operation %#x", pc, i.Op)
		}
		if taken {
			if i.Off < 0 {
				t.Fatalf("%d: jump back", pc)
			}
			pc += int(i.Off)
		}
	}
}

func numbers(r *rand.Rand) *int64 {
	pool := [...]int64{-1, 0, 1, 2, 3, 5, 8, 10, 136, 200, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	if r.IntN(5) == 0 {
		return nil
	}
	return &pool[r.IntN(len(pool))]
}

func randomList(r *rand.Rand) []specs.LinuxDeviceCgroup {
	list := make([]specs.LinuxDeviceCgroup, r.IntN(13))
	for i := range list {
		list[i] = specs.LinuxDeviceCgroup{
			Allow:  r.IntN(2) == 0,
			Type:   [...]string{"", "a", "b", "c", "c"}[r.IntN(5)],
			Access: [...]string{"", "r", "w", "m", "rw", "rwm", "wm", "mr", "rwm"}[r.IntN(9)],
		}
		if r.IntN(6) != 0 {
			list[i].Major, list[i].Minor = numbers(r), numbers(r)
		}
	}
	return list
}

// requests returns all combinations that can make a difference: each number that a list
// may name, and one that none does.
func requests() []request {
	var all []request
	pool := []uint32{0, 1, 3, 5, 8, 10, 136, 200, 777, 1<<31 - 1, 1 << 31, 1<<32 - 1}
	for kind := uint8(block); kind <= char; kind++ {
		for _, major := range pool {
			for _, minor := range pool {
				for access := Mknod; access <= Mknod|Read|Write; access++ {
					all = append(all, request{kind, major, minor, access})
				}
			}
		}
	}
	return all
}

// TestProgramsMeanWhatTheListSays compares the compiled programs with the list's meaning.
func TestProgramsMeanWhatTheListSays(t *testing.T) {
	lists := 10_000
	if testing.Short() {
		lists = 500
	}
	r := rand.New(rand.NewPCG(1, 2))
	every := requests()
	for range lists {
		list := randomList(r)
		rules, err := parse(list)
		if err != nil {
			t.Fatal(err)
		}
		rules = withDefaults(rules)
		p := simplify(rules)
		code, err := p.Program()
		if err != nil {
			t.Fatal(err)
		}
		// A sample of the requests for each list, all of them over the run.
		for range 100 {
			q := every[r.IntN(len(every))]
			want := emulate(rules, q)
			if got := interpret(t, code, q); got != want {
				t.Fatalf("%+v\n%+v: program says %v, the list %v", list, q, got, want)
			}
		}
	}
}

func n(v int64) *int64 { return &v }

func TestPolicies(t *testing.T) {
	denyAll := specs.LinuxDeviceCgroup{Access: "rwm"}
	for _, c := range []struct {
		name    string
		list    []specs.LinuxDeviceCgroup
		q       request
		allowed bool
	}{
		{"nothing listed: null", nil, request{char, 1, 3, Read | Write}, true},
		{"nothing listed: mem", nil, request{char, 1, 1, Read}, false},
		{"nothing listed: mknod mem", nil, request{char, 1, 1, Mknod}, true},
		{"denied all: null", []specs.LinuxDeviceCgroup{denyAll}, request{char, 1, 3, Read | Write}, true},
		{"denied all: tun", []specs.LinuxDeviceCgroup{denyAll}, request{char, 10, 200, Read | Write}, true},
		{"denied all: pts", []specs.LinuxDeviceCgroup{denyAll}, request{char, 136, 7, Read | Write}, true},
		{"denied all: sda", []specs.LinuxDeviceCgroup{denyAll}, request{block, 8, 0, Read}, false},
		{"denied all, access left out", []specs.LinuxDeviceCgroup{{}}, request{block, 8, 0, Read}, false},
		{"privileged: sda", []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, request{block, 8, 0, Read}, true},
		{"a default can be denied", []specs.LinuxDeviceCgroup{denyAll, {Type: "c", Major: n(10), Minor: n(200), Access: "rwm"}}, request{char, 10, 200, Read}, false},
		{"mknod can be denied", []specs.LinuxDeviceCgroup{denyAll, {Type: "b", Access: "m"}}, request{block, 8, 0, Mknod}, false},
		{"entries add up", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "b", Major: n(8), Access: "r"}, {Allow: true, Type: "b", Major: n(8), Minor: n(0), Access: "w"}}, request{block, 8, 0, Read | Write}, true},
		{"order counts", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "b", Major: n(8), Access: "rw"}, {Type: "b", Major: n(8), Minor: n(1), Access: "w"}}, request{block, 8, 1, Read | Write}, false},
		{"what a denial leaves", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "b", Major: n(8), Access: "rw"}, {Type: "b", Major: n(8), Minor: n(1), Access: "w"}}, request{block, 8, 1, Read}, true},
		{"large numbers", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "b", Major: n(1<<32 - 1), Minor: n(1 << 31), Access: "r"}}, request{block, 1<<32 - 1, 1 << 31, Read}, true},
		{"a major of all types", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "a", Major: n(8), Access: "r"}}, request{char, 8, 3, Read}, true},
	} {
		p, err := NewPolicy(c.list)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		code, err := p.Program()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := interpret(t, code, c.q); got != c.allowed {
			t.Errorf("%s: %v, want %v", c.name, got, c.allowed)
		}
	}
}

// TestMinimal holds the usual lists' programs to their size.
func TestMinimal(t *testing.T) {
	for _, c := range []struct {
		name string
		list []specs.LinuxDeviceCgroup
		most int
	}{
		{"privileged", []specs.LinuxDeviceCgroup{{Allow: true}}, 2},
		{"deny all", []specs.LinuxDeviceCgroup{{Access: "rwm"}}, 28},
		{"repetition", []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Allow: true, Type: "c", Major: n(1), Minor: n(3)}, {Allow: true, Type: "c", Major: n(1), Minor: n(3), Access: "r"}}, 28},
	} {
		p, err := NewPolicy(c.list)
		if err != nil {
			t.Fatal(err)
		}
		code, err := p.Program()
		if err != nil {
			t.Fatal(err)
		}
		if len(code) > c.most {
			t.Errorf("%s: %d instructions, %d do", c.name, len(code), c.most)
		}
		t.Logf("%s: %d instructions", c.name, len(code))
	}
}

func TestBadEntries(t *testing.T) {
	for _, c := range []struct {
		d     specs.LinuxDeviceCgroup
		field string
	}{
		{specs.LinuxDeviceCgroup{Type: "u"}, "linux.resources.devices[0].type"},
		{specs.LinuxDeviceCgroup{Type: "p"}, "linux.resources.devices[0].type"},
		{specs.LinuxDeviceCgroup{Major: n(-2)}, "linux.resources.devices[0].major"},
		{specs.LinuxDeviceCgroup{Minor: n(1 << 32)}, "linux.resources.devices[0].minor"},
		{specs.LinuxDeviceCgroup{Access: "rx"}, "linux.resources.devices[0].access"},
	} {
		_, err := NewPolicy([]specs.LinuxDeviceCgroup{c.d})
		var bad *RuleError
		if !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("%+v: %v", c.d, err)
		}
	}
}

func TestTooLong(t *testing.T) {
	p := &Policy{}
	for i := range int64(40_000) {
		p.rules = append(p.rules, rule{pattern: pattern{block, 8, i}, access: Read, allow: true})
	}
	if _, err := p.Program(); !errors.Is(err, ErrTooLong) {
		t.Errorf("Program = %v", err)
	}
}
