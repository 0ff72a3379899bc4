package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func denying(names []string, a specs.LinuxSeccompAction, errno *uint) harness.Edit {
	return seccompEdit(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: names, Action: a, ErrnoRet: errno}}})
}

// Each action, as a process in a container meets it. sync(2) takes nothing and always succeeds.
func TestSeccompActions(t *testing.T) {
	t.Parallel()
	const killed = 128 + int(unix.SIGSYS)
	probe := harness.Args("/probe", "syscall", fmt.Sprint(unix.SYS_SYNC))
	busybox := harness.Args("/bin/sync")
	thread := harness.Args("/probe", "thread", fmt.Sprint(unix.SYS_SYNC))
	for _, tt := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		run    harness.Edit
		code   int
		out    string
	}{
		{specs.ActAllow, nil, probe, 0, "ok\n"},
		{specs.ActLog, nil, probe, 0, "ok\n"},
		{specs.ActErrno, nil, probe, 0, "EPERM\n"},
		{specs.ActErrno, harness.Pointer(uint(unix.EXDEV)), probe, 0, "EXDEV\n"},
		{specs.ActErrno, harness.Pointer(uint(0)), probe, 0, "ok\n"},
		{specs.ActTrace, nil, probe, 0, "ENOSYS\n"}, // nobody traces
		{specs.ActTrap, nil, busybox, killed, ""},
		{specs.ActKill, nil, busybox, killed, ""},
		{specs.ActKillThread, nil, busybox, killed, ""},
		{specs.ActKillProcess, nil, busybox, killed, ""},
		{specs.ActKill, nil, thread, 0, "survived\n"},
		{specs.ActKillThread, nil, thread, 0, "survived\n"},
		{specs.ActKillProcess, nil, thread, killed, ""},
	} {
		for _, nnp := range []bool{true, false} {
			s := harness.New(t, harness.AllCapabilities())
			s.InstallProbe()
			s.Spec.Process.NoNewPrivileges = nnp
			r := s.Run(denying([]string{"sync"}, tt.action, tt.errno), tt.run)
			if r.Code != tt.code || r.Stdout() != tt.out {
				t.Errorf("%s, %v, noNewPrivileges %t: exit code %d, %q, want %d, %q\n%s", tt.action, s.Spec.Process.Args, nnp, r.Code, r.Stdout(), tt.code, tt.out, r.Stderr())
			}
		}
	}
}

// A tracer sees the call, and the number that the profile has for it.
func TestSeccompTrace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, denying([]string{"sync"}, specs.ActTrace, harness.Pointer(uint(4242))), harness.Shell("until [ -e /go ]; do sleep 0.01; done; exec sync"))
	s.Create().Succeeds()
	t.Cleanup(s.Delete)
	s.Davit("start", s.ID).Succeeds()
	pid := s.PID()
	done := make(chan error, 1)
	go func() {
		done <- traceUntilSeccomp(pid, 4242, func() error { return os.WriteFile(s.Path("go"), nil, 0o644) })
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// traceUntilSeccomp follows a process until its filter stops it, which has to be with that message. The caller's thread is gone afterwards.
func traceUntilSeccomp(pid int, message uint, ready func() error) error {
	// The locked thread ends with this goroutine, and with the thread the trace.
	runtime.LockOSThread()
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(pid), 0, unix.PTRACE_O_TRACESECCOMP, 0, 0); errno != 0 {
		return fmt.Errorf("PTRACE_SEIZE: %w", errno)
	}
	if err := ready(); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		switch {
		case !status.Stopped():
			return fmt.Errorf("it ended (%#x)", status)
		case uint32(status)>>8 == uint32(unix.SIGTRAP)|unix.PTRACE_EVENT_SECCOMP<<8:
			got, err := unix.PtraceGetEventMsg(pid)
			if err != nil || got != message {
				return fmt.Errorf("the tracer is told %d, %w", got, err)
			}
			return nil
		}
		sig := status.StopSignal()
		if sig == unix.SIGTRAP {
			sig = 0
		}
		if err := unix.PtraceCont(pid, int(sig)); err != nil {
			return fmt.Errorf("continue: %w", err)
		}
	}
}

// Each operator, with values around its own, some of which differ in the upper half only.
func TestSeccompOperators(t *testing.T) {
	t.Parallel()
	const value, mask = 0x1_0000_0010, 0xff_0000_00f0
	args := []uint64{0, 0xf, 0x10, 0x11, value - 1, value, value + 1, 0x2_0000_0010, 0x1_0000_0020, 1 << 63, 1<<64 - 1}
	for op, holds := range map[specs.LinuxSeccompOperator]func(a uint64) bool{
		specs.OpNotEqual:     func(a uint64) bool { return a != value },
		specs.OpLessThan:     func(a uint64) bool { return a < value },
		specs.OpLessEqual:    func(a uint64) bool { return a <= value },
		specs.OpEqualTo:      func(a uint64) bool { return a == value },
		specs.OpGreaterEqual: func(a uint64) bool { return a >= value },
		specs.OpGreaterThan:  func(a uint64) bool { return a > value },
		specs.OpMaskedEqual:  func(a uint64) bool { return a&mask == value&mask },
	} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			arg := specs.LinuxSeccompArg{Index: 0, Value: value, Op: op}
			if op == specs.OpMaskedEqual {
				arg.Value, arg.ValueTwo = mask, value
			}
			line := []string{"/probe", "each", fmt.Sprint(unix.SYS_GETPPID)}
			var want strings.Builder
			for _, a := range args {
				line = append(line, fmt.Sprint(a))
				if holds(a) {
					want.WriteString("EXDEV\n")
				} else {
					want.WriteString("ok\n")
				}
			}
			s := harness.New(t)
			s.InstallProbe()
			out := s.Output(harness.Args(line...), seccompEdit(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"getppid"}, Action: specs.ActErrno, ErrnoRet: harness.Pointer(uint(unix.EXDEV)), Args: []specs.LinuxSeccompArg{arg}}}}))
			if out != want.String() {
				t.Errorf("arguments %#x: got\n%swant\n%s", args, out, want.String())
			}
		})
	}
}

// Each flag alone and all together; the kernel takes WAIT_KILLABLE_RECV with a listener only.
func TestSeccompFlags(t *testing.T) {
	t.Parallel()
	all := []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv}
	sets := [][]specs.LinuxSeccompFlag{nil, {}, all}
	for i := range all {
		sets = append(sets, all[i:i+1])
	}
	for _, flags := range sets {
		for _, notify := range []bool{false, true} {
			s := harness.New(t, denying([]string{"mkdir", "mkdirat"}, specs.ActErrno, nil), harness.Shell("mkdir /made; grep Seccomp: /proc/self/status"))
			s.Spec.Linux.Seccomp.Flags = flags
			want := "Operation not permitted"
			if notify {
				a := newAgent(t, s)
				s.Spec.Linux.Seccomp.ListenerPath = a.path
				s.Spec.Linux.Seccomp.Syscalls[0].Action = specs.ActNotify
				go a.serve(func(fd int) error { return answer(fd, unix.EXDEV) })
				want = "Invalid cross-device link"
			}
			r := s.Run()
			if r.Code != 0 || !strings.Contains(r.Stderr(), want) || r.Stdout() != "Seccomp:\t2\n" {
				t.Errorf("%v, notify %t: exit code %d, %q, %s", flags, notify, r.Code, r.Stdout(), r.Stderr())
			}
		}
	}
	s := harness.New(t, denying([]string{"mkdir"}, specs.ActErrno, nil))
	s.Spec.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW_LISTENER"}
	s.Run().Fails("linux.seccomp.flags[0]")
}

// An errno that an action can't carry is an error, and so is everything that a profile could mean something else by (X3, X6, X8).
func TestSeccompRefused(t *testing.T) {
	t.Parallel()
	one := harness.Pointer(uint(1))
	for want, edit := range map[string]func(p *specs.LinuxSeccomp){
		"linux.seccomp.defaultErrnoRet":      func(p *specs.LinuxSeccomp) { p.DefaultErrnoRet = one },
		"linux.seccomp.syscalls[0].errnoRet": func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action, p.Syscalls[0].ErrnoRet = specs.ActKillProcess, one },
		"linux.seccomp.defaultAction":        func(p *specs.LinuxSeccomp) { p.DefaultAction = "" },
		"linux.seccomp.syscalls[0].action":   func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action = "SCMP_ACT_FLY" },
		"linux.seccomp.syscalls[0].names":    func(p *specs.LinuxSeccomp) { p.Syscalls[0].Names = nil },
		"linux.seccomp.architectures[0]":     func(p *specs.LinuxSeccomp) { p.Architectures = []specs.Arch{"SCMP_ARCH_Z80"} },
		"linux.seccomp.listenerMetadata":     func(p *specs.LinuxSeccomp) { p.ListenerMetadata = "x" },
		"linux.seccomp.syscalls[0].args[0]": func(p *specs.LinuxSeccomp) {
			p.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}
		},
		"SCMP_ACT_NOTIFY can't be the default": func(p *specs.LinuxSeccomp) { p.DefaultAction = specs.ActNotify },
	} {
		s := harness.New(t, denying([]string{"mkdir"}, specs.ActErrno, nil))
		edit(s.Spec.Linux.Seccomp)
		s.Run().Fails(want)
	}
}

// Unknown names are skipped with a line of the debug log, and fatal where the annotation asks for it.
func TestSeccompUnknownNames(t *testing.T) {
	t.Parallel()
	s := harness.New(t, denying([]string{"no_such_call", "mkdir", "mkdirat"}, specs.ActErrno, nil), harness.Args("/bin/mkdir", "/made"))
	s.WriteConfig()
	r := s.Davit("--debug", "run", "--bundle", s.Bundle, s.ID)
	r.FailsWith(1, "Operation not permitted", "level=debug", "skipped, unknown to libseccomp", "no_such_call")
	s.Spec.Annotations = map[string]string{"run.oci.seccomp_fail_unknown_syscall": "true"}
	s.Run().Fails("linux.seccomp.syscalls[0].names[0]", "no_such_call")
}

// youngProfile allows what a Go program needs and denies the rest.
func youngProfile(archs ...specs.Arch) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: archs, Syscalls: []specs.LinuxSyscall{{Action: specs.ActAllow, Names: []string{
		"read", "write", "openat", "close", "execve", "exit", "exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "mmap", "mmap2", "munmap", "mprotect", "madvise",
		"futex", "futex_time64", "clone", "clone3", "sched_getaffinity", "sched_yield", "sigaltstack", "arch_prctl", "set_thread_area", "gettid", "getpid", "tgkill", "fcntl", "fcntl64",
		"fstat", "fstat64", "newfstatat", "fstatat64", "epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2", "pipe2", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "clock_gettime",
		"clock_gettime64", "prlimit64", "getrlimit", "ugetrlimit", "brk", "set_tid_address", "set_robust_list", "rseq", "uname", "faccessat", "faccessat2", "getrandom", "readlinkat", "statx"}}}}
}

// A system call of the future is ENOSYS, one that the profile denies is not, whatever the ABI it is made through.
func TestSeccompFutureSyscalls(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("the sub-architectures are those of amd64")
	}
	s := harness.New(t, seccompEdit(youngProfile("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32")))
	s.InstallProbe()
	const x32 = 0x40000000
	out := s.Output(harness.Args("/probe", "syscall", "83")) // mkdir
	for _, nr := range []int{2000, 1<<30 - 1, x32 + 83, x32 + 2000, x32 + 1<<20} {
		out += s.Output(harness.Args("/probe", "syscall", fmt.Sprint(nr)))
	}
	// Above x32's bit the number is x32's: denied where x32 has it, of the future where it hasn't.
	if want := "EPERM\nENOSYS\nENOSYS\nEPERM\nENOSYS\nENOSYS\n"; out != want {
		t.Errorf("amd64 and x32: got %q, want %q", out, want)
	}
	probe386(t, s)
	r := s.Run(harness.Args("/probe386", "syscall", "39")) // i386's mkdir
	if r.Code != 0 && strings.Contains(r.Stderr(), "exec format error") {
		t.Skip("the kernel runs no i386 programs (IA32_EMULATION)")
	}
	if out := r.Stdout() + s.Output(harness.Args("/probe386", "syscall", "2000")) + s.Output(harness.Args("/probe386", "syscall", "20")); out != "EPERM\nENOSYS\nok\n" {
		t.Errorf("i386: %q", out)
	}
	// Without the architecture in the profile there is nothing to fall back to.
	if r := s.Run(seccompEdit(youngProfile("SCMP_ARCH_X86_64")), harness.Args("/probe386", "syscall", "20")); r.Code != 128+int(unix.SIGSYS) {
		t.Errorf("i386 code under a profile for amd64: exit code %d, %s%s", r.Code, r.Stdout(), r.Stderr())
	}
}

// probe386 puts a 32-bit probe into the rootfs.
func probe386(t *testing.T, s *harness.Sandbox) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs Go to build a 32-bit program")
	}
	dir, err := harness.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", s.Path("probe386"), "./tests/harness/probe")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=386")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the 32-bit probe: %v\n%s", err, out)
	}
}

// create and exec share an entry; one that somebody has tampered with is neither believed nor fatal.
func TestSeccompCache(t *testing.T) {
	t.Parallel()
	s := harness.New(t, denying([]string{"mkdir", "mkdirat"}, specs.ActErrno, nil), harness.Args("/bin/sleep", "1000"))
	s.Create().Succeeds()
	t.Cleanup(s.Delete)
	s.Davit("start", s.ID).Succeeds()
	dir := filepath.Join(s.Root, "@seccomp")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	entry := filepath.Join(dir, entries[0].Name())
	good, err := os.ReadFile(entry)
	if err != nil {
		t.Fatal(err)
	}
	denied := func() *harness.Result {
		t.Helper()
		r := s.Davit("--debug", "exec", s.ID, "/bin/mkdir", "/made")
		r.FailsWith(1, "Operation not permitted")
		return r
	}
	before := inode(t, entry)
	if r := denied(); inode(t, entry) != before || strings.Contains(r.Stderr(), "compiled anew") {
		t.Errorf("exec didn't use what create had compiled: %s", r.Stderr())
	}
	allow := []byte{6, 0, 0, 0, 0, 0, 0xff, 0x7f} // RET ALLOW
	for how, poison := range map[string]func() error{
		"truncated": func() error { return os.Truncate(entry, int64(len(good)/2)) },
		"empty":     func() error { return os.Truncate(entry, 0) },
		"altered": func() error {
			return os.WriteFile(entry, slices.Concat(good[:len(good)-40], allow, good[len(good)-32:]), 0o600)
		},
		"writable":      func() error { return os.Chmod(entry, 0o666) },
		"somebody else": func() error { return os.Chown(entry, 1000, 1000) },
		"a link": func() error {
			other := filepath.Join(s.Dir, "other")
			if err := os.WriteFile(other, good, 0o600); err != nil {
				return err
			}
			return os.Symlink(other, entry)
		},
		"a FIFO": func() error { return unix.Mkfifo(entry, 0o600) },
	} {
		if err := os.Remove(entry); err != nil {
			t.Fatal(err)
		}
		if how != "a link" && how != "a FIFO" {
			if err := os.WriteFile(entry, good, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := poison(); err != nil {
			t.Fatal(err)
		}
		if r := denied(); !strings.Contains(r.Stderr(), "compiled anew") {
			t.Errorf("%s: not noticed: %s", how, r.Stderr())
		}
		if now, err := os.ReadFile(entry); err != nil || string(now) != string(good) {
			t.Errorf("%s: the entry wasn't replaced (%v)", how, err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if r := denied(); !strings.Contains(r.Stderr(), "can be written by others") {
		t.Errorf("a directory for everybody: not noticed: %s", r.Stderr())
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}
