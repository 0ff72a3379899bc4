//go:build seccomp && cgo

package seccomp

import (
	"bytes"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

func nativeArch(t testing.TB) (specs.Arch, uint32) {
	switch runtime.GOARCH {
	case "amd64":
		return specs.ArchX86_64, unix.AUDIT_ARCH_X86_64
	case "arm64":
		return specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64
	}
	t.Skip("no table for this architecture")
	return "", 0
}

func mustGenerate(t testing.TB, cfg *specs.LinuxSeccomp) (*profile, *compiled) {
	t.Helper()
	p, err := parse(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := generate(p, false)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// The program behaves as the one that libseccomp makes of the same profile for
// all architectures. The default of TRACE keeps the young numbers out of it.
func TestEqualsLibseccomp(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the profile has amd64's architectures")
	}
	cfg := loadProfile(t, "testdata/allowlist.json")
	cfg.DefaultAction = specs.ActTrace
	for _, archs := range [][]specs.Arch{nil, {specs.ArchX32}, {specs.ArchX86}, {specs.ArchX86, specs.ArchX32, specs.ArchX86_64}, {specs.ArchAARCH64, specs.ArchARM}} {
		cfg.Architectures = archs
		p, c := mustGenerate(t, cfg)
		whole, err := libseccompProgram(t, p, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, audit := range []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_RISCV64} {
			for _, base := range []uint32{0, 0xf0000, x32Bit, 1<<32 - 600} {
				for nr := range uint32(600) {
					for _, arg := range []uint64{0, 8, 40, 0x7e020000, 0xffffffff, 1 << 32} {
						c1 := call{nr: base + nr, arch: audit, args: [6]uint64{arg}}
						if a, b := run(t, c.program, c1), run(t, whole, c1); a != b {
							t.Fatalf("%v, %+v: %v, of libseccomp %v", archs, c1, a, b)
						}
					}
				}
			}
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	cfg := loadProfile(b, "testdata/allowlist.json")
	for b.Loop() {
		if _, err := Compile(cfg, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCacheHit(b *testing.B) {
	cfg := loadProfile(b, "testdata/allowlist.json")
	dir := b.TempDir()
	for b.Loop() {
		c, err := OpenCache(dir)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Compile(cfg, Options{}); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func TestCacheGivesTheSameFilter(t *testing.T) {
	cfg := loadProfile(t, "testdata/allowlist.json")
	if runtime.GOARCH != "amd64" {
		cfg.Architectures = nil
	}
	cfg.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}
	start := time.Now()
	want, err := Compile(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	compileTime := time.Since(start)
	c := newCache(t)
	for _, round := range []string{"miss", "hit"} {
		start := time.Now()
		got, err := c.Compile(cfg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("compile %v, %s %v", compileTime, round, time.Since(start))
		if !bytes.Equal(got.Program, want.Program) || got.Flags != want.Flags || got.Notify != want.Notify || !slices.Equal(got.Warnings, want.Warnings) {
			t.Errorf("%s: another filter: flags %#x, warnings %q", round, got.Flags, got.Warnings)
		}
	}
	// Two profiles that differ in an errno only.
	other := *cfg
	other.DefaultErrnoRet = ptr(uint(unix.EACCES))
	got, err := c.Compile(&other, Options{})
	if err != nil || bytes.Equal(got.Program, want.Program) {
		t.Errorf("profiles with different errnos share a filter (%v)", err)
	}
	// Unknown names are an error on request, hit or not.
	if len(want.Warnings) > 0 {
		if _, err := c.Compile(cfg, Options{FailUnknownSyscalls: true}); err == nil {
			t.Error("the entry of a lenient compilation satisfied a strict one")
		}
	}
}

func TestUnknownSyscalls(t *testing.T) {
	cfg := &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Syscalls:      []specs.LinuxSyscall{entry(specs.ActErrno, "getpid", "no_such_call", "another_one"), entry(specs.ActErrno, "no_such_call")},
	}
	f, err := Compile(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], `["another_one" "no_such_call"]`) {
		t.Errorf("warnings %q", f.Warnings)
	}
	_, err = Compile(cfg, Options{FailUnknownSyscalls: true})
	if err == nil || !strings.HasPrefix(err.Error(), "linux.seccomp.syscalls[0].names[1]: ") {
		t.Errorf("strict: %v", err)
	}
}

func TestArchitectures(t *testing.T) {
	native, _ := nativeArch(t)
	for _, a := range archNames() {
		cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{a}, Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, "read", "getpid", "exit")}}
		p, err := parse(cfg)
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		c, err := generate(p, false)
		switch bigEndian := strings.Contains("SCMP_ARCH_MIPS SCMP_ARCH_MIPS64 SCMP_ARCH_MIPS64N32 SCMP_ARCH_PPC SCMP_ARCH_PPC64 SCMP_ARCH_S390 SCMP_ARCH_S390X SCMP_ARCH_PARISC SCMP_ARCH_PARISC64 SCMP_ARCH_M68K SCMP_ARCH_SHEB ", string(a)+" "); {
		case !libraryKnows(a):
			if err == nil || !strings.Contains(err.Error(), "linux.seccomp.architectures[0]: "+string(a)+" is unknown to libseccomp") {
				t.Errorf("%s, unknown here: %v", a, err)
			}
		case bigEndian:
			if err == nil || !strings.Contains(err.Error(), "byte order") {
				t.Errorf("%s, big-endian: %v", a, err)
			}
		case err != nil:
			t.Errorf("%s: %v", a, err)
		default:
			checkArch(t, c.program, native, a)
		}
	}
}

// checkArch: the architecture asked for and the native one are in the filter, others aren't.
func checkArch(t *testing.T, program []byte, native, a specs.Arch) {
	t.Helper()
	for _, b := range archNames() {
		if !libraryKnows(b) {
			continue
		}
		nr, err := libseccomp.GetSyscallFromNameByArch("read", scmpArch(b))
		if err != nil {
			t.Fatal(err)
		}
		read := call{nr: uint32(nr), arch: auditArch(b)}
		want := action(unix.SECCOMP_RET_KILL_THREAD)
		if b == native || b == a {
			want = unix.SECCOMP_RET_ALLOW
		}
		if got := run(t, program, read); got != want {
			t.Errorf("filter for %s, read of %s: %v, want %v", a, b, got, want)
		}
	}
}

// The limit follows the profile, and never falls below the calls of 2017.
func TestYoungCallsOfCompiledProfiles(t *testing.T) {
	native, audit := nativeArch(t)
	for _, tt := range []struct {
		names []string
		last  uint32
	}{
		{[]string{"read"}, unix.SYS_STATX},
		{[]string{"read", "no_such_call"}, unix.SYS_STATX},
		{[]string{"read", "openat2"}, unix.SYS_OPENAT2},
	} {
		_, c := mustGenerate(t, &specs.LinuxSeccomp{DefaultAction: specs.ActKill, Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, tt.names...)}})
		for nr, want := range map[uint32]action{tt.last - 1: unix.SECCOMP_RET_KILL_THREAD, tt.last + 1: young, 5000: young, 1<<32 - 1: young} {
			if got := run(t, c.program, call{nr: nr, arch: audit}); got != want {
				t.Errorf("%s, %v, number %d: %v, want %v", native, tt.names, nr, got, want)
			}
		}
	}
	// Denied by name is denied, however young.
	_, c := mustGenerate(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{entry(specs.ActErrno, "openat2")}})
	if got := run(t, c.program, call{nr: unix.SYS_OPENAT2, arch: audit}); got != action(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM)) {
		t.Errorf("openat2 by name: %v", got)
	}
	// Without rules the default is all there is.
	_, c = mustGenerate(t, &specs.LinuxSeccomp{DefaultAction: specs.ActKill})
	if got := run(t, c.program, call{nr: 5000, arch: audit}); got != unix.SECCOMP_RET_KILL_THREAD {
		t.Errorf("bare KILL: %v", got)
	}
}

func TestTooLargeProgram(t *testing.T) {
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	for v := range uint64(1500) {
		cfg.Syscalls = append(cfg.Syscalls, specs.LinuxSyscall{Names: []string{"getpid"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Value: v << 33, Op: specs.OpEqualTo}}})
	}
	if _, err := Compile(cfg, Options{}); err == nil || !strings.Contains(err.Error(), "the kernel takes 4096") {
		t.Errorf("got %v", err)
	}
}

func TestConflict(t *testing.T) {
	arg := []specs.LinuxSeccompArg{{Value: 1, Op: specs.OpEqualTo}}
	_, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"getpid"}, Action: specs.ActAllow, Args: arg},
		{Names: []string{"getpid"}, Action: specs.ActKill, Args: arg},
	}}, Options{})
	if err == nil || !strings.Contains(err.Error(), `linux.seccomp.syscalls[1]: asks for SCMP_ACT_KILL_THREAD on "getpid"`) {
		t.Errorf("got %v", err)
	}
}

func TestFeatures(t *testing.T) {
	f := Features()
	if !*f.Enabled || len(f.Actions) != 9 || len(f.Operators) != 7 || len(f.KnownFlags) != 4 || len(f.Archs) < 19 {
		t.Errorf("%+v", f)
	}
	for _, list := range [][]string{f.Actions, f.Operators, f.Archs, f.KnownFlags, f.SupportedFlags} {
		if !slices.IsSorted(list) {
			t.Errorf("%v isn't sorted", list)
		}
	}
	// What features says must be accepted.
	for _, name := range f.SupportedFlags {
		filter, err := Compile(&specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow, ListenerPath: "/l", Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(name)},
			Syscalls: []specs.LinuxSyscall{entry(specs.ActNotify, "mkdir")},
		}, Options{})
		if err == nil {
			err = filter.CheckKernel()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v := LibraryVersion(); len(strings.Split(v, ".")) != 3 {
		t.Errorf("version %q", v)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":[{"names":["read","clone3"],"action":"SCMP_ACT_ALLOW"}]}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/l","flags":["SECCOMP_FILTER_FLAG_TSYNC"],"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY","args":[{"index":1,"value":2,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}]}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["personality"],"action":"SCMP_ACT_ERRNO","errnoRet":38,"args":[{"index":0,"value":2,"op":"SCMP_CMP_NE"},{"index":0,"value":9,"op":"SCMP_CMP_GT"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := &specs.LinuxSeccomp{}
		if json.Unmarshal(data, cfg) != nil {
			return
		}
		p, err := parse(cfg)
		if err != nil {
			return
		}
		p.key(Options{})
		made, err := generate(p, false)
		if err != nil {
			return
		}
		for _, arch := range []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64} {
			for _, nr := range []uint32{0, 1, 60, 135, 332, 333, 435, 1000, x32Bit, x32Bit + 520, x32Bit + 1000, 1<<32 - 1} {
				for _, arg := range []uint64{0, 2, 9, 1 << 33} {
					c := call{nr, arch, [6]uint64{arg, arg, arg, arg, arg, arg}}
					got := run(t, made.program, c)
					asked := slices.ContainsFunc(p.rules, func(r rule) bool { return r.action == got })
					if !asked && got != p.defaultAction && got != young && got != unix.SECCOMP_RET_KILL_THREAD {
						t.Fatalf("%s: %+v gives %v", data, c, got)
					}
				}
			}
		}
	})
}
