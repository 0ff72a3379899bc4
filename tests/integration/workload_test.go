package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// debianRootfs is where tests/debian-rootfs.sh has made a rootfs, or a skip.
func debianRootfs(t *testing.T) string {
	t.Helper()
	harness.NeedRoot(t)
	dir := os.Getenv("DAVIT_DEBIAN_ROOTFS")
	if dir == "" {
		dir = "/var/tmp/davit-test-cache/bookworm"
	}
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		t.Skipf("needs a Debian rootfs in %s: tests/debian-rootfs.sh %s makes one", dir, dir)
	}
	return dir
}

// debian makes a sandbox whose rootfs is an overlay over Debian's, in a network namespace that the test can enter.
func debian(t *testing.T, args ...string) (s *harness.Sandbox, netns string) {
	t.Helper()
	lower := debianRootfs(t)
	s = harness.New(t, harness.Args(args...))
	merged := filepath.Join(s.Dir, "merged")
	for _, d := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(s.Dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, s.Dir, s.Dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	netns = filepath.Join(s.Dir, "netns")
	writeFile(t, netns, "")
	harness.Tool(t, "unshare", "--net="+netns, "ip", "link", "set", "lo", "up")
	t.Cleanup(func() { _ = unix.Unmount(netns, unix.MNT_DETACH) })
	s.Spec.Root.Path = merged
	s.Spec.Process.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	s.Edit(harness.Namespace(specs.NetworkNamespace, netns))
	return s, netns
}

// onOwnThread runs f on a thread that nothing else will run on: it ends with f, as it is of no use in another namespace.
// It is not the first one, whose namespaces /proc/self shows.
func onOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onOwnThread(f) // on another one, as this is taken
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}

// ask connects to a port of a network namespace's loopback, writes, and returns what comes back up to a text or the end.
func ask(netns, port, request, until string) (text string, err error) {
	onOwnThread(func() { text, err = askHere(netns, port, request, until) })
	return text, err
}

func askHere(netns, port, request, until string) (string, error) {
	ns, err := os.Open(netns)
	if err != nil {
		return "", err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return "", err
	}
	conn, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(request)); err != nil {
		return "", err
	}
	var b strings.Builder
	for r := bufio.NewReader(conn); !strings.Contains(b.String(), until); {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), nil
		}
	}
	return b.String(), nil
}

// eventuallyAnswers asks until the server is up.
func eventuallyAnswers(t *testing.T, netns, port, request, want string) {
	t.Helper()
	var text string
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if text, err = ask(netns, port, request, want); strings.Contains(text, want) {
			return
		}
	}
	t.Fatalf("port %s answers %q, %v; want %q", port, text, err, want)
}

func TestWorkloadPythonWebServer(t *testing.T) {
	t.Parallel()
	s, netns := debian(t, "python3", "-m", "http.server", "8080", "--directory", "/srv")
	s.Edit(harness.User(33, 33), harness.Capabilities())
	writeFile(t, filepath.Join(s.Dir, "merged/srv/page"), "served from a container")
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	eventuallyAnswers(t, netns, "8080", "GET /page HTTP/1.0\r\n\r\n", "served from a container")
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
}

func TestWorkloadRedis(t *testing.T) {
	t.Parallel()
	s, netns := debian(t, "redis-server", "--port", "6379", "--save", "", "--dir", "/tmp")
	s.Edit(harness.User(1000, 1000))
	s.Spec.Root.Readonly = true
	s.Edit(harness.Mount(specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"}))
	if hasController("memory") {
		s.Spec.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: harness.Pointer(int64(64 << 20))}}
	}
	s.WriteConfig()
	run := s.Command("run", "--bundle", s.Bundle, s.ID)
	run.Begin()
	eventuallyAnswers(t, netns, "6379", "SET boat davit\r\nGET boat\r\n", "+OK\r\n$5\r\ndavit\r\n")
	// A foreground run passes the signal on, and redis ends in order.
	if err := unix.Kill(run.Process.Pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := run.End(); r.Code != 0 || !strings.Contains(r.Stdout(), "ready to exit, bye bye") {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout(), r.Stderr())
	}
}
