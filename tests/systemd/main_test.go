package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups/systemd/systemdtest"
	"davit/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const privateSocket = "/run/systemd/private"

// TestDouble runs the others where no systemd does.
func TestDouble(t *testing.T) {
	if isReal() {
		t.Skip("systemd is the first process here: the tests run with it, not with a double")
	}
	harness.NeedRoot(t)
	have, err := harness.CurrentLayout()
	if err != nil {
		t.Fatal(err)
	}
	t.Run(string(have), func(t *testing.T) { harness.InPrivateMounts(t, "^TestUnit") })
	for _, layout := range []harness.Layout{harness.V2, harness.V1} {
		if layout != have {
			t.Run(string(layout), func(t *testing.T) { harness.InLayout(t, layout, "^TestUnit") })
		}
	}
}

func isReal() bool {
	first, err := os.ReadFile("/proc/1/comm")
	if err != nil || string(first) != "systemd\n" {
		return false
	}
	_, err = os.Stat(privateSocket)
	return err == nil
}

// systemd is what stands behind the socket.
type systemd struct {
	t      *testing.T
	double *systemdtest.Double // nil: the real one
}

// manager returns the one that the tests of this process run with.
func manager(t *testing.T) *systemd {
	t.Helper()
	harness.NeedRoot(t)
	if isReal() {
		return &systemd{t: t}
	}
	if !harness.InOtherLayout() {
		t.Skip("systemd is not the first process: TestDouble runs this with a double of it")
	}
	d, err := startDouble()
	if err != nil {
		t.Fatal(err)
	}
	return &systemd{t, d}
}

var startDouble = sync.OnceValues(func() (*systemdtest.Double, error) {
	// The mount namespace is this process's own.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return nil, fmt.Errorf("mount tmpfs on /run: %w", err)
	}
	if err := os.Mkdir(filepath.Dir(privateSocket), 0o755); err != nil {
		return nil, err
	}
	hierarchies := []string{"/sys/fs/cgroup"}
	if layout, err := harness.CurrentLayout(); err != nil {
		return nil, err
	} else if layout != harness.V2 {
		// Those that systemd makes the cgroups of units with Delegate=yes in.
		hierarchies = nil
		for _, name := range []string{"unified", "systemd", "cpu,cpuacct", "cpu", "cpuacct", "blkio", "memory", "devices", "pids"} {
			dir := "/sys/fs/cgroup/" + name
			if st, err := os.Lstat(dir); err == nil && st.IsDir() {
				hierarchies = append(hierarchies, dir)
			}
		}
	}
	d := systemdtest.New(hierarchies, "")
	return d, d.Listen(privateSocket)
})

// sandbox is one whose container is to be a unit.
func (m *systemd) sandbox(edits ...harness.Edit) (s *harness.Sandbox, unit string) {
	m.t.Helper()
	s = harness.New(m.t, append([]harness.Edit{harness.Args("/bin/sleep", "100")}, edits...)...)
	s.Spec.Linux.CgroupsPath = "davit-test.slice:box:" + s.ID
	return s, "box-" + s.ID + ".scope"
}

// create makes the container; other commands know from its state what it is.
func create(s *harness.Sandbox) *harness.Result {
	s.T.Helper()
	return s.Create("--systemd-cgroup")
}

// start makes the container and starts it.
func start(s *harness.Sandbox) {
	s.T.Helper()
	create(s).Succeeds()
	s.Davit("start", s.ID).Succeeds()
}

const place = "/davit.slice/davit-test.slice/"

// show is what `systemctl show` says of a unit's property.
func (m *systemd) show(unit, property string) string {
	m.t.Helper()
	if m.double != nil {
		if v := m.double.Property(unit, property); v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
	return strings.TrimSpace(harness.Tool(m.t, "systemctl", "show", "--value", "-p", property, unit))
}

// expect compares properties, NAME=VALUE each. Times read otherwise in systemctl's output.
func (m *systemd) expect(unit string, want ...string) {
	m.t.Helper()
	for _, w := range want {
		name, value, _ := strings.Cut(w, "=")
		if got := m.show(unit, name); got != value && got != duration(value) {
			m.t.Errorf("%s: %s is %q, want %q", unit, name, got, value)
		}
	}
}

// duration writes microseconds as systemctl does, as far as the tests need it.
func duration(us string) string {
	switch {
	case strings.HasSuffix(us, "000000"):
		return strings.TrimSuffix(us, "000000") + "s"
	case strings.HasSuffix(us, "000"):
		return strings.TrimSuffix(us, "000") + "ms"
	}
	return us
}

// active tells whether the unit runs.
func (m *systemd) active(unit string) bool {
	if m.double != nil {
		return m.double.State(unit) == "active"
	}
	out, _ := exec.Command("systemctl", "is-active", unit).Output()
	return string(out) == "active\n"
}

// reload is `systemctl daemon-reload`.
func (m *systemd) reload() {
	m.t.Helper()
	if m.double == nil {
		harness.Tool(m.t, "systemctl", "daemon-reload")
	} else if err := m.double.Reload(); err != nil {
		m.t.Fatal(err)
	}
}

// needDouble skips what the real one can't be made to do.
func (m *systemd) needDouble() {
	m.t.Helper()
	if m.double == nil {
		m.t.Skip("the real systemd can't be made to do that: this runs with the double")
	}
}

// onV2 tells the version of cgroups that limits are of.
func onV2(t *testing.T) bool {
	t.Helper()
	layout, err := harness.CurrentLayout()
	if err != nil {
		t.Fatal(err)
	}
	return layout == harness.V2
}

// unitDirs are the directories of a unit that may have the controller's files, that of version 1 first.
func unitDirs(controller, unit string) []string {
	var dirs []string
	for _, h := range []string{"/" + controller, "/unified", ""} {
		if st, err := os.Stat("/sys/fs/cgroup" + h + place + unit); err == nil && st.IsDir() {
			dirs = append(dirs, "/sys/fs/cgroup"+h+place+unit)
		}
	}
	return dirs
}

// file reads the first of the files that there is, and tells which.
func file(t *testing.T, controller, unit string, names ...string) (name, content string) {
	t.Helper()
	for _, dir := range unitDirs(controller, unit) {
		for _, name := range names {
			if text, err := os.ReadFile(dir + "/" + name); err == nil {
				return name, strings.TrimSpace(string(text))
			}
		}
	}
	t.Errorf("%s has no cgroup with %v", unit, names)
	return "", ""
}

// hasController tells whether a limit can be had.
func hasController(name string) bool {
	for _, h := range []string{"", "/unified"} {
		list, _ := os.ReadFile("/sys/fs/cgroup" + h + "/cgroup.controllers")
		if strings.Contains(" "+strings.TrimSpace(string(list))+" ", " "+name+" ") {
			return true
		}
	}
	_, err := os.Stat("/sys/fs/cgroup/" + name)
	return err == nil
}

func resources(r specs.LinuxResources) harness.Edit {
	return func(s *specs.Spec) { s.Linux.Resources = &r }
}
