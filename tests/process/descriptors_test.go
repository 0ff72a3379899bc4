package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// numbered makes files that a command can be given, each with a text.
func numbered(t *testing.T, s *harness.Sandbox, texts ...string) []*os.File {
	t.Helper()
	var files []*os.File
	for _, text := range texts {
		path := filepath.Join(s.Dir, text)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

// What isn't open can't be passed on, and nothing of davit's own takes its place.
func TestPreserveGap(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("ls /proc/self/fd"))
	s.WriteConfig()
	f := numbered(t, s, "three", "four", "five")
	for _, line := range [][]string{
		{"run", "--bundle", s.Bundle}, {"run", "-d", "--bundle", s.Bundle}, {"create", "--bundle", s.Bundle}, {"--log", filepath.Join(s.Dir, "log"), "create", "--bundle", s.Bundle},
	} {
		for _, c := range []struct {
			files []*os.File
			n     int
			gap   int
		}{{nil, 1, 3}, {f, 4, 6}, {[]*os.File{f[0], nil, f[2]}, 3, 4}, {[]*os.File{nil, f[1]}, 2, 3}, {f, 100, 6}} {
			cmd := s.Command(append(line, "--preserve-fds", fmt.Sprint(c.n), s.ID)...)
			cmd.ExtraFiles = c.files
			cmd.Do().Fails(fmt.Sprintf("unable to stat preserved-fd %d", c.gap), "bad file descriptor")
		}
		cmd := s.Command(append(line, s.ID)...)
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
		cmd.Do().Fails("unable to stat preserved-fd 3")
	}
	s.Davit("state", s.ID).Fails("container does not exist")
}

// Socket activation: the service manager's sockets come first, the others behind.
func TestListenFDs(t *testing.T) {
	t.Parallel()
	const script = "echo fds=$LISTEN_FDS pid=$LISTEN_PID names=$LISTEN_FDNAMES; for n in 3 4 5; do read x <&$n; echo $x; done; exec sleep 1000"
	const want = "fds=2 pid=1 names=\nthree\nfour\nfive\n"
	s := harness.New(t, harness.Shell(script))
	f := numbered(t, s, "three", "four", "five", "six")
	check := func(c *harness.Cmd) {
		t.Helper()
		harness.Eventually(t, "the process", func() bool { return s.Davit("state", s.ID).Code == 0 && strings.Contains(out(c), "five") })
		if got := out(c); got != want {
			t.Errorf("the process sees %q, want %q", got, want)
		}
		if got := descriptors(t, s.PID()); got != "0 1 2 3 4 5" {
			t.Errorf("open descriptors are %s", got)
		}
		s.Delete()
	}
	prepare := func(args ...string) *harness.Cmd {
		s.WriteConfig()
		c := s.Command(append(args, "--preserve-fds", "1", "--bundle", s.Bundle, s.ID)...)
		c.ExtraFiles = f
		c.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b")
		for _, file := range f { // the container has read the same ones before
			if _, err := file.Seek(0, 0); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	c := prepare("run")
	c.Begin()
	check(c)
	c.End()
	c = prepare("run", "--detach")
	c.Begin()
	check(c)
	c.End()
	c = prepare("create")
	c.Do().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	check(c)
	// Meant for another process: none of it is passed on.
	s.Edit(harness.Shell("echo fds=$LISTEN_FDS pid=$LISTEN_PID; ls /proc/self/fd"))
	s.WriteConfig()
	c = s.Command("run", "--bundle", s.Bundle, s.ID)
	c.ExtraFiles, c.Env = f, append(os.Environ(), "LISTEN_FDS=2", "LISTEN_PID=1")
	r := c.Do()
	r.Succeeds()
	if r.Stdout() != "fds= pid=\n0\n1\n2\n3\n" { // 3 is the directory that ls reads
		t.Errorf("with another LISTEN_PID the process sees %q", r.Stdout())
	}
	c = s.Command("run", "--bundle", s.Bundle, s.ID)
	c.Env = append(os.Environ(), "LISTEN_FDS=some")
	c.Do().Fails("LISTEN_FDS")
}

// out is what a command and its container have written so far.
func out(c *harness.Cmd) string {
	f := c.Stdout.(*os.File)
	buf := make([]byte, 1<<16)
	n, _ := f.ReadAt(buf, 0)
	return string(buf[:n])
}

func TestPidfdSocket(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "1000"))
	s.WriteConfig()
	check := func(command string, sock *receiver, payload string, pid int) {
		t.Helper()
		f, text := sock.receive(t)
		if text != payload {
			t.Errorf("%s: the payload is %q, want %q", command, text, payload)
		}
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
		if got := line(string(info), "Pid:"); err != nil || got != fmt.Sprint(pid) {
			t.Errorf("%s: the pidfd is of %s, the process is %d, %v", command, got, pid, err)
		}
	}
	sock := listenConsole(t, s)
	s.Create("--pidfd-socket", sock.path).Succeeds()
	check("create", sock, "standard", s.PID())
	s.Davit("start", s.ID).Succeeds()
	pidFile := filepath.Join(s.Dir, "pid")
	sock = listenConsole(t, s)
	s.Davit("exec", "-d", "--pid-file", pidFile, "--pidfd-socket", sock.path, s.ID, "/bin/sleep", "1000").Succeeds()
	pid := readPID(t, pidFile)
	f, text := sock.receive(t)
	if text != "setns" {
		t.Errorf("exec: the payload is %q", text)
	}
	// It is the process: what is sent by it ends that one, and it tells of the end.
	if err := unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 10000); n != 1 {
		t.Errorf("the pidfd doesn't tell of the process's end: %v", err)
	}
	harness.Eventually(t, "the end of the process", func() bool { return unix.Kill(pid, 0) != nil })
	s.Delete()

	sock = listenConsole(t, s)
	s.Davit("run", "-d", "--pidfd-socket", sock.path, "--bundle", s.Bundle, s.ID).Succeeds()
	check("run -d", sock, "standard", s.PID())
	s.Delete()
	sock = listenConsole(t, s)
	c := s.Command("run", "--pidfd-socket", sock.path, "--bundle", s.Bundle, s.ID)
	c.Begin()
	f, _ = sock.receive(t)
	s.WaitStatus(specs.StateRunning)
	if err := unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	if r := c.End(); r.Code != 137 {
		t.Errorf("run: exit code %d", r.Code)
	}
	s.Davit("run", "-d", "--pidfd-socket", "/nowhere/sock", "--bundle", s.Bundle, s.ID).Fails("--pidfd-socket")
	s.Davit("state", s.ID).Fails("container does not exist")
}

// Engines read the pid file as soon as it is there: it is whole then, also when an old one is replaced.
func TestPIDFileAtomic(t *testing.T) {
	t.Parallel()
	s := running(t)
	dir := filepath.Join(s.Dir, "pids")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pid")
	var stop atomic.Bool
	bad := make(chan string, 1)
	go func() {
		defer close(bad)
		for !stop.Load() {
			data, err := os.ReadFile(file)
			if err == nil && (len(data) == 0 || strings.Trim(string(data), "0123456789") != "") {
				bad <- fmt.Sprintf("%q", data)
				return
			}
		}
	}()
	for range 30 {
		s.Davit("exec", "--pid-file", file, s.ID, "/bin/true").Succeeds()
	}
	stop.Store(true)
	if text, ok := <-bad; ok {
		t.Errorf("the pid file once was %s", text)
	}
	// A symbolic link is replaced, not followed; a half-written one of a killed davit is no obstacle.
	target := filepath.Join(s.Dir, "target")
	if err := os.WriteFile(target, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pid", ".pid"} {
		os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Davit("exec", "--pid-file", file, s.ID, "/bin/true").Succeeds()
	readPID(t, file)
	if data, err := os.ReadFile(target); err != nil || string(data) != "mine" {
		t.Errorf("the link's target has %q, %v", data, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the pid file there is %v, %v", entries, err)
	}
}

// manager is a service manager's notify socket.
type manager struct {
	t    *testing.T
	path string
	fd   int
}

func listenManager(t *testing.T, s *harness.Sandbox) *manager {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	dir, err := os.MkdirTemp(s.Dir, "notify-")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t, filepath.Join(dir, "n.sock"), fd}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: m.path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	return m
}

// next returns a message and its descriptor, -1 for none.
func (m *manager) next() (string, int) {
	m.t.Helper()
	buf, oob := make([]byte, 4096), make([]byte, 256)
	n, oobn, _, _, err := unix.Recvmsg(m.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, oobn, _, _, err = unix.Recvmsg(m.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		m.t.Fatalf("the service manager waits for a message: %v", err)
	}
	fd := -1
	if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(msgs) == 1 {
		if fds, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(fds) == 1 {
			fd = fds[0]
		}
	}
	return string(buf[:n]), fd
}

// expect takes what a container says that is ready: the line, the pid as the manager sees it, and a barrier.
func (m *manager) expect(s *harness.Sandbox, command string, done func() bool) {
	m.t.Helper()
	if text, _ := m.next(); text != "READY=1" {
		m.t.Errorf("%s: the manager hears %q, want READY=1", command, text)
	}
	if text, _ := m.next(); text != fmt.Sprintf("MAINPID=%d", s.PID()) {
		m.t.Errorf("%s: the manager hears %q, the pid is %d", command, text, s.PID())
	}
	text, fd := m.next()
	if text != "BARRIER=1" || fd < 0 {
		m.t.Errorf("%s: the manager hears %q with descriptor %d, want BARRIER=1", command, text, fd)
	}
	// Until the manager has come so far, its sender may not be gone.
	time.Sleep(50 * time.Millisecond)
	if done() {
		m.t.Errorf("%s: davit doesn't wait for the barrier", command)
	}
	unix.Close(fd)
}

func TestNotifySocket(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/inside", "notify", "STATUS=starting", "100ms", "STATUS=nearly\nREADY=1\nMAINPID=4242", "STATUS=running"))
	installInside(s)
	s.WriteConfig()
	for _, command := range []string{"run", "run -d", "start"} {
		m := listenManager(t, s)
		line := map[string][]string{"run": {"run", "--bundle", s.Bundle, s.ID}, "run -d": {"run", "-d", "--bundle", s.Bundle, s.ID}, "start": {"start", s.ID}}[command]
		if command == "start" {
			c := s.Command("create", "--bundle", s.Bundle, s.ID)
			c.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path)
			c.Do().Succeeds()
		}
		begin := time.Now()
		c := s.Command(line...)
		c.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path)
		c.Begin()
		var ended atomic.Bool
		result := make(chan *harness.Result, 1)
		go func() { r := c.End(); ended.Store(true); result <- r }()
		m.expect(s, command, func() bool { return ended.Load() && command != "run" })
		if command == "run" {
			s.Delete()
			if r := <-result; r.Code != 137 {
				t.Errorf("run: exit code %d", r.Code)
			}
			continue
		}
		r := <-result
		r.Succeeds()
		if took := time.Since(begin); took < 100*time.Millisecond {
			t.Errorf("%s returned after %s, before the container was ready", command, took)
		}
		s.Delete()
	}
	// In user namespaces and as another user the socket can be reached, too.
	s.Edit(harness.UserNamespace(100000, 65536), harness.User(1000, 1000))
	if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	s.WriteConfig()
	m := listenManager(t, s)
	c := s.Command("run", "-d", "--bundle", s.Bundle, s.ID)
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path)
	c.Begin()
	m.expect(s, "as a user", func() bool { return false })
	c.End().Succeeds()
	if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.PID())); err != nil || !strings.Contains(string(environ), "NOTIFY_SOCKET=/run/notify/notify.sock\x00") || strings.Contains(string(environ), m.path) {
		t.Errorf("the environment is %q, %v", environ, err)
	}
	s.Delete()
}

// A container that ends without ever being ready doesn't hold anybody up.
func TestNotifySocketNeverReady(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/true"))
	s.WriteConfig()
	m := listenManager(t, s)
	env := append(os.Environ(), "NOTIFY_SOCKET="+m.path)
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	c.Env = env
	c.Do().Succeeds()
	c = s.Command("run", "-d", "--bundle", s.Bundle, s.ID)
	c.Env = env
	begin := time.Now()
	c.Do().Succeeds()
	s.Delete()
	c = s.Command("create", "--bundle", s.Bundle, s.ID)
	c.Env = env
	c.Do().Succeeds()
	c = s.Command("start", s.ID)
	c.Env = env
	c.Do().Succeeds()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("they waited for %s", took)
	}
	s.Delete()
}
