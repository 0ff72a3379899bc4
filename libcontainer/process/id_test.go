package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func identify(t *testing.T, pid int) ID {
	t.Helper()
	id, err := Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentifySelf(t *testing.T) {
	id := identify(t, os.Getpid())
	line, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields(string(line))[21]; strconv.FormatUint(id.StartTime, 10) != want {
		t.Errorf("start time %d, the kernel says %s", id.StartTime, want)
	}
	if !id.Alive() {
		t.Error("the running test is not alive")
	}
	js, err := json.Marshal(id)
	if want := fmt.Sprintf(`{"pid":%d,"startTime":%d}`, id.PID, id.StartTime); err != nil || string(js) != want {
		t.Errorf("JSON %s, %v; want %s", js, err, want)
	}
}

func TestNoSuchProcess(t *testing.T) {
	for _, id := range []ID{{}, {PID: -1, StartTime: 1}, {PID: 1 << 22, StartTime: 1}} {
		if id.Alive() {
			t.Errorf("%+v is alive", id)
		}
		if err := id.Signal(0); !errors.Is(err, ErrGone) {
			t.Errorf("%+v Signal: %v", id, err)
		}
		if fd, err := id.Open(); fd != -1 || !errors.Is(err, ErrGone) {
			t.Errorf("%+v Open: %d, %v", id, fd, err)
		}
		if _, err := Identify(id.PID); !errors.Is(err, ErrGone) {
			t.Errorf("Identify(%d): %v", id.PID, err)
		}
	}
	want := "signal process 4194304: process does not exist any more"
	if err := (ID{PID: 1 << 22}).Signal(9); err == nil || err.Error() != want {
		t.Errorf("message %v; want %s", err, want)
	}
}

// TestEnd follows a process through its end: running, zombie, reaped.
func TestEnd(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	id := identify(t, cmd.Process.Pid)
	fd, err := id.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)

	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the pidfd is not close-on-exec: flags %x, %v", flags, err)
	}
	if done, err := Exited(fd, 0); done || err != nil {
		t.Fatalf("Exited of a running process: %v, %v", done, err)
	}
	start := time.Now()
	if done, err := Exited(fd, 30*time.Millisecond); done || err != nil || time.Since(start) < 30*time.Millisecond {
		t.Fatalf("Exited of a running process: %v, %v after %v", done, err, time.Since(start))
	}
	if err := id.Signal(0); err != nil || !id.Alive() {
		t.Fatalf("a running process: signal 0 %v, alive %v", err, id.Alive())
	}

	if err := id.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if done, err := Exited(fd, 10*time.Second); !done || err != nil {
		t.Fatalf("Exited after SIGTERM: %v, %v", done, err)
	}
	if id.Alive() {
		t.Error("a zombie counts as alive")
	}
	if again := identify(t, id.PID); again != id {
		t.Errorf("the zombie is %+v, was %+v", again, id)
	}
	if err := id.Signal(unix.SIGKILL); err != nil {
		t.Errorf("signal to a zombie: %v", err)
	}

	cmd.Wait()
	if code := ExitCode(unix.WaitStatus(cmd.ProcessState.Sys().(syscall.WaitStatus))); code != 128+15 {
		t.Errorf("exit code %d", code)
	}
	if id.Alive() {
		t.Error("a reaped process is alive")
	}
	if err := id.Signal(0); !errors.Is(err, ErrGone) {
		t.Errorf("signal to a reaped process: %v", err)
	}
	if _, err := id.Open(); !errors.Is(err, ErrGone) {
		t.Errorf("open of a reaped process: %v", err)
	}
	if done, err := Exited(fd, -1); !done || err != nil {
		t.Errorf("Exited of a reaped process: %v, %v", done, err)
	}
}

func TestExitedBadDescriptor(t *testing.T) {
	if done, err := Exited(1<<20, time.Second); done || !errors.Is(err, unix.EBADF) {
		t.Errorf("Exited of no descriptor: %v, %v", done, err)
	}
}

// TestOtherStartTime gives a living process the wrong start time: it must be
// left alone.
func TestOtherStartTime(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	id := identify(t, cmd.Process.Pid)
	before := openFDs(t)
	for _, delta := range []uint64{1, ^uint64(0)} {
		other := ID{id.PID, id.StartTime + delta}
		if other.Alive() {
			t.Error("a process with another start time counts as ours")
		}
		if err := other.Signal(unix.SIGKILL); !errors.Is(err, ErrGone) {
			t.Errorf("Signal: %v", err)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors open, were %d", after, before)
	}
	time.Sleep(20 * time.Millisecond)
	if !id.Alive() {
		t.Error("the process was killed")
	}
}

// TestPidReuse has the kernel give a pid to a second process.
func TestPidReuse(t *testing.T) {
	alone(t, "reuse", unix.CLONE_NEWPID|unix.CLONE_NEWNS)
}

func playReuse() error {
	if err := privateMounts(); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	sleep := func() (*os.Process, ID, error) {
		p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
		if err != nil {
			return nil, ID{}, err
		}
		id, err := Identify(p.Pid)
		return p, id, err
	}
	first, old, err := sleep()
	if err != nil {
		return err
	}
	if err := old.Signal(unix.SIGKILL); err != nil {
		return err
	}
	first.Wait()
	time.Sleep(50 * time.Millisecond) // several clock ticks

	for range 50 {
		// The test's own new threads take numbers too: try until it fits.
		last := strconv.Itoa(old.PID - 1)
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(last), 0); err != nil {
			return err
		}
		second, id, err := sleep()
		if err != nil {
			return err
		}
		defer second.Wait()
		defer second.Kill()
		if id.PID != old.PID {
			continue
		}
		if old.Alive() {
			return errors.New("the old process is alive again")
		}
		if err := old.Signal(unix.SIGKILL); !errors.Is(err, ErrGone) {
			return fmt.Errorf("signal to the old process: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
		if !id.Alive() {
			return errors.New("the signal went to the new process")
		}
		return nil
	}
	return errors.New("the kernel never gave the pid again")
}

// TestThread asks for a process whose pid has become a thread's number.
func TestThread(t *testing.T) {
	tid, stop := make(chan int), make(chan bool)
	defer close(stop)
	n := os.Getpid()
	for n == os.Getpid() { // one of them may be given the first thread, and keeps it
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			tid <- unix.Gettid()
			<-stop
		}()
		n = <-tid
	}
	st, err := readStat(n)
	if err != nil {
		t.Fatal(err)
	}
	id := ID{n, st.startTime + 12345}
	if err := id.Signal(0); !errors.Is(err, ErrGone) {
		t.Errorf("Signal: %v", err)
	}
	if id.Alive() {
		t.Error("alive")
	}
}

func TestOddName(t *testing.T) {
	cmd := part(t, "odd name", nil)
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
	if err != nil || strings.TrimSuffix(string(comm), "\n") != oddName {
		t.Fatalf("the process is called %q, %v", comm, err)
	}
	self, id := identify(t, os.Getpid()), identify(t, cmd.Process.Pid)
	if id.StartTime < self.StartTime || !id.Alive() {
		t.Errorf("start time %d, ours %d; alive %v", id.StartTime, self.StartTime, id.Alive())
	}
	if n, err := NSpid(id.PID); err != nil || n != id.PID {
		t.Errorf("NSpid %d, %v; want %d", n, err, id.PID)
	}
}

// TestDeadLeader has a process whose first thread has ended. Its state is Z.
func TestDeadLeader(t *testing.T) {
	cmd := part(t, "dead leader", nil)
	id := identify(t, cmd.Process.Pid)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		st, err := id.stat()
		if err != nil {
			t.Fatal(err)
		}
		if st.state == 'Z' {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the first thread is in state %c", st.state)
		}
	}
	if !id.Alive() {
		t.Error("a process with running threads counts as dead")
	}
}

func TestHiddenProc(t *testing.T) { alone(t, "no proc", unix.CLONE_NEWNS) }

func playNoProc() error {
	id, err := Identify(os.Getpid())
	if err != nil {
		return err
	}
	if err := privateMounts(); err != nil {
		return err
	}
	if err := unix.Mount("none", "/proc", "tmpfs", 0, ""); err != nil {
		return err
	}
	if _, err := Identify(id.PID); !errors.Is(err, ErrHidden) {
		return fmt.Errorf("Identify without procfs: %v", err)
	}
	if _, err := Identify(1 << 22); !errors.Is(err, ErrGone) {
		return fmt.Errorf("Identify of nothing without procfs: %v", err)
	}
	if !id.Alive() {
		return errors.New("a process that cannot be seen was declared dead")
	}
	return nil
}

func TestNSpid(t *testing.T) {
	if n, err := NSpid(os.Getpid()); err != nil || n != os.Getpid() {
		t.Errorf("NSpid of the test: %d, %v", n, err)
	}
	if _, err := NSpid(1 << 22); !errors.Is(err, ErrGone) {
		t.Errorf("NSpid of nothing: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a pid namespace and to set groups")
	}
	// The Groups line, before NSpid, gets longer than any buffer.
	groups := make([]uint32, 60000)
	for i := range groups {
		groups[i] = uint32(1000000 + i)
	}
	cmd := part(t, "wait", &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID,
		Credential: &syscall.Credential{Groups: groups},
	})
	if n, err := NSpid(cmd.Process.Pid); err != nil || n != 1 {
		t.Errorf("NSpid of an init: %d, %v", n, err)
	}
}

func TestLastPid(t *testing.T) {
	for line, want := range map[string]int{
		"\t12": 12, "\t12\t3": 3, "\t12\t3\t1 ": 1, "": 0, "\t": 0, "\t12\tx": 0, "\t0": 0, "\t99999999999": 0,
	} {
		n, err := lastPid([]byte(line))
		if n != want || (err == nil) != (want != 0) {
			t.Errorf("lastPid(%q) = %d, %v; want %d", line, n, err, want)
		}
	}
}

// TestCost keeps the path that every state and kill takes free of garbage.
func TestCost(t *testing.T) {
	id := identify(t, os.Getpid())
	if n := testing.AllocsPerRun(100, func() { id.Alive() }); n > 4 {
		t.Errorf("Alive allocates %v times", n)
	}
}

func BenchmarkAlive(b *testing.B) {
	id, err := Identify(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		id.Alive()
	}
}
