package seccomp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func entry(a specs.LinuxSeccompAction, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: a}
}

func TestRefusedProfiles(t *testing.T) {
	base := func(change func(*specs.LinuxSeccomp)) *specs.LinuxSeccomp {
		cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{entry(specs.ActErrno, "mkdir")}}
		change(cfg)
		return cfg
	}
	tests := []struct {
		name, field, text string
		change            func(*specs.LinuxSeccomp)
	}{
		{"no default action", "linux.seccomp.defaultAction", "is required", func(c *specs.LinuxSeccomp) { c.DefaultAction = "" }},
		{"unknown default action", "linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY", func(c *specs.LinuxSeccomp) { c.DefaultAction = "SCMP_ACT_PERMIT" }},
		{"errno for ALLOW", "linux.seccomp.defaultErrnoRet", "can't carry an errno", func(c *specs.LinuxSeccomp) { c.DefaultErrnoRet = ptr(uint(1)) }},
		{"errno too large", "linux.seccomp.defaultErrnoRet", "4094", func(c *specs.LinuxSeccomp) { c.DefaultAction = specs.ActErrno; c.DefaultErrnoRet = ptr(uint(4095)) }},
		{"default of NOTIFY", "linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action", func(c *specs.LinuxSeccomp) { c.DefaultAction = specs.ActNotify; c.ListenerPath = "/l" }},
		{"unknown architecture", "linux.seccomp.architectures[1]", "VAX", func(c *specs.LinuxSeccomp) { c.Architectures = []specs.Arch{specs.ArchX86, "SCMP_ARCH_VAX"} }},
		{"unknown flag", "linux.seccomp.flags[0]", "SECCOMP_FILTER_FLAG_LOG", func(c *specs.LinuxSeccomp) { c.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW_LISTENER"} }},
		{"metadata for nobody", "linux.seccomp.listenerMetadata", "listenerPath", func(c *specs.LinuxSeccomp) { c.ListenerMetadata = "x" }},
		{"NOTIFY for nobody", "linux.seccomp.listenerPath", "SCMP_ACT_NOTIFY", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Action = specs.ActNotify }},
		{"NOTIFY on write", "linux.seccomp.syscalls[0].action", "SCMP_ACT_NOTIFY cannot be used for the write syscall", func(c *specs.LinuxSeccomp) {
			c.ListenerPath, c.Syscalls[0] = "/l", entry(specs.ActNotify, "mkdir", "write")
		}},
		{"no names", "linux.seccomp.syscalls[0].names", "at least one", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names = nil }},
		{"empty name", "linux.seccomp.syscalls[0].names[1]", "not a valid syscall", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names = []string{"read", ""} }},
		{"NUL in a name", "linux.seccomp.syscalls[0].names[0]", `"read\x00x"`, func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names = []string{"read\x00x"} }},
		{"no action", "linux.seccomp.syscalls[0].action", "is required", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Action = "" }},
		{"errno for KILL", "linux.seccomp.syscalls[0].errnoRet", "can't carry an errno", func(c *specs.LinuxSeccomp) {
			c.Syscalls[0].Action, c.Syscalls[0].ErrnoRet = specs.ActKill, ptr(uint(1))
		}},
		{"message too large", "linux.seccomp.syscalls[0].errnoRet", "65535", func(c *specs.LinuxSeccomp) {
			c.Syscalls[0].Action, c.Syscalls[0].ErrnoRet = specs.ActTrace, ptr(uint(65536))
		}},
		{"seventh argument", "linux.seccomp.syscalls[0].args[0].index", "0 to 5", func(c *specs.LinuxSeccomp) {
			c.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}
		}},
		{"unknown operator", "linux.seccomp.syscalls[0].args[0].op", "SCMP_CMP_NE", func(c *specs.LinuxSeccomp) {
			c.Syscalls[0].Args = []specs.LinuxSeccompArg{{Op: "SCMP_CMP_XX"}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(base(tt.change), Options{})
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Field != tt.field || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %s: …%s…", err, tt.field, tt.text)
			}
		})
	}
	if _, err := Compile(nil, Options{}); err == nil {
		t.Error("no profile: no error")
	}
}

func TestWithoutLibseccomp(t *testing.T) {
	if built {
		t.Skip("this build has libseccomp")
	}
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	if _, err := Compile(cfg, Options{}); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("Compile: %v", err)
	}
	c, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Compile(cfg, Options{}); !errors.Is(err, ErrNotBuilt) {
		t.Errorf("Cache.Compile: %v", err)
	}
	if f := Features(); *f.Enabled {
		t.Error("features say that seccomp is enabled")
	}
}

func TestFlags(t *testing.T) {
	const (
		tsync    = unix.SECCOMP_FILTER_FLAG_TSYNC
		log      = unix.SECCOMP_FILTER_FLAG_LOG
		spec     = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		listener = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		esrch    = unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		killable = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	)
	all := []specs.LinuxSeccompFlag{flagTSYNC, specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv}
	tests := []struct {
		name     string
		flags    []specs.LinuxSeccompFlag
		notify   bool
		want     uint32
		warnings int
	}{
		{"unset", nil, false, spec, 0},
		{"unset, with listener", nil, true, spec | listener, 0},
		{"empty", []specs.LinuxSeccompFlag{}, false, 0, 0},
		{"all", all, false, tsync | log | spec, 1},
		{"all, with listener", all, true, tsync | log | spec | killable | listener | esrch, 0},
		{"log alone", all[1:2], true, log | listener, 0},
		{"twice", []specs.LinuxSeccompFlag{flagTSYNC, flagTSYNC}, false, tsync, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: tt.flags}
			if tt.notify {
				cfg.ListenerPath = "/run/agent"
				cfg.Syscalls = []specs.LinuxSyscall{entry(specs.ActNotify, "mkdir")}
			}
			p, err := parse(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if p.flags != tt.want || len(p.warnings) != tt.warnings || p.notify != tt.notify {
				t.Errorf("flags %#x, want %#x; warnings %q", p.flags, tt.want, p.warnings)
			}
			if err := (&Filter{Flags: p.flags}).CheckKernel(); err != nil && p.flags&killable == 0 {
				t.Errorf("CheckKernel: %v", err) // Linux 5.10 has all the others
			}
		})
	}
}

func TestCheckKernelNamesTheFlag(t *testing.T) {
	const unknown = 1 << 30
	err := (&Filter{Flags: unknown | unix.SECCOMP_FILTER_FLAG_LOG}).CheckKernel()
	if err == nil || !strings.Contains(err.Error(), "0x40000000") {
		t.Errorf("got %v", err)
	}
	err = (&Filter{Flags: unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER}).CheckKernel()
	if err == nil || !strings.Contains(err.Error(), "combination") {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	arg := func(index uint, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
	}
	cfg := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"bpf", "read"}, Action: specs.ActErrno},                                               // read: no effect, 1 allows it
			{Names: []string{"read", "socket"}, Action: specs.ActAllow},                                            //
			{Names: []string{"socket"}, Action: specs.ActKill, Args: []specs.LinuxSeccompArg{arg(0, 1)}},           // no effect
			{Names: []string{"clone"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, 1)}},           //
			{Names: []string{"kill"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, 1), arg(0, 2)}}, // alternatives
			{Names: []string{"tkill"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, 1), arg(1, 2)}},
		},
	}
	p, err := parse(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"linux.seccomp.syscalls[4].args: two conditions on one argument are alternatives, either of them is enough",
		`linux.seccomp.syscalls[0]: no effect on "read", which syscalls[1] decides without conditions`,
		`linux.seccomp.syscalls[2]: no effect on "socket", which syscalls[1] decides without conditions`,
	}
	if got := append(p.warnings, p.shadowed()...); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
