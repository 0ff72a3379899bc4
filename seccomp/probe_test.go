//go:build seccomp && cgo

package seccomp

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The results that testdata/probe.c leaves.
const (
	slotLoaded = iota
	slotGo
	slotDone
	slotTrapNr
	slotTrapErrno
	slotTrapArch
	slotCalls = 8
	slotCount = 512
)

const untouched = -123456789

var probe = struct {
	once sync.Once
	path string
	err  error
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if probe.path != "" {
		os.RemoveAll(filepath.Dir(probe.path))
	}
	os.Exit(code)
}

func buildProbe(t *testing.T) string {
	t.Helper()
	probe.once.Do(func() {
		if _, probe.err = exec.LookPath("cc"); probe.err != nil {
			return
		}
		dir, err := os.MkdirTemp("", "probe")
		if err != nil {
			probe.err = err
			return
		}
		probe.path = filepath.Join(dir, "probe")
		out, err := exec.Command("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", probe.path, "testdata/probe.c").CombinedOutput()
		if err != nil {
			probe.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if errors.Is(probe.err, exec.ErrNotFound) {
		t.Skip("no C compiler to build the probe with")
	}
	if probe.err != nil {
		t.Fatal(probe.err)
	}
	return probe.path
}

// process is a running probe.
type process struct {
	t       *testing.T
	pid     int
	results *[slotCount]int64
}

func start(t *testing.T, f *Filter, args ...string) *process {
	t.Helper()
	path := buildProbe(t)
	dir := t.TempDir()
	program, out := filepath.Join(dir, "program"), filepath.Join(dir, "results")
	if err := os.WriteFile(program, f.Program, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(slotCount * 8); err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, slotCount*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, results: (*[slotCount]int64)(unsafe.Pointer(&mem[0]))}
	t.Cleanup(func() { unix.Munmap(mem) })
	for i := slotCalls; i < slotCount; i++ {
		p.results[i] = untouched
	}
	argv := append([]string{path, program, fmt.Sprint(f.Flags), out}, args...)
	p.pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.pid != 0 { // not waited for: the test has failed
			unix.Kill(p.pid, unix.SIGKILL)
			p.wait()
		}
	})
	return p
}

func (p *process) wait() unix.WaitStatus {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(p.pid, &status, 0, nil)
		if err == nil && (status.Exited() || status.Signaled()) {
			p.pid = 0
			return status
		}
		if err != nil && err != unix.EINTR {
			p.t.Fatal(err)
		}
	}
}

// finish waits for a probe that is to come to its end, and returns what its calls gave.
func (p *process) finish(calls int) []int64 {
	p.t.Helper()
	if status := p.wait(); !status.Exited() || status.ExitStatus() != 0 || p.results[slotDone] != 1 {
		p.t.Fatalf("the probe ended with %#x, done %d, results %d", uint32(status), p.results[slotDone], p.results[slotCalls:slotCalls+calls])
	}
	return p.results[slotCalls : slotCalls+calls]
}

// killed waits for a probe that the filter is to kill in its n-th call, from 0.
func (p *process) killed(n int) {
	p.t.Helper()
	if status := p.wait(); !status.Signaled() || status.Signal() != unix.SIGSYS {
		p.t.Errorf("the probe ended with %#x instead of SIGSYS", uint32(status))
	}
	for i := range n {
		if p.results[slotCalls+i] == untouched {
			p.t.Errorf("call %d wasn't made", i)
		}
	}
	if p.results[slotCalls+n] != untouched {
		p.t.Errorf("the fatal call returned %d", p.results[slotCalls+n])
	}
}

func mustCompile(t *testing.T, cfg *specs.LinuxSeccomp) *Filter {
	t.Helper()
	f, err := Compile(cfg, Options{FailUnknownSyscalls: true})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// getppid is called because it always works and needs no argument.
func onGetppid(a specs.LinuxSeccompAction, errno *uint) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"getppid"}, Action: a, ErrnoRet: errno}}}
}

func nr(n int, args ...uint64) string {
	s := fmt.Sprint(n)
	for _, a := range args {
		s += fmt.Sprintf(",%#x", a)
	}
	return s
}
