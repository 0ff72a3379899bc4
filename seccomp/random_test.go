//go:build seccomp && cgo

package seccomp

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// randomProfile prefers the first arguments, so that conditions meet.
func randomProfile(rng *rand.Rand, names []string, archs []specs.Arch) *specs.LinuxSeccomp {
	pick := func(list []specs.LinuxSeccompAction) (specs.LinuxSeccompAction, *uint) {
		a := list[rng.IntN(len(list))]
		if a == specs.ActErrno && rng.IntN(2) == 0 {
			return a, ptr(uint(rng.IntN(40)))
		}
		return a, nil
	}
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKillProcess, specs.ActTrap, specs.ActTrace, specs.ActLog, specs.ActKill}
	ops := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual, specs.OpNotEqual}
	cfg := &specs.LinuxSeccomp{Architectures: archs}
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
	values := []uint64{0, 1, 2, 3, 11, 0x7e020000, 0xffffffff, 1 << 32, 1<<32 + 1, 3 << 32, 1<<64 - 1, 1<<64 - 2, 1 << 63}
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

// someCalls are those of an architecture at or near the conditions; through the
// multiplexers with and without what the kernel ignores.
func (b *abi) someCalls(rng *rand.Rand, cfg *specs.LinuxSeccomp) (calls []call) {
	for _, name := range slices.Sorted(maps.Keys(b.calls)) {
		conds := conditionsOn(cfg, name)
		for range 3 + 20*len(conds) {
			calls = append(calls, call{nr: b.calls[name] | b.first, arch: b.audit, args: someArgs(rng, conds)})
		}
		if name == "socketcall" || name == "ipc" {
			for n := range uint64(26) {
				for _, ignored := range []uint64{0, 1 << 32, 1<<64 - 1<<32, 1 << 16} {
					args := someArgs(rng, conds)
					args[0] = n | ignored
					calls = append(calls, call{nr: b.calls[name], arch: b.audit, args: args})
				}
			}
		}
	}
	for _, nr := range []uint32{b.statx, b.statx + 1, 436, 438, 700, 0x10000} {
		if !slices.Contains(slices.Collect(maps.Values(b.calls)), nr) {
			calls = append(calls, call{nr: nr | b.first, arch: b.audit, args: someArgs(rng, nil)})
		}
	}
	return calls
}

// Random profiles do what the documentation says, on all kinds of architectures,
// for arguments near the conditions. No profile is refused but for a conflict,
// and none takes long.
func TestRandomProfiles(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the architectures are those of an amd64 filter")
	}
	rng := rand.New(rand.NewPCG(3, 4))
	checked, conflicts, multiplexed := 0, 0, 0
	for n := range 400 {
		all := abis()
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:1+rng.IntN(len(all))]
		archs := []specs.Arch{}
		for _, b := range all {
			archs = append(archs, b.arch)
		}
		if !slices.Contains(archs, specs.ArchX86_64) { // is in every filter
			all = append(all, abis()[0])
		}
		names := slices.Sorted(maps.Keys(all[0].calls))
		if n%2 == 0 { // where most meet
			names = []string{"socket", "sendto", "semop", "semtimedop", "shmat", "connect", "setsockopt", "getpid", "ioctl", "socketcall", "ipc"}[:9+rng.IntN(3)]
		}
		cfg := randomProfile(rng, names, archs)
		p, err := parse(cfg)
		if err != nil {
			t.Fatal(err)
		}
		began := processorTime(t)
		made, err := generate(p, true)
		if took := processorTime(t) - began; took > 2*time.Second {
			t.Errorf("profile %d took %v", n, took)
		}
		if err != nil {
			if !strings.Contains(err.Error(), "same conditions") {
				t.Fatal(err)
			}
			conflicts++
			continue
		}
		if strings.Contains(strings.Join(made.warnings, "\n"), "can't be checked behind") {
			multiplexed++
		}
		for _, b := range all {
			for _, c := range b.someCalls(rng, cfg) {
				if got, want := run(t, made.program, c), b.expected(p, c); got != want {
					text, _ := json.Marshal(cfg)
					t.Fatalf("profile %d, %s %+v: %v, want %v\n%s", n, b.arch, c, got, want, text)
				}
				checked++
			}
		}
	}
	t.Logf("%d decisions checked; %d profiles refused for a conflict, %d with conditions behind a multiplexer", checked, conflicts, multiplexed)
	if checked < 500000 || conflicts > 50 || multiplexed < 100 {
		t.Error("too few decisions to mean anything")
	}
}

// libseccomp 2.5.4 compares the lower half of unshare's third argument where it
// means the upper one, and kills what no rule asks to kill.
func TestMergedComparisons(t *testing.T) {
	native, audit := nativeArch(t)
	cfg := loadProfile(t, "testdata/merged.json")
	p, c := mustGenerate(t, cfg)
	b := abi{native, audit, false, map[string]uint32{"mount": unix.SYS_MOUNT, "unshare": unix.SYS_UNSHARE}, unix.SYS_STATX, 0}
	for _, name := range []string{"mount", "unshare"} {
		for _, third := range near(specs.LinuxSeccompArg{Value: 0x7e020000}) {
			for _, fifth := range []uint64{2, 3, 4, 1 << 32} {
				at := call{b.calls[name], audit, [6]uint64{2: third, 4: fifth}}
				if got, want := run(t, c.program, at), b.expected(p, at); got != want {
					t.Errorf("%s %+v: %v, want %v", name, at, got, want)
				}
			}
		}
	}
}
