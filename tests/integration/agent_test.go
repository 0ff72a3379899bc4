package integration

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// agent is a seccomp agent that does with its listener what a test says.
type agent struct {
	path   string
	socket *net.UnixListener
	done   chan error // what serve returned, for each listener that came
}

func newAgent(t *testing.T, s *harness.Sandbox) *agent {
	t.Helper()
	a := &agent{path: filepath.Join(s.Dir, "agent.sock"), done: make(chan error, 8)}
	var err error
	if a.socket, err = net.ListenUnix("unix", &net.UnixAddr{Name: a.path, Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.socket.Close() })
	return a
}

// serve takes one listener after the other and gives it to do, which owns it.
func (a *agent) serve(do func(fd int) error) {
	for {
		_, fd, err := receiveListener(a.socket)
		if err != nil {
			return // closed at the end of the test
		}
		go func() { a.done <- do(fd) }()
	}
}

// asks makes the filter notify of some system calls and allow the others.
func (a *agent) asks(names ...string) harness.Edit {
	return seccompEdit(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: a.path,
		Syscalls: []specs.LinuxSyscall{{Names: names, Action: specs.ActNotify}}})
}

func receiveNotification(fd int) (n seccompNotif, err error) {
	for {
		n = seccompNotif{}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlNotifRecv, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR, unix.ENOENT: // ENOENT: who asked was killed meanwhile
		default:
			return n, errno
		}
	}
}

func respond(fd int, r seccompNotifResp) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlNotifSend, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return errno
	}
	return nil
}

// An agent answers ten thousand calls, each with a value that follows from the call.
func TestSeccompAgentAnswers(t *testing.T) {
	t.Parallel()
	const calls = 10000
	s := harness.New(t)
	s.InstallProbe()
	a := newAgent(t, s)
	var first, last time.Time
	go a.serve(func(fd int) error {
		defer unix.Close(fd)
		for i := 0; i < calls; i++ {
			n, err := receiveNotification(fd)
			if err != nil {
				return fmt.Errorf("call %d: %w", i, err)
			}
			if i == 0 {
				first = time.Now()
			}
			if n.nr != unix.SYS_VHANGUP {
				return fmt.Errorf("call %d is number %d", i, n.nr)
			}
			switch err := respond(fd, seccompNotifResp{id: n.id, val: int64(2 * n.args[0])}); err {
			case nil:
			case unix.ENOENT: // a signal (Go preempts by some) interrupted the call, which is made again
				i--
			default:
				return fmt.Errorf("answer %d: %w", i, err)
			}
		}
		last = time.Now()
		return nil
	})
	out := s.Output(a.asks("vhangup"), harness.Args("/probe", "double", fmt.Sprint(unix.SYS_VHANGUP), fmt.Sprint(calls)))
	if err := <-a.done; err != nil {
		t.Fatal(err)
	}
	if out != fmt.Sprintln(calls, 0) {
		t.Errorf("right and wrong answers: %s", out)
	}
	t.Logf("%d calls in %s", calls, last.Sub(first).Round(time.Millisecond))
}

// withContinue lets calls pass (SECCOMP_USER_NOTIF_FLAG_CONTINUE) until the listener ends.
func withContinue(fd int) error {
	defer unix.Close(fd)
	for {
		n, err := receiveNotification(fd)
		if err != nil {
			return err
		}
		if err := respond(fd, seccompNotifResp{id: n.id, flags: 1}); err != nil && err != unix.ENOENT {
			return err
		}
	}
}

// An agent that lets everything pass may ask about every call of the stage's own but write.
func TestSeccompAgentIsAskedAboutTheStage(t *testing.T) {
	t.Parallel()
	for _, nnp := range []bool{true, false} {
		s := harness.New(t, harness.AllCapabilities())
		s.Spec.Process.NoNewPrivileges = nnp
		a := newAgent(t, s)
		go a.serve(withContinue)
		s.Edit(a.asks("execve", "close", "close_range", "read", "openat", "statx", "faccessat2", "prctl", "capset", "setresuid", "setresgid", "setgroups", "fcntl", "dup3", "exit_group"))
		s.Create().Succeeds()
		s.Davit("start", s.ID).Succeeds()
		harness.Eventually(t, "the end of the container", func() bool { return strings.Contains(s.Davit("state", s.ID).Stdout(), "stopped") })
		s.Delete()
		s.Run().Succeeds()
	}
}

// inTime fails a test whose davit waited for longer than it gives an agent.
func inTime(t *testing.T, begun time.Time) {
	t.Helper()
	if d := time.Since(begun); d > 25*time.Second {
		t.Errorf("davit waited for %s", d)
	}
}

// silent keeps a listener and never says anything. It is closed at the end of the test.
func silent(t *testing.T) func(fd int) error {
	return func(fd int) error {
		t.Cleanup(func() { unix.Close(fd) })
		return nil
	}
}

// At whatever moment an agent goes wrong, davit returns, and delete finds what there is to remove.
func TestSeccompAgentGoesWrong(t *testing.T) {
	t.Parallel()
	const patience = "didn't answer for 10s"
	for name, test := range map[string]func(t *testing.T, s *harness.Sandbox, a *agent){
		"isn't there": func(t *testing.T, s *harness.Sandbox, a *agent) {
			a.socket.Close()
			s.Run(a.asks("mkdir")).Fails("linux.seccomp.listenerPath", "connect to "+a.path)
		},
		"never accepts and its backlog is full": func(t *testing.T, s *harness.Sandbox, a *agent) {
			fillBacklog(t, a.path)
			s.Run(a.asks("mkdir")).Fails("linux.seccomp.listenerPath", "the agent took nothing for 10s")
		},
		"never accepts": func(t *testing.T, s *harness.Sandbox, a *agent) {
			s.Run(a.asks("execve")).Fails("linux.seccomp.listenerPath", patience)
		},
		"closes the connection unread": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go func() {
				for {
					c, err := a.socket.Accept()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
			r := s.Run(a.asks("mkdir", "mkdirat"), harness.Args("/bin/mkdir", "/made"))
			if r.Code != 1 || !strings.Contains(r.Stderr(), "Function not implemented") && !strings.Contains(r.Stderr(), "linux.seccomp.listenerPath") {
				t.Errorf("exit code %d, %s", r.Code, r.Stderr())
			}
		},
		"closes the listener": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(unix.Close)
			s.Run(a.asks("mkdir", "mkdirat"), harness.Args("/bin/mkdir", "/made")).FailsWith(1, "Function not implemented")
		},
		"closes the listener before the exec": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(unix.Close)
			s.Run(a.asks("execve")).Fails("function not implemented")
		},
		"closes the listener while a call waits": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(func(fd int) error {
				_, err := receiveNotification(fd)
				unix.Close(fd)
				return err
			})
			s.Run(a.asks("mkdir", "mkdirat"), harness.Args("/bin/mkdir", "/made")).FailsWith(1, "Function not implemented")
		},
		"is silent about the exec of run": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(silent(t))
			s.Run(a.asks("execve")).Fails("linux.seccomp.listenerPath", patience)
		},
		"is silent about the exec of start": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(silent(t))
			s.Edit(a.asks("execve"))
			s.Create().Succeeds()
			s.Davit("start", s.ID).Fails("linux.seccomp.listenerPath", patience)
			harness.Eventually(t, "the end of the container", func() bool { return strings.Contains(s.Davit("state", s.ID).Stdout(), "stopped") })
			s.Davit("delete", s.ID).Succeeds()
		},
		"is silent about the way to the exec": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(silent(t))
			s.Edit(a.asks("read"))
			s.Create().Fails("linux.seccomp.listenerPath", patience)
		},
		"is silent about the FIFO": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(silent(t))
			s.Edit(a.asks("openat"))
			s.Create().Succeeds()
			s.Davit("start", s.ID).Fails("linux.seccomp.listenerPath", patience)
			s.Delete()
		},
		"dies between create and start": func(t *testing.T, s *harness.Sandbox, a *agent) {
			got := make(chan int, 1)
			go a.serve(func(fd int) error { got <- fd; return nil })
			s.Edit(a.asks("execve"))
			s.Create().Succeeds()
			unix.Close(<-got)
			s.Davit("start", s.ID).Fails("function not implemented")
			s.Delete()
		},
		"is silent about an exec": func(t *testing.T, s *harness.Sandbox, a *agent) {
			first := true
			go a.serve(func(fd int) error {
				if first {
					first = false
					return withContinue(fd)
				}
				return silent(t)(fd)
			})
			s.Edit(a.asks("execve"), harness.Args("/bin/sleep", "1000"))
			s.Create().Succeeds()
			s.Davit("start", s.ID).Succeeds()
			t.Cleanup(s.Delete)
			s.Davit("exec", s.ID, "/bin/true").FailsWith(255, "linux.seccomp.listenerPath", patience)
			if state := s.Davit("state", s.ID).Stdout(); !strings.Contains(state, "running") {
				t.Errorf("the container itself: %s", state)
			}
		},
		"is silent about the container's calls": func(t *testing.T, s *harness.Sandbox, a *agent) {
			go a.serve(silent(t))
			s.Edit(a.asks("mkdir", "mkdirat"), harness.Args("/bin/mkdir", "/made"))
			s.Create().Succeeds()
			s.Davit("start", s.ID).Succeeds() // what it does from here on is between the two of them
			s.Davit("kill", s.ID, "KILL").Succeeds()
			harness.Eventually(t, "the end of the container", func() bool { return strings.Contains(s.Davit("state", s.ID).Stdout(), "stopped") })
			s.Delete()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			a := newAgent(t, s)
			begun := time.Now()
			test(t, s, a)
			inTime(t, begun)
		})
	}
}

// fillBacklog connects until one more would have to wait.
func fillBacklog(t *testing.T, path string) {
	t.Helper()
	for range 1 << 16 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == unix.EAGAIN {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the backlog has no end")
}
