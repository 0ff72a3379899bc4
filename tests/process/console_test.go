package process

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// receiver is an engine's socket that davit sends a descriptor to.
type receiver struct {
	path     string
	listener *net.UnixListener
}

func listenConsole(t *testing.T, s *harness.Sandbox) *receiver {
	t.Helper()
	dir, err := os.MkdirTemp(s.Dir, "socket-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &receiver{path, l}
}

// receive returns the one file that comes, and the payload.
func (r *receiver) receive(t *testing.T) (*os.File, string) {
	t.Helper()
	r.listener.SetDeadline(time.Now().Add(10 * time.Second))
	conn, err := r.listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf, oob := make([]byte, 4096), make([]byte, 4096)
	n, oobn, flags, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 || flags&unix.MSG_CTRUNC != 0 {
		t.Fatalf("%d control messages, flags %#x, %v", len(msgs), flags, err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v, %v", fds, err)
	}
	if extra, err := io.ReadAll(conn); err != nil || len(extra) != 0 {
		t.Errorf("after the message there is %q, %v", extra, err)
	}
	f := os.NewFile(uintptr(fds[0]), "received")
	t.Cleanup(func() { f.Close() })
	return f, string(buf[:n])
}

// read receives a terminal and reads it to its end.
func (r *receiver) read(t *testing.T) string {
	t.Helper()
	master, _ := r.receive(t)
	return readMaster(master)
}

// readMaster reads until no process has the terminal open any more, which is EIO, and makes
// the lines end as programs wrote them.
func readMaster(master *os.File) string {
	data, _ := io.ReadAll(master)
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

func TestConsoleSocket(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal, harness.Shell(`tty; readlink -f /proc/self/fd/0; ls -l /dev/console | cut -c1; stat -c %t:%T /dev/console /dev/pts/0; stat -c '%u %g %a' /dev/pts/0; stty size; stty -a | grep -o -- '-\?onlcr'; echo on error >&2; read line; echo "got $line"; echo there >/dev/console; exit 5`))
	s.Spec.Process.ConsoleSize = boxed(30, 100)
	sock := listenConsole(t, s)
	s.Create("--console-socket", sock.path).Succeeds()
	master, name := sock.receive(t)
	if !strings.HasSuffix(name, "ptmx") {
		t.Errorf("the payload is %q", name)
	}
	s.Davit("start", s.ID).Succeeds()
	// Engines' clients show it on a terminal in raw mode, where a bare newline doesn't go back to the first column.
	begin := strings.ReplaceAll("/dev/pts/0\n/dev/pts/0\nc\n88:0\n88:0\n0 5 620\n30 100\nonlcr\non error\n", "\n", "\r\n")
	buf := make([]byte, len(begin))
	if n, err := io.ReadFull(master, buf); err != nil || string(buf) != begin {
		t.Fatalf("the terminal shows %q, want %q, %v", buf[:n], begin, err)
	}
	if _, err := master.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	if got, want := readMaster(master), "typed\ngot typed\nthere\n"; got != want {
		t.Errorf("the terminal shows %q, want %q", got, want)
	}
	s.Delete()
}

func TestConsoleSocketRun(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal, harness.Shell("tty"))
	s.WriteConfig()
	sock := listenConsole(t, s)
	s.Davit("run", "--detach", "--console-socket", sock.path, "--bundle", s.Bundle, s.ID).Succeeds()
	if got := sock.read(t); got != "/dev/pts/0\n" {
		t.Errorf("the terminal shows %q", got)
	}
	s.Delete()
}

func TestConsoleSocketExec(t *testing.T) {
	t.Parallel()
	s := running(t)
	for i, flags := range [][]string{{"--tty"}, {"-t", "-u", "1000:1000"}} {
		sock := listenConsole(t, s)
		s.Davit(execLine(s, "tty; stat -c %u $(tty); ps -o tty,pid,args | grep -c '[s]leep 33'; setsid sleep 33 & wait", append(flags, "-d", "--console-socket", sock.path)...)...).Succeeds()
		master, _ := sock.receive(t)
		buf := make([]byte, 100)
		n, err := io.ReadAtLeast(master, buf, len("/dev/pts/0\r\n0\r\n0\r\n"))
		if want := fmt.Sprintf("/dev/pts/%d\r\n%d\r\n", i, i*1000); err != nil || !strings.HasPrefix(string(buf[:n]), want) {
			t.Errorf("%v: the terminal shows %q, want %q, %v", flags, buf[:n], want, err)
		}
	}
}

// Combinations in which nobody would hold the terminal, and sockets that aren't there.
func TestConsoleSocketRefused(t *testing.T) {
	t.Parallel()
	s := harness.New(t, terminal)
	s.Create().Fails("cannot allocate tty if davit will detach without setting console socket")
	s.Create("--console-socket", "/nowhere/sock").Fails("console socket /nowhere/sock", "no such file or directory")
	s.WriteConfig()
	sock := listenConsole(t, s)
	s.Davit("run", "--console-socket", sock.path, "--bundle", s.Bundle, s.ID).Fails("cannot use console socket if davit will not detach or allocate tty")
	s.Davit("run", "-d", "--bundle", s.Bundle, s.ID).Fails("cannot allocate tty if davit will detach without setting console socket")
	s.Spec.Process.Terminal = false
	s.Create("--console-socket", sock.path).Fails("cannot use console socket if davit will not detach or allocate tty")

	s.Spec.Process.Args = []string{"/bin/sleep", "1000"}
	start(s)
	s.Davit(execLine(s, "true", "-t", "-d")...).FailsWith(255, "cannot allocate tty if davit will detach without setting console socket")
	s.Davit(execLine(s, "true", "-d", "--console-socket", sock.path)...).FailsWith(255, "cannot use console socket if davit will not detach or allocate tty")
	s.Davit(execLine(s, "true", "-t", "--console-socket", sock.path)...).FailsWith(255, "cannot use console socket if davit will not detach or allocate tty")
	s.Davit(execLine(s, "true", "-t", "-d", "--console-socket", "/nowhere/sock")...).FailsWith(255, "console socket /nowhere/sock")
	if kids := childrenOf(t, s.PID()); len(kids) != 0 {
		t.Errorf("something is left in the container: %v", kids)
	}
	s.Delete()
}
