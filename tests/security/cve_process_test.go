package security

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// A working directory that is a leaked descriptor of the host.
func TestCVE_2024_21626(t *testing.T) {
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

// The same for a process that joins.
func TestCVE_2024_21626_Exec(t *testing.T) {
	t.Parallel()
	s := sleeper(t)
	for n := range 16 {
		r := s.Davit("exec", "--cwd", fmt.Sprintf("/proc/self/fd/%d", n), s.ID, "/bin/sh", "-c", "[ $(stat -c %d:%i .) = $(stat -c %d:%i /) ] || ls -a . ..")
		if r.Code == 0 && r.Stdout() != "" { // the container's own root is no way out
			t.Errorf("descriptor %d is a working directory: %s", n, r.Stdout())
		}
	}
}

// sleeper is a container that runs until the test ends.
func sleeper(t *testing.T, edits ...harness.Edit) *harness.Sandbox {
	t.Helper()
	s := harness.New(t, append(edits, harness.Args("/bin/sleep", "1000"))...)
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	t.Cleanup(s.Delete)
	return s
}

const noInheritable = "CapInh: 0000000000000000 CapAmb: 0000000000000000"

func capabilitySets(out string) string { return strings.Join(strings.Fields(out), " ") }

// No inheritable capability unless the configuration has one.
func TestCVE_2022_29162(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.AllCapabilities(), harness.Args("/bin/grep", "-E", "Cap(Inh|Amb)", "/proc/self/status"))
	if out := capabilitySets(s.Output()); out != noInheritable {
		t.Errorf("got %q", out)
	}
}

// exec --cap gives no inheritable and no ambient capability either.
func TestCVE_2022_27650(t *testing.T) {
	t.Parallel()
	s := sleeper(t)
	r := s.Davit("exec", "--cap", "CAP_NET_RAW", "--cap", "CAP_SYS_ADMIN", s.ID, "/bin/grep", "-E", "Cap(Inh|Amb)", "/proc/self/status")
	r.Succeeds()
	if out := capabilitySets(r.Stdout()); out != noInheritable {
		t.Errorf("got %q", out)
	}
}

// Nor does exec of another user, for whom an inheritable capability would be all that a file needs.
func TestCVE_2025_27612(t *testing.T) {
	t.Parallel()
	s := sleeper(t, harness.AllCapabilities())
	r := s.Davit("exec", "--user", "1000:1000", "--cap", "CAP_NET_RAW", s.ID, "/bin/grep", "-E", "Cap(Inh|Amb|Prm|Eff)", "/proc/self/status")
	r.Succeeds()
	for _, line := range strings.Split(strings.TrimSpace(r.Stdout()), "\n") {
		if !strings.HasSuffix(line, "0000000000000000") {
			t.Errorf("user 1000 has %s", line)
		}
	}
}

// A user is the number that was given, or an error.
func TestCVE_2026_30892(t *testing.T) {
	t.Parallel()
	s := sleeper(t)
	for user, want := range map[string]string{"1": "1 0", "1:1": "1 1", "0001": "1 0", "4294967294:7": "4294967294 7"} {
		r := s.Davit("exec", "--user", user, s.ID, "/bin/sh", "-c", "echo $(id -u) $(id -g)")
		if got := strings.TrimSpace(r.Stdout()); r.Code == 0 && got != want {
			t.Errorf("exec --user %s runs as %s", user, got)
		}
	}
	for _, user := range []string{"1", "1:1"} {
		s.Davit("exec", "--user", user, s.ID, "/bin/true").Succeeds()
	}
	for _, user := range []string{"4294967296", "4294967295", "-1", "1:-1", "1:4294967296", " 1", "0x1", "1e0", "alice", ":", "1:", "18446744073709551617"} {
		r := s.Davit("exec", "--user="+user, s.ID, "/bin/id", "-u")
		if r.Code == 0 {
			t.Errorf("exec --user %q runs as %s", user, r.Stdout())
		}
	}
}

// Lengths beyond 16 bits on the way from the configuration to the container: nothing is cut, nothing becomes another field.
func TestCVE_2021_43784(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", math.MaxUint16+2)
	s := harness.New(t, harness.Env("LONG="+long), harness.Args("/bin/sh", "-c", `echo ${#LONG} ${#0} $(wc -l </proc/self/uid_map) $(hostname)`, long))
	s.Edit(harness.Namespace(specs.UserNamespace, ""), func(c *specs.Spec) {
		for i := range uint32(300) {
			m := specs.LinuxIDMapping{ContainerID: i, HostID: 1000 + 2*i, Size: 1}
			c.Linux.UIDMappings, c.Linux.GIDMappings = append(c.Linux.UIDMappings, m), append(c.Linux.GIDMappings, m)
		}
	})
	if got, want := strings.TrimSpace(s.Output()), fmt.Sprintf("%d %d 300 davit", len(long), len(long)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for field, edit := range map[string]harness.Edit{
		"/m":                  harness.Mount(specs.Mount{Destination: "/m", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=" + long}}),
		"mounts":              harness.Mount(specs.Mount{Destination: "/" + long, Type: "tmpfs", Source: "tmpfs"}),
		"linux.namespaces":    harness.Namespace(specs.NetworkNamespace, "/"+long),
		"linux.readonlyPaths": func(c *specs.Spec) { c.Linux.ReadonlyPaths = []string{"/" + long} },
		"process.cwd":         func(c *specs.Spec) { c.Process.Cwd = "/" + long },
	} {
		harness.New(t, edit).Run().Fails(field)
	}
}
