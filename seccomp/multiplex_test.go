//go:build seccomp && cgo

package seccomp

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

const (
	socketcall386 = 102
	socket386     = 359
	afALG         = 38
)

// conditionalSocket allows what engines' profiles do: sockets of all families but AF_ALG.
func conditionalSocket(more ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	socket := entry(specs.ActAllow, "socket")
	socket.Args = []specs.LinuxSeccompArg{{Value: afALG, Op: specs.OpNotEqual}}
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86},
		Syscalls: append([]specs.LinuxSyscall{socket, entry(specs.ActAllow, "bind", "getpid", "exit_group")}, more...),
	}
}

// Conditions on socket are checked on the direct way and can't be on the other,
// which stays closed (CVE-2026-31431 was reached through it).
func TestConditionsBehindSocketcall(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the profile is amd64's")
	}
	eperm, enosys := action(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM)), action(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS))
	socketcall := entry(specs.ActErrno, "socketcall")
	socketcall.ErrnoRet = ptr(uint(unix.ENOSYS))
	only := entry(specs.ActAllow, "socketcall")
	only.Args = []specs.LinuxSeccompArg{{Value: 1, Op: specs.OpEqualTo}}
	deny := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86}, Syscalls: []specs.LinuxSyscall{{
		Names: []string{"socket"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Value: afALG, Op: specs.OpEqualTo}},
	}}}
	for _, tt := range []struct {
		name                         string
		cfg                          *specs.LinuxSeccomp
		socket, alg, behind, another action
	}{
		{"allowed but for one family", conditionalSocket(), unix.SECCOMP_RET_ALLOW, eperm, eperm, unix.SECCOMP_RET_ALLOW},
		{"the default by name", conditionalSocket(entry(specs.ActErrno, "socketcall")), unix.SECCOMP_RET_ALLOW, eperm, eperm, unix.SECCOMP_RET_ALLOW},
		{"socketcall denied", conditionalSocket(socketcall), unix.SECCOMP_RET_ALLOW, eperm, enosys, enosys},
		{"socketcall allowed", conditionalSocket(entry(specs.ActAllow, "socketcall")), unix.SECCOMP_RET_ALLOW, eperm, unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ALLOW},
		{"socketcall allowed for this", conditionalSocket(only), unix.SECCOMP_RET_ALLOW, eperm, unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ALLOW},
		{"denied for one family", deny, unix.SECCOMP_RET_ALLOW, eperm, eperm, unix.SECCOMP_RET_ALLOW},
	} {
		_, c := mustGenerate(t, tt.cfg)
		for _, at := range []struct {
			nr   uint32
			arg  uint64
			want action
		}{
			{socket386, unix.AF_UNIX, tt.socket}, {socket386, afALG, tt.alg}, {socketcall386, 1, tt.behind}, {socketcall386, 2, tt.another},
			{socketcall386, 1 | 1<<32, tt.behind}, // the kernel takes an int
		} {
			if got := run(t, c.program, call{at.nr, unix.AUDIT_ARCH_I386, [6]uint64{at.arg}}); got != at.want && !(tt.name == "socketcall allowed for this" && at.arg>>32 == 1) {
				t.Errorf("%s: %d(%#x): %v, want %v", tt.name, at.nr, at.arg, got, at.want)
			}
		}
		if got := strings.Contains(strings.Join(c.warnings, "\n"), `conditions on ["socket"] can't be checked behind socketcall of SCMP_ARCH_X86`); got == strings.HasPrefix(tt.name, "socketcall ") && tt.name != "socketcall allowed for this" {
			t.Errorf("%s: warnings %q", tt.name, c.warnings)
		}
	}
}

func TestConditionsBehindSocketcallInTheKernel(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers are amd64's")
	}
	all := &Filter{Program: (&assembler{insns: []insn{{code: opReturn, k: unix.SECCOMP_RET_ALLOW}}}).link()}
	if !start(t, all, "i:"+nr(20)).wait().Exited() {
		t.Skip("this kernel has no i386 emulation")
	}
	got := start(t, mustCompile(t, conditionalSocket()),
		"i:"+nr(socket386, unix.AF_UNIX, unix.SOCK_STREAM, 0),
		"i:"+nr(socket386, afALG, unix.SOCK_SEQPACKET, 0),
		"i:"+nr(socketcall386, 1, 0),
		"i:"+nr(socketcall386, 2, 0),
	).finish(4)
	if got[0] < 0 || got[1] != -int64(unix.EPERM) || got[2] != -int64(unix.EPERM) || got[3] != -int64(unix.EFAULT) {
		t.Errorf("socket(AF_UNIX), socket(AF_ALG), socketcall(socket), socketcall(bind) give %d", got)
	}
}

// The numbers that libseccomp knows for multiplexed calls of i386 are all looked at.
func TestDirectNumbers(t *testing.T) {
	for nr := range uint32(600) {
		name := callAt(specs.ArchX86, nr)
		for _, m := range multiplexers() {
			if slices.ContainsFunc(m.calls, func(c multiplexed) bool { return c.name == name }) && !slices.Contains(directNumbers(specs.ArchX86), nr) {
				t.Errorf("%s has the number %d", name, nr)
			}
		}
	}
}

// A call is behind a multiplexer here where it is for libseccomp, which forgets
// (2.5.4) those that have no direct number.
func TestMultiplexersAreThoseOfLibseccomp(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the filter is amd64's")
	}
	for _, m := range multiplexers() {
		for _, c := range m.calls {
			if !slices.ContainsFunc(directNumbers(specs.ArchX86), func(nr uint32) bool { return callAt(specs.ArchX86, nr) == c.name }) {
				continue
			}
			p, made := mustGenerate(t, &specs.LinuxSeccomp{DefaultAction: specs.ActTrace, Architectures: []specs.Arch{specs.ArchX86}, Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, c.name)}})
			theirs, err := libseccompProgram(t, p, false)
			if err != nil {
				t.Fatal(err)
			}
			for nr := range uint32(500) {
				for first := range uint64(32) {
					at := call{nr, unix.AUDIT_ARCH_I386, [6]uint64{first}}
					if a, b := run(t, made.program, at), run(t, theirs, at); a != b {
						t.Errorf("%s: %d(%d): %v, of libseccomp %v", c.name, nr, first, a, b)
					}
				}
			}
		}
	}
}

func TestByteOrders(t *testing.T) {
	for _, a := range archNames() {
		if !libraryKnows(a) {
			continue
		}
		filter, err := libseccomp.NewFilter(libseccomp.ActAllow)
		if err != nil {
			t.Fatal(err)
		}
		if err := filter.AddArch(scmpArch(a)); (err != nil) != bigEndian(a) {
			t.Errorf("%s: libseccomp says %v", a, err)
		}
		filter.Release()
	}
}

// Profiles for which libseccomp 2.5.4 doesn't come to an end, and large ones.
func TestNoProfileTakesLong(t *testing.T) {
	endless := &specs.LinuxSeccomp{DefaultAction: specs.ActTrace, Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, "getpid"), entry(specs.ActAllow, "getpid")}}
	endless.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 0, Value: 1, Op: specs.OpNotEqual}, {Index: 1, Value: 1, Op: specs.OpNotEqual}, {Index: 2, Value: 2, Op: specs.OpEqualTo}}
	endless.Syscalls[1].Args = []specs.LinuxSeccompArg{{Index: 0, Value: 1, Op: specs.OpNotEqual}, {Index: 2, Value: 1, Op: specs.OpNotEqual}}
	var names []string
	for nr := range uint32(450) {
		if name := callAt(specs.ArchX86_64, nr); name != "" {
			names = append(names, name)
		}
	}
	var unknown []string
	for i := range 20000 {
		unknown = append(unknown, fmt.Sprint("call", i))
	}
	many := func(different bool) *specs.LinuxSeccomp {
		cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
		for _, a := range archNames() {
			if libraryKnows(a) && !bigEndian(a) {
				cfg.Architectures = append(cfg.Architectures, a)
			}
		}
		for i := range uint64(20) {
			e := entry(specs.ActAllow, names...)
			for n := range uint64(4000) {
				e.Args = append(e.Args, specs.LinuxSeccompArg{Value: n + i<<20, Op: specs.OpEqualTo})
			}
			cfg.Syscalls = append(cfg.Syscalls, e)
		}
		for i, name := range names {
			e := entry(specs.ActAllow, name)
			e.Args = []specs.LinuxSeccompArg{{Value: 1, Op: specs.OpEqualTo}}
			if different {
				e.Args[0].Value = 1<<40 + uint64(i)
			}
			cfg.Syscalls = append(cfg.Syscalls, e)
		}
		return cfg
	}
	for name, cfg := range map[string]*specs.LinuxSeccomp{
		"endless with libseccomp": endless,
		"conditions of all calls": many(false), "conditions of each call": many(true),
		"unknown names": {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, unknown...)}},
	} {
		began := processorTime(t)
		_, err := Compile(cfg, Options{})
		took := processorTime(t) - began
		if took > 2*time.Second {
			t.Errorf("%s: %v (%v)", name, took, err)
		}
		if large := strings.HasPrefix(name, "conditions"); (err != nil) != large || large && !strings.Contains(err.Error(), "no program has room") && !strings.Contains(err.Error(), "the kernel takes 4096") {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v, %v", name, took, err)
	}
}

// processorTime is what this process has had of the CPUs: how busy they are otherwise isn't in it.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
