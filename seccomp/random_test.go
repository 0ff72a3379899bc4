//go:build seccomp && cgo

package seccomp

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// someCalls are numbers of the native architecture that don't come from libseccomp.
var someCalls = map[string]uint32{
	"read": unix.SYS_READ, "write": unix.SYS_WRITE, "close": unix.SYS_CLOSE, "getpid": unix.SYS_GETPID,
	"getppid": unix.SYS_GETPPID, "clone": unix.SYS_CLONE, "personality": unix.SYS_PERSONALITY,
	"socket": unix.SYS_SOCKET, "ioctl": unix.SYS_IOCTL, "kill": unix.SYS_KILL, "futex": unix.SYS_FUTEX,
	"mount": unix.SYS_MOUNT, "unshare": unix.SYS_UNSHARE, "setns": unix.SYS_SETNS, "bpf": unix.SYS_BPF,
	"statx": unix.SYS_STATX, "openat": unix.SYS_OPENAT, "openat2": unix.SYS_OPENAT2, "clone3": unix.SYS_CLONE3,
	"faccessat2": unix.SYS_FACCESSAT2, "execve": unix.SYS_EXECVE, "prctl": unix.SYS_PRCTL,
	"mprotect": unix.SYS_MPROTECT, "madvise": unix.SYS_MADVISE, "pidfd_open": unix.SYS_PIDFD_OPEN,
}

func holds(a specs.LinuxSeccompArg, v uint64) bool {
	switch a.Op {
	case specs.OpNotEqual:
		return v != a.Value
	case specs.OpLessThan:
		return v < a.Value
	case specs.OpLessEqual:
		return v <= a.Value
	case specs.OpEqualTo:
		return v == a.Value
	case specs.OpGreaterEqual:
		return v >= a.Value
	case specs.OpGreaterThan:
		return v > a.Value
	}
	return v&a.Value == a.ValueTwo&a.Value // seccomp_rule_add(3): the masked datum
}

// expected is the meaning of a profile as the package documentation has it,
// for the native architecture. Where conditional rules of one call overlap with
// different actions the documentation promises nothing: ok is false.
func expected(p *profile, c call) (want action, ok bool) {
	var last uint32
	var matched []action
	for i := range p.rules {
		r := &p.rules[i]
		for _, name := range r.names {
			last = max(last, someCalls[name])
			if someCalls[name] != c.nr || r.action == p.defaultAction {
				continue
			}
			if len(r.args) == 0 {
				if want == 0 && !ok {
					want, ok = r.action, true
				}
				continue
			}
			all, some := true, false
			for _, a := range r.args {
				h := holds(a, c.args[a.Index])
				all, some = all && h, some || h
			}
			if all || r.anyArg && some {
				matched = append(matched, r.action)
			}
		}
	}
	if ok {
		return want, true
	}
	if len(matched) > 0 {
		return matched[0], !slices.ContainsFunc(matched, func(a action) bool { return a != matched[0] })
	}
	if len(p.rules) > 0 && p.deniesUnknown() && c.nr > max(last, unix.SYS_STATX) && c.nr < x32Bit {
		return young, true
	}
	return p.defaultAction, true
}

// randomProfile prefers the first arguments, so that conditions meet.
func randomProfile(rng *rand.Rand) *specs.LinuxSeccomp {
	pick := func(list []specs.LinuxSeccompAction) (specs.LinuxSeccompAction, *uint) {
		a := list[rng.IntN(len(list))]
		if a == specs.ActErrno && rng.IntN(2) == 0 {
			return a, ptr(uint(rng.IntN(40)))
		}
		return a, nil
	}
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKillProcess, specs.ActTrap, specs.ActTrace, specs.ActLog, specs.ActKill}
	ops := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual, specs.OpNotEqual}
	names := make([]string, 0, len(someCalls))
	for name := range someCalls {
		names = append(names, name)
	}
	slices.Sort(names)
	cfg := &specs.LinuxSeccomp{}
	cfg.DefaultAction, cfg.DefaultErrnoRet = pick(actions)
	for range rng.IntN(20) {
		var s specs.LinuxSyscall
		for range 1 + rng.IntN(3) {
			s.Names = append(s.Names, names[rng.IntN(len(names))])
		}
		s.Action, s.ErrnoRet = pick(actions)
		if rng.IntN(2) == 0 {
			for range 1 + rng.IntN(3) {
				s.Args = append(s.Args, specs.LinuxSeccompArg{
					Index: uint(rng.IntN(1 + rng.IntN(maxArgs))), Op: ops[rng.IntN(len(ops))],
					Value: someValue(rng), ValueTwo: someValue(rng),
				})
			}
		}
		cfg.Syscalls = append(cfg.Syscalls, s)
	}
	return cfg
}

func someValue(rng *rand.Rand) uint64 {
	values := []uint64{0, 1, 2, 3, 0x7e020000, 0xffffffff, 1 << 32, 1<<32 + 1, 3 << 32, 1<<64 - 1, 1 << 63}
	return values[rng.IntN(len(values))]
}

// near returns values on both sides of a condition, and those whose halves are.
func near(a specs.LinuxSeccompArg) []uint64 {
	var values []uint64
	for _, v := range []uint64{a.Value, a.ValueTwo & a.Value} {
		for _, high := range []uint64{v>>32 - 1, v >> 32, v>>32 + 1, 0, 1<<32 - 1} {
			for _, low := range []uint64{v - 1, v, v + 1, 0, 1<<32 - 1} {
				values = append(values, high<<32|low&(1<<32-1))
			}
		}
	}
	return values
}

// conditionsOn returns all that a profile puts on a call.
func conditionsOn(cfg *specs.LinuxSeccomp, name string) (conds []specs.LinuxSeccompArg) {
	for _, s := range cfg.Syscalls {
		if slices.Contains(s.Names, name) {
			conds = append(conds, s.Args...)
		}
	}
	return conds
}

// someArgs draws most arguments at or near the conditions, so that they hold and
// fail in all combinations: a wrong program may be so for one value of each.
func someArgs(rng *rand.Rand, conds []specs.LinuxSeccompArg) (args [maxArgs]uint64) {
	for i := range args {
		args[i] = someValue(rng)
	}
	for _, n := range rng.Perm(len(conds)) {
		c := conds[n]
		switch rng.IntN(4) {
		case 0, 1:
			args[c.Index] = c.Value
		case 2:
			values := near(c)
			args[c.Index] = values[rng.IntN(len(values))]
		}
	}
	return args
}

// joined is the program before it is verified.
func joined(t *testing.T, p *profile, tree, guardAll bool) []byte {
	t.Helper()
	archs, err := architectures(p.archs)
	if err != nil {
		t.Fatal(err)
	}
	rules, _, err := resolve(p, false)
	if err != nil {
		t.Fatal(err)
	}
	program, err := join(p, archs, rules, tree, guardAll)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// randomPrograms are those of a list, of a tree and of guards alone; wrong counts
// those that were made anew. A profile with a conflict has none.
func randomPrograms(t *testing.T, p *profile) (programs map[string][]byte, wrong int) {
	t.Helper()
	programs = make(map[string][]byte)
	for kind, tree := range map[string]bool{"list": false, "tree": true} {
		c, err := generate(p, true, tree)
		if err != nil {
			if !strings.Contains(err.Error(), "same conditions") {
				t.Fatal(err)
			}
			return nil, 0
		}
		programs[kind] = c.program
		if verify(joined(t, p, tree, false)) != nil {
			wrong++
		}
	}
	programs["guards"] = joined(t, p, true, true)
	return programs, wrong
}

// The programs of random profiles, with and without the tree, do what the
// documentation says, for argument values near the conditions. No profile is
// refused but for a conflict.
func TestRandomProfiles(t *testing.T) {
	_, audit := nativeArch(t)
	rng := rand.New(rand.NewPCG(1, 2))
	checked, conflicts, wrong := 0, 0, 0
	for n := range 400 {
		cfg := randomProfile(rng)
		p, err := parse(cfg)
		if err != nil {
			t.Fatal(err)
		}
		programs, w := randomPrograms(t, p)
		if programs == nil {
			conflicts++
		}
		if programs != nil && verify(programs["guards"]) != nil {
			t.Errorf("profile %d: wrong with guards alone", n)
		}
		wrong += w
		for _, name := range slices.Sorted(maps.Keys(someCalls)) {
			conds := conditionsOn(cfg, name)
			for range 3 + 30*len(conds) {
				c := call{nr: someCalls[name], arch: audit, args: someArgs(rng, conds)}
				want, ok := expected(p, c)
				if !ok {
					continue
				}
				for kind, program := range programs {
					if got := run(t, program, c); got != want {
						text, _ := json.Marshal(cfg)
						t.Fatalf("profile %d, %s, %s %+v: %v, want %v\n%s", n, kind, name, c, got, want, text)
					}
					checked++
				}
			}
		}
	}
	t.Logf("%d decisions checked; %d profiles refused for a conflict; %d programs of libseccomp %s found wrong and made anew", checked, conflicts, wrong, LibraryVersion())
	if checked < 300000 || conflicts > 40 {
		t.Error("too few decisions to mean anything")
	}
}

// libseccomp 2.5.4 compares the lower half of unshare's third argument where it
// means the upper one, and kills what no rule asks to kill.
func TestMergedComparisons(t *testing.T) {
	_, audit := nativeArch(t)
	cfg := loadProfile(t, "testdata/merged.json")
	for _, tree := range []bool{false, true} {
		p, c := mustGenerate(t, cfg, tree)
		for _, name := range []string{"mount", "unshare"} {
			for _, third := range near(specs.LinuxSeccompArg{Value: 0x7e020000}) {
				for _, fifth := range []uint64{2, 3, 4, 1 << 32} {
					at := call{someCalls[name], audit, [6]uint64{2: third, 4: fifth}}
					want, ok := expected(p, at)
					if got := run(t, c.program, at); ok && got != want {
						t.Errorf("%s %+v, tree %v: %v, want %v", name, at, tree, got, want)
					}
				}
			}
		}
	}
}
