package security

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// thing is what a hostile image may have where davit expects something else.
type thing struct {
	name string
	put  func(t *testing.T, s *harness.Sandbox, o *outside, path string)
}

func things() []thing {
	link := func(to func(s *harness.Sandbox, o *outside, path string) string) func(*testing.T, *harness.Sandbox, *outside, string) {
		return func(t *testing.T, s *harness.Sandbox, o *outside, path string) { replace(t, s, path, to(s, o, path)) }
	}
	fixed := func(to string) func(*testing.T, *harness.Sandbox, *outside, string) {
		return link(func(*harness.Sandbox, *outside, string) string { return to })
	}
	list := []thing{
		{"absolute link", link(func(_ *harness.Sandbox, o *outside, _ string) string { return o.dir })},
		{"climbing link", link(func(_ *harness.Sandbox, o *outside, _ string) string { return climb + o.dir })},
		{"link to a file", link(func(_ *harness.Sandbox, o *outside, _ string) string { return climb + o.dir + "/file" })},
		{"loop", link(func(_ *harness.Sandbox, _ *outside, path string) string { return path })},
		{"loop of two", func(t *testing.T, s *harness.Sandbox, _ *outside, path string) {
			replace(t, s, path, "other-link")
			replace(t, s, filepath.Dir(path)+"/other-link", filepath.Base(path))
		}},
		{"FIFO", func(t *testing.T, s *harness.Sandbox, _ *outside, path string) {
			clear(t, s, path)
			must(t, unix.Mkfifo(s.Path(path), 0o666))
		}},
		{"socket", func(t *testing.T, s *harness.Sandbox, _ *outside, path string) {
			clear(t, s, path)
			bindSocket(t, s.Path(path))
		}},
		{"device", func(t *testing.T, s *harness.Sandbox, _ *outside, path string) {
			clear(t, s, path)
			makeNode(t, s.Path(path), 1, 7)
		}},
		{"terminal device", func(t *testing.T, s *harness.Sandbox, _ *outside, path string) {
			clear(t, s, path)
			makeNode(t, s.Path(path), 5, 0)
		}},
		{"file", func(t *testing.T, s *harness.Sandbox, _ *outside, path string) {
			clear(t, s, path)
			s.WriteFile(path, "a file", 0o644)
		}},
		{"hard link to a file of the host", func(t *testing.T, s *harness.Sandbox, o *outside, path string) {
			clear(t, s, path)
			must(t, os.Link(filepath.Join(o.dir, "file"), s.Path(path)))
			writeFile(t, filepath.Join(o.dir, "file"), "in the image by that link")
			o.linked = true
			o.want = o.list()
		}},
		{"directory", func(t *testing.T, s *harness.Sandbox, _ *outside, path string) {
			clear(t, s, path)
			mkdir(t, filepath.Join(s.Path(path), "sub"))
		}},
	}
	for _, to := range []string{"/proc/self/root", "/proc/self/cwd", "/proc/self/fd/3", "/proc/self/fd/5/..", "/proc/1/root", "/proc/self/exe", "/proc/self/ns/mnt", "/dev/fd/4"} {
		list = append(list, thing{"link to " + to, fixed(to)})
	}
	return list
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bindSocket leaves a socket that nobody listens on; its path may be longer than an address.
func bindSocket(t *testing.T, path string) {
	t.Helper()
	dir, err := os.Open(filepath.Dir(path))
	must(t, err)
	defer dir.Close()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	l.Close()
}

// place is something that davit touches below a rootfs.
type place struct {
	path  string
	edits []harness.Edit
}

func places() []place {
	terminalHere := []harness.Edit{terminal, harness.WithoutMount("/dev"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue")}
	return []place{
		{"/m", []harness.Edit{tmpfs("/m", "tmpfs")}},
		{"/m", []harness.Edit{tmpfs("/m/below/deep", "tmpfs")}},
		{"/m", []harness.Edit{bind("/m", "/proc/version")}},
		{"/m", []harness.Edit{bind("/m/file", "/proc/version")}},
		{"/m", []harness.Edit{bind("/m", "/proc/self/fdinfo")}},
		{"/m", []harness.Edit{node("/m")}},
		{"/m", []harness.Edit{node("/m/node")}},
		{"/m", []harness.Edit{func(c *specs.Spec) { c.Linux.MaskedPaths = append(c.Linux.MaskedPaths, "/m", "/m/below") }}},
		{"/m", []harness.Edit{func(c *specs.Spec) { c.Linux.ReadonlyPaths = append(c.Linux.ReadonlyPaths, "/m", "/m/below") }}},
		{"/m", []harness.Edit{func(c *specs.Spec) { c.Process.Cwd = "/m" }}},
		{"/m", []harness.Edit{func(c *specs.Spec) { c.Process.Cwd = "/m/below" }}},
		{"/m", []harness.Edit{copyUp("/m", "copy")}},
		{"/p/m", []harness.Edit{copyUp("/p", "copy")}},
		{"/p/m", []harness.Edit{copyUp("/p/m/below", "copy")}},
		{"/etc/passwd", nil},
		{"/etc", nil},
		{"/proc", nil},
		{"/sys", nil},
		{"/sys/fs/cgroup", []harness.Edit{harness.WithoutMount("/sys")}},
		{"/dev", nil},
		{"/dev", withoutDev()},
		{"/dev", terminalHere},
		{"/dev/pts", withoutDev()},
		{"/dev/pts", terminalHere},
		{"/dev/console", terminalHere},
		{"/dev/ptmx", withoutDev()},
		{"/dev/null", withoutDev()},
		{"/dev/fd", withoutDev()},
		{"/dev/tty", append(withoutDev(), harness.UserNamespace(0, 1000))},
		{"/bin", nil},
	}
}

// Every place that davit touches is every thing that it may not be. A container
// comes to be or there is an error with a reason; it doesn't take long, and
// nothing outside of the rootfs is touched.
func TestHostileRootfs(t *testing.T) {
	for i, p := range places() {
		t.Run(fmt.Sprintf("%d%s", i, strings.ReplaceAll(p.path, "/", "-")), func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, p.edits...)
			s.Edit(harness.Args("/bin/sleep", "1000"))
			var flags []string
			if s.Spec.Process.Terminal {
				socket := filepath.Join(s.Dir, "c")
				harness.ConsoleSocket(t, socket)
				flags = []string{"--console-socket", socket}
			}
			rootfs := s.Rootfs
			for j, th := range things() {
				// A fresh rootfs each: what one of them left would be in the way of the next.
				s.Rootfs = fmt.Sprintf("%s-%d", rootfs, j)
				harness.CopyRootfs(t, s.Rootfs)
				s.Spec.Root.Path = s.Rootfs
				o := newOutside(t, s)
				th.put(t, s, o, p.path)
				hostile(t, s, o, p.path+" is a "+th.name, flags)
				must(t, os.RemoveAll(o.dir))
				must(t, os.RemoveAll(s.Rootfs))
			}
		})
	}
}

func hostile(t *testing.T, s *harness.Sandbox, o *outside, what string, flags []string) {
	t.Helper()
	before := time.Now()
	c := s.Create(append(flags, "--pid-file", filepath.Join(s.Dir, "pid"))...)
	if took := time.Since(before); c.Code > 1 || took > 10*time.Second {
		t.Errorf("%s: create ended with %d after %s: %s", what, c.Code, took, c.Stderr())
	}
	hasReason(t, what, c)
	o.unchanged(what)
	if c.Code == 0 {
		proc := "/proc/" + readFile(t, filepath.Join(s.Dir, "pid"))
		inside(t, s, o, readFile(t, proc+"/mountinfo"), proc+"/cwd")
	}
	s.Delete()
	o.unchanged(what)
	if host := readFile(t, "/proc/self/mountinfo"); strings.Contains(host, s.Dir) {
		t.Errorf("%s: there is a mount on the host:\n%s", what, host)
	}
}

// What is mounted in the rootfs from outside: a procfs made of a tmpfs, an
// overlay whose lower layer holds the links, a directory that two mounts share.
func TestHostileFilesystems(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/proc", "/sys", "/dev", "/etc"} {
		s := harness.New(t)
		o := newOutside(t, s)
		lower := filepath.Join(s.Dir, "lower")
		for _, d := range []string{"upper", "work", "lower/self"} {
			mkdir(t, filepath.Join(s.Dir, d))
		}
		for _, name := range []string{"self/attr", "self/fd", "sys", "net", "fs", "pts", "shm", "null", "ptmx", "console", "passwd", "kcore", "firmware"} {
			must(t, os.Symlink(climb+o.dir, filepath.Join(lower, name)))
		}
		overlay := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, filepath.Join(s.Dir, "upper"), filepath.Join(s.Dir, "work"))
		for _, m := range []specs.Mount{
			{Destination: path, Type: "overlay", Source: "overlay", Options: strings.Split(overlay, ",")},
			{Destination: path, Source: lower, Options: []string{"bind"}},
			{Destination: path, Type: "tmpfs", Source: "proc"},
		} {
			for _, last := range []bool{false, true} {
				mounts := s.Spec.Mounts
				if last {
					s.Spec.Mounts = append(mounts[:len(mounts):len(mounts)], m)
				} else {
					s.Spec.Mounts = append([]specs.Mount{m}, mounts...)
				}
				hasReason(t, m.Type+" on "+path, s.Run())
				o.unchanged(m.Type + " on " + path)
				s.Spec.Mounts = mounts
			}
		}
	}
}
