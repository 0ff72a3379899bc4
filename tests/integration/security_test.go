package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// Regression tests of the escapes that other runtimes had, each named after
// its CVE: the malicious rootfs or configuration, and the refusal.

// outside is a directory of the host that nothing of a container may change.
type outside struct {
	t    *testing.T
	dir  string
	want string
}

func newOutside(t *testing.T, s *harness.Sandbox) *outside {
	t.Helper()
	o := &outside{t: t, dir: filepath.Join(s.Dir, "outside")}
	for _, d := range []string{"", "sub", "sys", "null"} {
		if err := os.MkdirAll(filepath.Join(o.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(o.dir, "file"), "as it was")
	o.want = o.list()
	return o
}

func (o *outside) list() string {
	var b strings.Builder
	err := filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		fmt.Fprintln(&b, path, info.Mode(), text)
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return b.String()
}

func (o *outside) unchanged(when string) {
	o.t.Helper()
	if now := o.list(); now != o.want {
		o.t.Errorf("%s: outside of the rootfs there is now\n%swhere there was\n%s", when, now, o.want)
	}
}

// links are the ways in which a link in the rootfs may point to a directory of the host.
func (o *outside) links() map[string]string {
	return map[string]string{
		"absolute": o.dir, "climbing": "../../../../../../../../../../../../.." + o.dir, "to a missing file": o.dir + "/made/by/davit",
		"through proc": "/proc/1/root" + o.dir, "through a descriptor": "/proc/self/cwd/../.." + o.dir,
	}
}

// replace puts a symbolic link in a path's place.
func replace(t *testing.T, s *harness.Sandbox, path, to string) {
	t.Helper()
	if err := os.RemoveAll(s.Path(path)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(s.Path(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, s.Path(path)); err != nil {
		t.Fatal(err)
	}
}

// everyLink runs a container for each kind of link in path's place. A refusal has to be an error of davit's; a success is fine as long as nothing outside changed.
func everyLink(t *testing.T, path string, mustFail bool, edits ...harness.Edit) {
	t.Helper()
	probe := harness.New(t)
	for name := range newOutside(t, probe).links() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, edits...)
			o := newOutside(t, s)
			replace(t, s, path, o.links()[name])
			r := s.Run()
			if mustFail {
				r.Fails()
			}
			if r.Code != 0 && !strings.Contains(r.Stderr(), "level=error") {
				t.Errorf("exit code %d without a reason: %s", r.Code, r.Stderr())
			}
			o.unchanged(path + " -> " + o.links()[name])
		})
	}
	t.Run("loop", func(t *testing.T) {
		t.Parallel()
		s := harness.New(t, edits...)
		replace(t, s, path, path)
		s.Run().Fails(path)
	})
}

// The process of a created container is the stage, in a sealed memfd.
func TestInitIsASealedMemfd(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Create().Succeeds()
	exe := fmt.Sprintf("/proc/%d/exe", s.PID())
	link, err := os.Readlink(exe)
	if err != nil || !strings.HasPrefix(link, "/memfd:davit-stage") {
		t.Errorf("%s is %s, %v", exe, link, err)
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const want = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
		t.Errorf("its seals are %#x, %v", seals, err)
	}
	if w, err := os.OpenFile(exe, os.O_WRONLY, 0); err == nil {
		if _, err := w.Write([]byte("#!")); err == nil {
			t.Error("it can be written")
		}
		w.Close()
	}
	s.Delete()
}

// CVE-2019-5736: what a container can reach of the runtime must not be the host's binary. One watches
// every /proc/PID/exe while others are made in its PID namespace.
func TestCVE2019_5736(t *testing.T) {
	t.Parallel()
	inode, before := binaryState(t)
	s := harness.New(t, harness.AllCapabilities(), harness.Args("/probe", "hunt", "4000", fmt.Sprint(inode), "/proc"))
	s.InstallProbe()
	s.WriteConfig()
	hunter := s.Command("run", "--bundle", s.Bundle, s.ID)
	hunter.Begin()
	hunter.Written("hunting")
	prey := harness.New(t, harness.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", s.PID())))
	prey.WriteConfig()
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		prey.Davit("run", "--bundle", prey.Bundle, prey.ID).Succeeds()
	}
	r := hunter.End()
	r.Succeeds()
	if !strings.Contains(r.Stdout(), "seen=true found=0 written=0") {
		t.Errorf("the hunter tells %q", r.Stdout())
	}
	if _, after := binaryState(t); after != before {
		t.Error("davit's binary has changed")
	}
}

// In the host's PID namespace davit itself is in view. Without CAP_SYS_PTRACE its binary can't be opened.
func TestCVE2019_5736HostPIDNamespace(t *testing.T) {
	t.Parallel()
	inode, before := binaryState(t)
	s := harness.New(t, harness.WithoutNamespace(specs.PIDNamespace), harness.Args("/probe", "hunt", "1500", fmt.Sprint(inode), "/proc", "/hostproc"),
		harness.Mount(specs.Mount{Destination: "/hostproc", Source: "/proc", Options: []string{"rbind"}}))
	s.InstallProbe()
	s.WriteConfig()
	hunter := s.Command("run", "--bundle", s.Bundle, s.ID)
	hunter.Begin()
	hunter.Written("hunting")
	prey := harness.New(t)
	prey.WriteConfig()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		prey.Davit("run", "--bundle", prey.Bundle, prey.ID).Succeeds()
	}
	r := hunter.End()
	r.Succeeds()
	if !strings.Contains(r.Stdout(), "seen=true found=0 written=0") {
		t.Errorf("the hunter tells %q", r.Stdout())
	}
	if _, after := binaryState(t); after != before {
		t.Error("davit's binary has changed")
	}
}

// An image whose program is /proc/self/exe would make the runtime execute itself.
func TestCVE2019_5736ExecutesItself(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3", "/link", "/script"} {
		s := harness.New(t, harness.Args(path, "--version"))
		replace(t, s, "/link", "/proc/self/exe")
		s.WriteFile("/script", "#!/proc/self/exe\n", 0o755)
		r := s.Run()
		if r.Code == 0 || strings.Contains(r.Stdout()+r.Stderr(), "davit version") {
			t.Errorf("%s: exit code %d, %s%s", path, r.Code, r.Stdout(), r.Stderr())
		}
	}
}

func binaryState(t *testing.T) (inode uint64, state string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(harness.Binary(t), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino, fmt.Sprint(st.Size, st.Mtim, st.Mode)
}

// CVE-2019-16884, CVE-2025-52881: where the image puts something else on /proc, what davit writes to procfs must not end up there.
func TestCVE2019_16884(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.WithoutMount("/proc"), func(c *specs.Spec) { c.Linux.MaskedPaths, c.Linux.ReadonlyPaths = nil, nil })
	fake := filepath.Join(s.Dir, "fake")
	for _, f := range []string{"sys/net/ipv4/ip_forward", "self/attr/exec", "self/attr/apparmor/exec", "1/attr/exec", "self/oom_score_adj", "self/timens_offsets"} {
		if err := os.MkdirAll(filepath.Join(fake, filepath.Dir(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(fake, f), "fake")
	}
	s.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	s.Spec.Process.OOMScoreAdj = harness.Pointer(300)
	s.Edit(harness.Mount(specs.Mount{Destination: "/proc", Source: fake, Options: []string{"bind"}}),
		harness.Mount(specs.Mount{Destination: "/real", Type: "proc", Source: "proc"}),
		harness.Namespace(specs.TimeNamespace, ""))
	s.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000}}
	if out := s.Sh("cat /real/sys/net/ipv4/ip_forward /real/self/oom_score_adj; grep -o 'boottime.*' /real/self/timens_offsets"); strings.Join(strings.Fields(out), " ") != "1 300 boottime 1000 0" {
		t.Errorf("the real values are %q", out)
	}
	if got := readFile(t, filepath.Join(fake, "sys/net/ipv4/ip_forward")) + readFile(t, filepath.Join(fake, "self/oom_score_adj")); got != "fakefake" {
		t.Errorf("davit wrote to the fake: %q", got)
	}
}

// CVE-2019-19921, CVE-2023-27561, CVE-2025-54867: /proc and /sys as links.
func TestCVE2019_19921(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/proc", "/sys"} {
		t.Run(path, func(t *testing.T) { everyLink(t, path, true) })
	}
}

// CVE-2026-41579, CVE-2026-47766: /dev as a link, with nothing mounted there.
func TestCVE2026_41579(t *testing.T) {
	t.Parallel()
	everyLink(t, "/dev", false, harness.WithoutMount("/dev"), harness.WithoutMount("/dev/pts"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"),
		func(c *specs.Spec) {
			c.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/more/node", Type: "c", Major: 1, Minor: 3}}
		})
}

// CVE-2019-18837 and its kin: any mount point, device, masked path or working directory as a link.
func TestCVE2019_18837(t *testing.T) {
	t.Parallel()
	source := "/etc/hostname"
	if _, err := os.Stat(source); err != nil {
		source = "/etc/passwd"
	}
	for _, c := range []struct {
		name, path string
		edit       harness.Edit
	}{
		{"tmpfs", "/m", harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs"})},
		{"parent of tmpfs", "/m", harness.Mount(specs.Mount{Destination: "/m/a/b", Type: "tmpfs", Source: "tmpfs"})},
		{"file", "/etc/file", harness.Mount(specs.Mount{Destination: "/etc/file", Source: source, Options: []string{"bind"}})},
		{"device", "/nodes", func(c *specs.Spec) {
			c.Linux.Devices = []specs.LinuxDevice{{Path: "/nodes/node", Type: "c", Major: 1, Minor: 3}}
		}},
		{"working directory", "/job", func(c *specs.Spec) { c.Process.Cwd = "/job/below" }},
		{"masked path", "/hidden", func(c *specs.Spec) { c.Linux.MaskedPaths = append(c.Linux.MaskedPaths, "/hidden", "/hidden/file") }},
		{"read-only path", "/fixed", func(c *specs.Spec) { c.Linux.ReadonlyPaths = append(c.Linux.ReadonlyPaths, "/fixed", "/fixed/file") }},
		{"passwd", "/etc/passwd", func(*specs.Spec) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			probe := harness.New(t)
			for _, to := range newOutside(t, probe).links() {
				s := harness.New(t, c.edit)
				o := newOutside(t, s)
				to = strings.ReplaceAll(to, probe.Dir, s.Dir)
				replace(t, s, c.path, to)
				s.Run()
				o.unchanged(c.path + " -> " + to)
			}
		})
	}
}

// CVE-2024-21626: a working directory that is a leaked descriptor of the host.
func TestCVE2024_21626(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	replace(t, s, "/link", "/proc/self/fd/7")
	for n := range 24 {
		s.Spec.Process.Cwd = fmt.Sprintf("/proc/self/fd/%d", n)
		s.Run(harness.Shell("ls -a . ..; pwd")).Fails("process.cwd")
	}
	for _, cwd := range []string{"/link", "/proc/self/fd/7/../../../../..", "/proc/self/cwd", "/proc/thread-self/fd/5"} {
		s.Spec.Process.Cwd = cwd
		r := s.Run(harness.Shell("ls / | head -1; ls . | head -1; pwd"))
		if r.Code == 0 && (!strings.HasSuffix(r.Stdout(), "/\n") || strings.Contains(r.Stdout(), "state")) {
			t.Errorf("cwd %s: %s", cwd, r.Stdout())
		}
	}
}

// CVE-2025-31133: paths are masked by the host's /dev/null, whatever the image has for one.
func TestCVE2025_31133(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"link", "file"} {
		s := harness.New(t, harness.WithoutMount("/dev"), harness.WithoutMount("/dev/pts"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"))
		o := newOutside(t, s)
		s.WriteFile("/secret", "secret", 0o644)
		s.WriteFile("/bait", "bait", 0o666)
		if kind == "link" {
			replace(t, s, "/dev/null", "/bait")
		} else {
			s.WriteFile("/dev/null", "bait", 0o666)
		}
		s.Spec.Linux.MaskedPaths = append(s.Spec.Linux.MaskedPaths, "/secret")
		r := s.Run(harness.Shell("cat /secret; stat -c %t:%T /secret"))
		if r.Code == 0 && r.Stdout() != "1:3\n" {
			t.Errorf("/dev/null is a %s: the masked file is %q", kind, r.Stdout())
		}
		o.unchanged("masking")
	}
}

// CVE-2025-52565: /dev/console as a link.
func TestCVE2025_52565(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/dev/console", "/dev/pts", "/dev/ptmx"} {
		s := harness.New(t, terminal, harness.WithoutMount("/dev"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"), harness.Args("/bin/sleep", "100"))
		o := newOutside(t, s)
		if path == "/dev/pts" {
			s.Edit(harness.WithoutMount("/dev/pts"))
		}
		replace(t, s, path, "../../../../../../../../.."+o.dir)
		socket := filepath.Join(s.Dir, "c")
		harness.ConsoleSocket(t, socket)
		s.Create("--console-socket", socket)
		o.unchanged(path)
		s.Delete()
	}
}

// CVE-2022-29162, CVE-2022-27650: no inheritable capability unless the configuration has one.
func TestCVE2022_29162(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.AllCapabilities(), harness.Args("/bin/grep", "-E", "Cap(Inh|Amb)", "/proc/self/status"))
	if out := s.Output(); strings.Join(strings.Fields(out), " ") != "CapInh: 0000000000000000 CapAmb: 0000000000000000" {
		t.Errorf("got %q", out)
	}
}

// CVE-2021-30465, CVE-2024-45310: somebody who shares a volume exchanges a directory and a link while davit makes and mounts what is below.
func TestCVE2021_30465(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	o := newOutside(t, s)
	volume := s.Path("volume")
	if err := os.MkdirAll(filepath.Join(volume, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	// As deep as it takes to climb out of the rootfs from there.
	if err := os.Symlink("../../../../../../../../../../../.."+o.dir, filepath.Join(volume, "link")); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		swaps := 0
		for {
			select {
			case <-stop:
				stopped <- swaps
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(volume, "dir"), unix.AT_FDCWD, filepath.Join(volume, "link"), unix.RENAME_EXCHANGE)
				swaps++
			}
		}
	}()
	s.Edit(harness.Mount(specs.Mount{Destination: "/volume/dir/made/deep", Type: "tmpfs", Source: "racer"}),
		harness.Mount(specs.Mount{Destination: "/volume/dir", Type: "tmpfs", Source: "racer2"}),
		harness.Shell("grep -c racer /proc/self/mountinfo"))
	s.WriteConfig()
	ok := 0
	for range 100 {
		r := s.Davit("run", "--bundle", s.Bundle, s.ID)
		if r.Code == 0 {
			ok++
			if r.Stdout() != "2\n" {
				t.Errorf("mounts are missing from the container, so they are outside of it: %q", r.Stdout())
			}
		}
		o.unchanged("racing")
		if t.Failed() {
			break
		}
	}
	close(stop)
	t.Logf("%d exchanges; %d of 100 containers ran", <-stopped, ok)
}
