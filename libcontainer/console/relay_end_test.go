package console

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBadFiles(t *testing.T) {
	u := newUser(t)
	before := attributes(t, u.tty)
	notTTY, _ := pipe(t)
	closed, _ := pipe(t)
	closed.Close()
	for name, master := range map[string]*os.File{"pipe": notTTY, "closed": closed} {
		if r, err := NewRelay(master, RelayOptions{Console: u.console, In: u.tty, Out: u.tty}); err == nil {
			t.Errorf("%s was taken for a master: %v", name, r)
		}
	}
	if attributes(t, u.tty) != before {
		t.Error("the terminal was not restored")
	}
}

// TestSignals kills a foreground process, and looks at the terminal it leaves.
func TestSignals(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP} {
		if signal.Ignored(sig) {
			t.Logf("%v is ignored here, as nohup(1) does, and so it is by what is started", sig)
			continue
		}
		u := newUser(t)
		before := attributes(t, u.tty)
		cmd := self("foreground")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = u.tty, u.tty, u.tty
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		u.until("ready")
		if attributes(t, u.tty) == before {
			t.Fatal("the terminal is not raw")
		}
		cmd.Process.Signal(sig)
		cmd.Wait()
		if ws := cmd.ProcessState.Sys().(interface{ Signaled() bool }); !ws.Signaled() {
			t.Errorf("%v: %v", sig, cmd.ProcessState)
		}
		if attributes(t, u.tty) != before {
			t.Errorf("%v: the terminal was not restored", sig)
		}
	}
}

// TestStopAndContinue: a stopped relay, to whose terminal a shell does what it
// likes, has it raw again when it goes on.
func TestStopAndContinue(t *testing.T) {
	u := newUser(t)
	before := attributes(t, u.tty)
	cmd := self("foreground")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = u.tty, u.tty, u.tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	u.until("ready")
	raw := attributes(t, u.tty)
	cmd.Process.Signal(unix.SIGSTOP)
	time.Sleep(50 * time.Millisecond)
	if err := setTermios(u.tty, &before); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(unix.SIGCONT)
	for i := 0; attributes(t, u.tty) != raw; i++ {
		if i == 5000 {
			t.Fatal("the terminal is not raw again")
		}
		time.Sleep(time.Millisecond)
	}
	u.person.WriteString("on\r")
	u.until("got on")
	cmd.Wait()
	if attributes(t, u.tty) != before {
		t.Error("the terminal was not restored")
	}
}

// TestNoLeaks: relays leave no descriptors and goroutines.
func TestNoLeaks(t *testing.T) {
	count := func() (fds, goroutines int) {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names), runtime.NumGoroutine()
	}
	u := newUser(t)
	in, _ := pipe(t)
	once := func() {
		master, slave, err := newPty()
		if err != nil {
			t.Fatal(err)
		}
		r := relay(t, master, RelayOptions{Console: u.console, In: in, Out: u.tty})
		fmt.Fprint(slave, ".")
		if err := finish(t, r); err != nil {
			t.Error(err)
		}
		master.Close()
		slave.Close()
	}
	once()
	time.Sleep(100 * time.Millisecond)
	fds, goroutines := count()
	for range 20 {
		once()
	}
	for range 500 {
		f, g := count()
		if f <= fds && g <= goroutines {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	f, g := count()
	t.Errorf("%d descriptors, were %d; %d goroutines, were %d", f, fds, g, goroutines)
}
