package nsenter

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStageIsSealed(t *testing.T) {
	needStage(t)
	s, err := Start([]uintptr{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if os.Geteuid() != 0 {
		t.Skip("only root can look at the executable of a process that isn't dumpable")
	}
	exe := fmt.Sprintf("/proc/%d/exe", s.PID())
	if name, err := os.Readlink(exe); err != nil || !strings.HasPrefix(name, "/memfd:davit-stage") {
		t.Fatalf("%s is %q (%v)", exe, name, err)
	}
	if f, err := os.OpenFile(exe, os.O_RDWR, 0); err == nil {
		f.Close()
		t.Error("the executable of a running stage can be opened for writing")
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals&allSeals != allSeals {
		t.Errorf("seals %#x, %v", seals, err)
	}
	s.Close()
	// CVE-2019-5736: who keeps the descriptor can open it for writing when nobody executes it any more.
	w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer w.Close()
	if _, err := w.Write([]byte("x")); !errors.Is(err, unix.EPERM) {
		t.Errorf("write: %v, want EPERM", err)
	}
	if err := w.Truncate(0); !errors.Is(err, unix.EPERM) {
		t.Errorf("truncate: %v, want EPERM", err)
	}
}

func TestStageIsNotDumpable(t *testing.T) {
	needStage(t)
	owner := ^uint32(0)
	waiting := func(s *Stage, r Report) bool {
		if _, ok := r.(Waiting); ok {
			var st unix.Stat_t
			if err := unix.Stat(fmt.Sprintf("/proc/%d/maps", s.PID()), &st); err != nil {
				t.Error(err)
			}
			owner = st.Uid
			if err := s.Release(TokenStart); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	// proc(5): the files of a process that isn't dumpable belong to root, whoever it is.
	p := program(Sync{Token: uint64(TokenStart)}, exec("/bin/true"))
	if os.Geteuid() == 0 {
		p = append(program(User{UID: 12345, GID: 12345, SetGroups: 1}), p...)
	}
	(&call{programs: []Program{p}, on: waiting}).run(t).succeeded(t)
	if owner != 0 {
		t.Errorf("/proc/PID/maps belongs to %d", owner)
	}
}

// TestNothingIsInherited covers what a process would otherwise have of the caller's.
func TestNothingIsInherited(t *testing.T) {
	extra, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(extra)
	if err := unix.Dup2(extra, 200); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(200)
	t.Setenv("SECRET", "of the caller")
	o := run(t, program(exec("/bin/ls", "-1", "/proc/self/fd"))).succeeded(t)
	if o.out != "0\n1\n2\n3\n" { // 3 is the directory itself
		t.Errorf("descriptors: %q", o.out)
	}
	o = run(t, program(Exec{Paths: []string{"/usr/bin/env"}, Argv: []string{"env"}, Env: []string{"A=b"}})).succeeded(t)
	if o.out != "A=b\n" {
		t.Errorf("environment: %q", o.out)
	}
}

func TestStageHoldsNoForeignDescriptor(t *testing.T) {
	needStage(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can look at the descriptors of a process that isn't dumpable")
	}
	if err := unix.Dup2(2, 200); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(200)
	names := func(pid int) (list []string) {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	var before, after []string
	look := func(s *Stage, r Report) bool {
		if w, ok := r.(Waiting); ok {
			if w.Token == TokenMapped {
				before = names(s.PID())
			} else {
				after = names(s.PID())
			}
			if err := s.Release(w.Token); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	p := program(Rootfs{Path: "/"}, Sync{Token: uint64(TokenMapped)}, LetGo{}, Sync{Token: uint64(TokenStart)}, exec("/bin/true"))
	(&call{programs: []Program{p}, fds: []int{2, 2}, on: look}).run(t).succeeded(t)
	if want := []string{"0", "1", "2", "3", "4", "5", "6", "7"}; !reflect.DeepEqual(before, want) { // procfs, two slots, the rootfs
		t.Errorf("descriptors %v, want %v", before, want)
	}
	if want := []string{"0", "1", "2", "3"}; !reflect.DeepEqual(after, want) {
		t.Errorf("descriptors before the exec %v, want %v", after, want)
	}
}

func TestPreservedDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := program(CloseFrom{First: 5}, shell("echo three >&3; echo four >&4; ls -1 /proc/self/fd"))
	o := (&call{programs: []Program{p}, files: []uintptr{w.Fd(), w.Fd()}}).run(t).succeeded(t)
	w.Close()
	buf := make([]byte, 64)
	n, _ := r.Read(buf)
	if string(buf[:n]) != "three\nfour\n" || o.out != "0\n1\n2\n3\n4\n5\n" {
		t.Errorf("written to them: %q, descriptors: %q", buf[:n], o.out)
	}
	// Those that aren't preserved are closed by the exec.
	p = program(CloseFrom{First: 3}, exec("/bin/ls", "-1", "/proc/self/fd"))
	if o := (&call{programs: []Program{p}, files: []uintptr{0, 0, 0}}).run(t).succeeded(t); o.out != "0\n1\n2\n3\n" {
		t.Errorf("descriptors: %q", o.out)
	}
}

func TestStartNeedsStandardStreams(t *testing.T) {
	needStage(t)
	for _, files := range [][]uintptr{nil, {0, 1}, {0, ^uintptr(0), 2}} {
		before := countFDs(t)
		if s, err := Start(files); err == nil {
			s.Close()
			t.Errorf("Start(%v) works", files)
		}
		if after := countFDs(t); after != before {
			t.Errorf("Start(%v) leaves %d descriptors", files, after-before)
		}
	}
}

// TestSameFileTwice has descriptors that the start of a process has to move out of each other's way.
func TestSameFileTwice(t *testing.T) {
	p := program(exec("/bin/true"))
	for range 20 {
		(&call{programs: []Program{p}, files: []uintptr{0, 0, 1, 2, 0}}).run(t).succeeded(t)
	}
}

func TestStartLeavesNothing(t *testing.T) {
	needStage(t)
	before := countFDs(t)
	for range 10 {
		s, err := Start([]uintptr{0, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(program(Sync{}), nil); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors more than before", after-before)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("children are left: %v", err)
	}
}

func TestSignalsAreReset(t *testing.T) {
	needStage(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signal.Ignore(unix.SIGUSR1, unix.SIGHUP)
	defer signal.Reset(unix.SIGUSR1, unix.SIGHUP)
	var term, old unix.Sigset_t
	term.Val[0] = 1 << (unix.SIGTERM - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &term, &old); err != nil {
		t.Fatal(err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	mine, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	if statusField(t, string(mine), "SigBlk") == strings.Repeat("0", 16) || statusField(t, string(mine), "SigIgn") == strings.Repeat("0", 16) {
		t.Fatal("the caller itself neither blocks nor ignores a signal")
	}
	o := run(t, program(exec("/bin/cat", "/proc/self/status"))).succeeded(t)
	for _, field := range []string{"SigBlk", "SigIgn", "SigPnd"} {
		if v := statusField(t, o.out, field); v != strings.Repeat("0", 16) {
			t.Errorf("%s of the process is %s", field, v)
		}
	}
}

func TestUmask(t *testing.T) {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	if o := run(t, program(Umask{Inherit: 1}, shell("umask"))).succeeded(t); o.out != "0027\n" {
		t.Errorf("the caller's umask is 0027, the process's %q", o.out)
	}
	if o := run(t, program(Umask{Mask: 0o077}, shell("umask"))).succeeded(t); o.out != "0077\n" {
		t.Errorf("asked for 0077, got %q", o.out)
	}
}
