package notify

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager stands for systemd: it takes messages and closes the descriptor of a barrier.
func manager(t *testing.T) (path string, messages <-chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "manager.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	ch := make(chan string, 16)
	go func() {
		defer close(ch)
		defer unix.Close(fd)
		for {
			buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
			n, on, _, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
			if err != nil {
				return
			}
			ch <- string(buf[:n])
			if on > 0 {
				msgs, _ := unix.ParseSocketControlMessage(oob[:on])
				fds, _ := unix.ParseUnixRights(&msgs[0])
				unix.Close(fds[0])
				return
			}
		}
	}()
	return path, ch
}

func say(t *testing.T, path, msg string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte(msg), 0, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
}

func TestReadyIsPassedOnWithOurPID(t *testing.T) {
	host, messages := manager(t)
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("long", 40))} {
		_ = os.MkdirAll(dir, 0o700)
		if err := MakeDir(filepath.Join(dir, "notify")); err != nil {
			t.Fatal(err)
		}
		p, err := Listen(filepath.Join(dir, "notify"), host)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if len(dir) > 100 {
			continue // its socket's path is too long for say; that it can be listened on is the point
		}
		say(t, filepath.Join(dir, "notify", name), "STATUS=half way\nMAINPID=1\n")
		if ready, err := p.Relay(4711); ready || err != nil {
			t.Fatalf("a status passed for ready: %v, %v", ready, err)
		}
		say(t, filepath.Join(dir, "notify", name), "STATUS=there\nREADY=1\nMAINPID=1")
		start := time.Now()
		if ready, err := p.Relay(4711); !ready || err != nil {
			t.Fatalf("Relay: %v, %v", ready, err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("the barrier took %s although the manager answered", d)
		}
		for _, want := range []string{"READY=1", "MAINPID=4711", "BARRIER=1"} {
			if got := <-messages; got != want {
				t.Errorf("the manager got %q, want %q", got, want)
			}
		}
	}
}

func TestWaitEndsWithTheProcess(t *testing.T) {
	p, err := Listen(t.TempDir(), "/nonexistent")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	child, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this host has no /bin/true to be waited for")
	}
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(child.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := p.Wait(child.Pid, fd); err != nil {
		t.Errorf("Wait: %v", err)
	}
	_, _ = child.Wait()
}

// Of whatever a container says, at most one line about readiness goes on.
func FuzzReadyLine(f *testing.F) {
	for _, s := range []string{"", "READY=1", "STATUS=x\nREADY=1\nMAINPID=1\n", "READY=1\nREADY=0", "XREADY=1", "READY=\x00\xff\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		line := readyLine(msg)
		if said := bytes.HasPrefix(msg, []byte("READY=")) || bytes.Contains(msg, []byte("\nREADY=")); said != (line != nil) {
			t.Fatalf("%q gives %q", msg, line)
		}
		if line != nil && (!bytes.HasPrefix(line, []byte("READY=")) || bytes.IndexByte(line, '\n') >= 0 || !bytes.Contains(msg, line)) {
			t.Fatalf("%q gives %q", msg, line)
		}
	})
}
