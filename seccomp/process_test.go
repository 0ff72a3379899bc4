//go:build seccomp && cgo

package seccomp

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The record of a call that SCMP_ACT_LOG let through. A call that is killed is
// always recorded, and so shows whether records can be seen here at all. The
// first of these tests, because the kernel prints ten records in five seconds.
func TestLogRecord(t *testing.T) {
	kmsg, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT) {
		t.Skip("needs to read the kernel log, which is closed to the tests (kernel.dmesg_restrict, or no /dev/kmsg): ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kmsg)
	if _, err := unix.Seek(kmsg, 0, unix.SEEK_END); err != nil {
		t.Fatal(err)
	}
	logging := start(t, mustCompile(t, onGetppid(specs.ActLog, nil)), nr(unix.SYS_GETPPID))
	logged := fmt.Sprintf(" pid=%d ", logging.pid)
	logging.finish(1)
	killed := start(t, mustCompile(t, onGetppid(specs.ActKillProcess, nil)), nr(unix.SYS_GETPPID))
	last := fmt.Sprintf(" pid=%d ", killed.pid)
	killed.killed(0)
	found, visible := false, false
	buf := make([]byte, 8192)
	for deadline := time.Now().Add(2 * time.Second); !visible && time.Now().Before(deadline); {
		n, err := unix.Read(kmsg, buf)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		if line := string(buf[:n]); strings.Contains(line, "type=1326") {
			found = found || strings.Contains(line, logged) && strings.Contains(line, "code=0x7ffc0000")
			visible = strings.Contains(line, last)
		}
	}
	if !visible {
		t.Skip("audit is off, a daemon takes its records, or the kernel has printed too many (printk_ratelimit)")
	}
	if !found {
		t.Error("no record")
	}
}

func TestErrno(t *testing.T) {
	for _, tt := range []struct {
		errno *uint
		want  int64
	}{{nil, -int64(unix.EPERM)}, {ptr(uint(unix.EACCES)), -int64(unix.EACCES)}, {ptr(uint(0)), 0}, {ptr(uint(4094)), -4094}} {
		got := start(t, mustCompile(t, onGetppid(specs.ActErrno, tt.errno)), nr(unix.SYS_GETPPID), nr(unix.SYS_GETPID)).finish(2)
		if got[0] != tt.want || got[1] <= 0 {
			t.Errorf("getppid gave %d, want %d; getpid %d", got[0], tt.want, got[1])
		}
	}
	// The default's errno.
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: ptr(uint(unix.EXDEV)), Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, "exit_group")}}
	if got := start(t, mustCompile(t, cfg), nr(unix.SYS_GETPPID)).finish(1); got[0] != -int64(unix.EXDEV) {
		t.Errorf("default: %d", got[0])
	}
}

func TestKill(t *testing.T) {
	for _, a := range []specs.LinuxSeccompAction{specs.ActKill, specs.ActKillThread, specs.ActKillProcess} {
		start(t, mustCompile(t, onGetppid(a, nil)), nr(unix.SYS_GETPID), nr(unix.SYS_GETPPID)).killed(1)
		// From a second thread: only KILL_PROCESS takes the first along.
		p := start(t, mustCompile(t, onGetppid(a, nil)), "t:"+nr(unix.SYS_GETPPID), nr(unix.SYS_GETPID))
		if a == specs.ActKillProcess {
			p.killed(0)
		} else if got := p.finish(2); got[0] != untouched || got[1] <= 0 {
			t.Errorf("%s in a thread: %d", a, got)
		}
	}
	// As the default, with the rest allowed by name; config-linux.md has the bare one.
	start(t, mustCompile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActKill, Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, "getpid")}}), nr(unix.SYS_GETPID), nr(unix.SYS_GETPPID)).killed(1)
	start(t, mustCompile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActKill}), nr(unix.SYS_GETPID)).killed(0)
}

func TestTrap(t *testing.T) {
	_, audit := nativeArch(t)
	f := mustCompile(t, onGetppid(specs.ActTrap, nil))
	start(t, f, nr(unix.SYS_GETPPID)).killed(0) // no handler
	p := start(t, f, "s", nr(unix.SYS_GETPPID), nr(unix.SYS_GETPID))
	if got := p.finish(2); got[1] <= 0 || p.results[slotTrapNr] != unix.SYS_GETPPID || uint32(p.results[slotTrapArch]) != audit {
		t.Errorf("caught: number %d, architecture %#x, then %d", p.results[slotTrapNr], p.results[slotTrapArch], got)
	}
}

func TestAllowAndLog(t *testing.T) {
	_, audit := nativeArch(t)
	for a, want := range map[specs.LinuxSeccompAction]action{specs.ActAllow: unix.SECCOMP_RET_ALLOW, specs.ActLog: unix.SECCOMP_RET_LOG} {
		cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, "exit_group"), entry(a, "getppid")}}
		f := mustCompile(t, cfg)
		if got := start(t, f, nr(unix.SYS_GETPPID), nr(unix.SYS_GETPID)).finish(2); got[0] != int64(os.Getpid()) || got[1] != -int64(unix.EPERM) {
			t.Errorf("%s: %d", a, got)
		}
		if got := run(t, f.Program, call{nr: unix.SYS_GETPPID, arch: audit}); got != want {
			t.Errorf("%s: the program returns %v", a, got)
		}
	}
}

func TestTrace(t *testing.T) {
	f := mustCompile(t, onGetppid(specs.ActTrace, ptr(uint(54321))))
	if got := start(t, f, nr(unix.SYS_GETPPID)).finish(1); got[0] != -int64(unix.ENOSYS) {
		t.Errorf("without a tracer: %d", got[0])
	}
	runtime.LockOSThread() // ptrace(2) works from the thread that attached
	defer runtime.UnlockOSThread()
	p := start(t, f, "w", nr(unix.SYS_GETPPID))
	waitFor(t, func() bool { return p.results[slotLoaded] == 0 && p.results[slotGo] == 0 })
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(p.pid), 0, unix.PTRACE_O_TRACESECCOMP, 0, 0); errno == unix.EPERM {
		t.Skip("needs to trace its own child, which this host forbids (a security module, or a seccomp filter around the tests)")
	} else if errno != 0 {
		t.Fatal(errno)
	}
	p.results[slotGo] = 1
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.pid, &status, 0, nil); err != nil || uint32(status)>>8 != uint32(unix.SIGTRAP)|unix.PTRACE_EVENT_SECCOMP<<8 {
		t.Fatalf("the tracer sees %#x (%v)", uint32(status), err)
	}
	if msg, err := unix.PtraceGetEventMsg(p.pid); err != nil || msg != 54321 {
		t.Errorf("the tracer is told %d (%v)", msg, err)
	}
	if err := unix.PtraceDetach(p.pid); err != nil {
		t.Fatal(err)
	}
	if got := p.finish(1); got[0] != int64(os.Getpid()) {
		t.Errorf("after the tracer has let it go: %d", got[0])
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for range 2000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("timed out")
}

// The layouts of seccomp_unotify(2).
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	data  struct {
		nr   int32
		arch uint32
		ip   uint64
		args [6]uint64
	}
}

type response struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

func TestNotify(t *testing.T) {
	cfg := onGetppid(specs.ActNotify, nil)
	cfg.ListenerPath = "/run/agent.sock"
	const rounds = 200
	calls := []string{"w"}
	for i := range uint64(rounds) {
		calls = append(calls, nr(unix.SYS_GETPPID, i))
	}
	for _, flags := range [][]specs.LinuxSeccompFlag{nil, {flagTSYNC}, {specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv, flagTSYNC}} {
		cfg.Flags = flags
		f := mustCompile(t, cfg)
		if err := f.CheckKernel(); err != nil {
			t.Logf("%v: %v", flags, err)
			continue
		}
		p := start(t, f, calls...)
		waitFor(t, func() bool { return p.results[slotLoaded] > 2 })
		listener := stealFD(t, p.pid, int(p.results[slotLoaded]))
		defer unix.Close(listener)
		p.results[slotGo] = 1
		for i := range uint64(rounds) {
			n := notification{}
			if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err != nil {
				t.Fatal(err)
			}
			if n.data.nr != unix.SYS_GETPPID || n.data.args[0] != i || int(n.pid) != p.pid {
				t.Fatalf("round %d: %+v", i, n)
			}
			r := response{id: n.id, val: int64(1000 + i)}
			if i%2 == 1 {
				r.val, r.errno = 0, -int32(unix.EDOM)
			}
			if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != nil {
				t.Fatal(err)
			}
		}
		for i, got := range p.finish(rounds) {
			if want := int64(1000 + i); i%2 == 0 && got != want || i%2 == 1 && got != -int64(unix.EDOM) {
				t.Errorf("%v: call %d gave %d", flags, i, got)
			}
		}
	}
}

// A listener that goes away ends the waiting: the calls give ENOSYS.
func TestNotifyWithDyingAgent(t *testing.T) {
	cfg := onGetppid(specs.ActNotify, nil)
	cfg.ListenerPath = "/run/agent.sock"
	p := start(t, mustCompile(t, cfg), "w", nr(unix.SYS_CLOSE, 3), nr(unix.SYS_GETPPID), nr(unix.SYS_GETPPID))
	waitFor(t, func() bool { return p.results[slotLoaded] > 2 })
	if p.results[slotLoaded] != 3 {
		t.Fatalf("the listener is descriptor %d, the probe closes 3", p.results[slotLoaded])
	}
	listener := stealFD(t, p.pid, 3)
	p.results[slotGo] = 1
	n := notification{}
	err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n))
	unix.Close(listener)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.finish(3); got[0] != 0 || got[1] != -int64(unix.ENOSYS) || got[2] != -int64(unix.ENOSYS) {
		t.Errorf("%d", got)
	}
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

func stealFD(t *testing.T, pid, fd int) int {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	got, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err == unix.EPERM {
		t.Skip("needs pidfd_getfd(2) of its own child, which this host forbids (a security module, or a seccomp filter around the tests)")
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOperatorsInTheKernel(t *testing.T) {
	const v = 0x1_0000_0005
	values := []uint64{0, 4, 5, 6, v - 1, v, v + 1, 0x2_0000_0000, 0x2_0000_0005, 1<<64 - 1}
	ops := []specs.LinuxSeccompOperator{specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual}
	for _, op := range ops {
		for index := range uint(6) {
			arg := specs.LinuxSeccompArg{Index: index, Op: op, Value: v, ValueTwo: 5}
			cfg := onGetppid(specs.ActErrno, nil)
			cfg.Syscalls[0].Args = []specs.LinuxSeccompArg{arg}
			var calls []string
			for _, value := range values {
				args := make([]uint64, 6)
				args[index] = value
				calls = append(calls, nr(unix.SYS_GETPPID, args...))
			}
			for i, got := range start(t, mustCompile(t, cfg), calls...).finish(len(calls)) {
				want := int64(os.Getpid())
				if holds(arg, values[i]) {
					want = -int64(unix.EPERM)
				}
				if got != want {
					t.Errorf("%s %#x, argument %d = %#x: %d, want %d", op, uint64(v), index, values[i], got, want)
				}
			}
		}
	}
}

// Several conditions: all of them on different arguments, any of them on the
// same one, and several entries for one call. The last two compare by order twice.
func TestConditionsInTheKernel(t *testing.T) {
	arg := func(index uint, op specs.LinuxSeccompOperator, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Op: op, Value: value}
	}
	type set = []specs.LinuxSeccompArg
	values := []uint64{0, 2, 3, 7, 8, 0xffffffff, 1 << 32, 1 << 63}
	for name, tt := range map[string]struct {
		entries []set
		denied  func(a, b uint64) bool
	}{
		"all":         {[]set{{arg(0, specs.OpEqualTo, 3), arg(1, specs.OpGreaterThan, 7)}}, func(a, b uint64) bool { return a == 3 && b > 7 }},
		"any":         {[]set{{arg(0, specs.OpEqualTo, 3), arg(0, specs.OpEqualTo, 7)}}, func(a, b uint64) bool { return a == 3 || a == 7 }},
		"any, mixed":  {[]set{{arg(0, specs.OpEqualTo, 3), arg(0, specs.OpEqualTo, 7), arg(1, specs.OpEqualTo, 8)}}, func(a, b uint64) bool { return a == 3 || a == 7 || b == 8 }},
		"entries":     {[]set{{arg(0, specs.OpEqualTo, 3)}, {arg(1, specs.OpEqualTo, 8)}}, func(a, b uint64) bool { return a == 3 || b == 8 }},
		"order twice": {[]set{{arg(0, specs.OpLessThan, 3)}, {arg(0, specs.OpGreaterEqual, 1<<63)}}, func(a, b uint64) bool { return a < 3 || a >= 1<<63 }},
		"order, both": {[]set{{arg(1, specs.OpLessEqual, 2), arg(1, specs.OpGreaterThan, 1<<32)}}, func(a, b uint64) bool { return b <= 2 || b > 1<<32 }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
			for _, e := range tt.entries {
				cfg.Syscalls = append(cfg.Syscalls, specs.LinuxSyscall{Names: []string{"getppid"}, Action: specs.ActErrno, Args: e})
			}
			var calls []string
			for _, a := range values {
				for _, b := range values {
					calls = append(calls, nr(unix.SYS_GETPPID, a, b))
				}
			}
			for i, got := range start(t, mustCompile(t, cfg), calls...).finish(len(calls)) {
				a, b := values[i/len(values)], values[i%len(values)]
				if denied := got == -int64(unix.EPERM); denied != tt.denied(a, b) {
					t.Errorf("getppid(%#x, %#x): %d", a, b, got)
				}
			}
		})
	}
}

// A number that no kernel knows yet, and one that this kernel knows but the
// profile doesn't: both are ENOSYS, under a default that would kill.
func TestYoungCallsInTheKernel(t *testing.T) {
	cfg := &specs.LinuxSeccomp{Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, "exit_group", "getppid")}}
	for _, a := range []specs.LinuxSeccompAction{specs.ActKillProcess, specs.ActKill, specs.ActTrap, specs.ActErrno} {
		cfg.DefaultAction = a
		f := mustCompile(t, cfg)
		future := []string{nr(100000), nr(unix.SYS_CLOSE_RANGE, 1000, 1000), nr(1<<32 - 1), nr(unix.SYS_GETPPID)}
		got := start(t, f, future...).finish(4)
		for i := range 3 {
			if got[i] != -int64(unix.ENOSYS) {
				t.Errorf("%s, call %s: %d", a, future[i], got[i])
			}
		}
		if got[3] != int64(os.Getpid()) {
			t.Errorf("%s: getppid gave %d", a, got[3])
		}
		if a == specs.ActErrno {
			if got := start(t, f, nr(unix.SYS_GETPID), nr(unix.SYS_STATX)).finish(2); got[0] != -int64(unix.EPERM) || got[1] != -int64(unix.EPERM) {
				t.Errorf("old calls: %d", got)
			}
			continue
		}
		start(t, f, nr(unix.SYS_GETPPID), nr(unix.SYS_STATX)).killed(1)
	}
	// A default that lets everything through lets young calls through as well.
	cfg.DefaultAction = specs.ActLog
	if got := start(t, mustCompile(t, cfg), nr(unix.SYS_CLOSE_RANGE, 1000, 1000)).finish(1); got[0] != 0 {
		t.Errorf("LOG: %d", got[0])
	}
}

// The other ABIs of an amd64 kernel.
func TestForeignCallsInTheKernel(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers are amd64's")
	}
	const getpid32, getppid32, execve32 = 20, 64, 11
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: ptr(uint(99)), Syscalls: []specs.LinuxSyscall{entry(specs.ActAllow, "exit_group", "getpid", "clone3")}}
	native := mustCompile(t, cfg)
	start(t, native, nr(unix.SYS_GETPID), "i:"+nr(getpid32)).killed(1)
	start(t, native, nr(unix.SYS_GETPID), nr(x32Bit+unix.SYS_GETPID)).killed(1)

	cfg.Architectures = []specs.Arch{specs.ArchX86, specs.ArchX32}
	f := mustCompile(t, cfg)
	got := start(t, f,
		nr(x32Bit+unix.SYS_GETPPID), // denied by name
		nr(x32Bit+520),              // x32's own execve, in the closed range: denied
		nr(x32Bit+unix.SYS_CLOSE_RANGE),
		nr(x32Bit+1000),
	).finish(4)
	if got[0] != -99 || got[1] != -99 || got[2] != -int64(unix.ENOSYS) || got[3] != -int64(unix.ENOSYS) {
		t.Errorf("x32: %d", got)
	}
	if all := start(t, &Filter{Program: assembled(unix.SECCOMP_RET_ALLOW)}, "i:"+nr(getpid32)).wait(); !all.Exited() {
		t.Skip("this kernel has no i386 emulation")
	}
	p := start(t, f, "i:"+nr(getpid32), "i:"+nr(getppid32), "i:"+nr(execve32), "i:"+nr(unix.SYS_CLOSE_RANGE), "i:"+nr(1000))
	pid := p.pid
	if got := p.finish(5); got[0] != int64(pid) || got[1] != -99 || got[2] != -99 || got[3] != -int64(unix.ENOSYS) || got[4] != -int64(unix.ENOSYS) {
		t.Errorf("i386: %d", got)
	}
}

// The large profile is loaded by the kernel and lets a program live.
func TestAllowListInTheKernel(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the profile has amd64's architectures")
	}
	f, err := Compile(loadProfile(t, "testdata/allowlist.json"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := start(t, f,
		nr(unix.SYS_GETPPID), nr(unix.SYS_MOUNT), nr(unix.SYS_CLONE3), nr(unix.SYS_PERSONALITY, 0xffffffff),
		nr(unix.SYS_PERSONALITY, 0x12345), nr(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM), nr(unix.SYS_CLONE, unix.CLONE_NEWUSER), nr(5000),
	).finish(8)
	want := []int64{int64(os.Getpid()), -int64(unix.EPERM), -int64(unix.ENOSYS), 0, -int64(unix.EPERM), -int64(unix.EPERM), -int64(unix.EPERM), -int64(unix.ENOSYS)}
	if !bytes.Equal(fmt.Append(nil, got), fmt.Append(nil, want)) {
		t.Errorf("got %d, want %d", got, want)
	}
}

// Each combination of flags is taken by seccomp(2).
func TestFlagsInTheKernel(t *testing.T) {
	for bits := range 8 {
		cfg := onGetppid(specs.ActErrno, nil)
		cfg.Flags = []specs.LinuxSeccompFlag{}
		for i, name := range []specs.LinuxSeccompFlag{flagTSYNC, specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow} {
			if bits&(1<<i) != 0 {
				cfg.Flags = append(cfg.Flags, name)
			}
		}
		f := mustCompile(t, cfg)
		if f.Flags != uint32(bits&1|bits&2|bits&4) {
			t.Errorf("%v: flags %#x", cfg.Flags, f.Flags)
		}
		if got := start(t, f, nr(unix.SYS_GETPPID)).finish(1); got[0] != -int64(unix.EPERM) {
			t.Errorf("%v: %d", cfg.Flags, got[0])
		}
	}
}
