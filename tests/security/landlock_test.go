package security

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func landlockPolicy(text string) harness.Edit {
	return func(s *specs.Spec) { s.Annotations = map[string]string{"run.davit.landlock": text} }
}

// landlockABI is the version of this kernel's Landlock, 0 without.
func landlockABI() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
}

func needLandlock(t *testing.T, abi int, what string) {
	t.Helper()
	if have := landlockABI(); have < abi {
		t.Skipf("%s needs Landlock's ABI %d, this kernel has %d (0: built without Landlock, or without it in the lsm= list)", what, abi, have)
	}
}

// One script, whose every step either is covered by a rule or must be denied.
const landlockScript = `
	cat /etc/secret; echo x > /data/file && cat /data/file; echo x > /etc/new; echo x > /etc/secret; mkdir /data/dir && echo made; mkdir /other
	rm /etc/secret; rm /data/file && echo removed; /bin/true && echo executed; /data/true; /link/true; echo end`

const landlockOutcome = `secret
x
/bin/sh: can't create /etc/new: Permission denied
/bin/sh: can't create /etc/secret: Permission denied
made
mkdir: can't create directory '/other': Permission denied
rm: can't remove '/etc/secret': Permission denied
removed
executed
/bin/sh: /data/true: Permission denied
/bin/sh: /link/true: Permission denied
end
`

// landlocked makes a container whose /data may be written to and not executed from, and the rest read and executed.
func landlocked(t *testing.T, edits ...harness.Edit) *harness.Sandbox {
	t.Helper()
	needLandlock(t, 1, "a policy")
	policy := `{"handledAccessFS": ["execute", "read_file", "read_dir", "write_file", "make_reg", "make_dir", "remove_file", "remove_dir"], "rules": [
		{"paths": ["/bin", "/etc", "/proc"], "access": ["execute", "read_file", "read_dir"]}, {"paths": ["/dev/null"], "access": ["write_file"]},
		{"paths": ["/link"], "access": ["read_file", "read_dir", "write_file", "make_reg", "make_dir", "remove_file", "remove_dir"]}]}`
	s := harness.New(t, append([]harness.Edit{landlockPolicy(policy), harness.AllCapabilities()}, edits...)...)
	s.WriteFile("/etc/secret", "secret\n", 0o666)
	s.WriteFile("/data/true", "#!/bin/sh\n", 0o755)
	if err := os.Chmod(s.Path("data"), 0o777); err != nil {
		t.Fatal(err)
	}
	if s.Spec.Linux.UIDMappings != nil {
		must(t, os.Chown(s.Rootfs, 100000, 100000))
		must(t, os.Chown(s.Path("etc"), 100000, 100000))
	}
	replace(t, s, "/link", "data") // rules are resolved inside the rootfs, links and all
	return s
}

func TestLandlock(t *testing.T) {
	t.Parallel()
	// A filter that kills whoever comes behind it with Landlock.
	withoutLandlock := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}, Action: specs.ActKillProcess}}}
	for name, edit := range map[string]harness.Edit{
		"noNewPrivileges": func(s *specs.Spec) { s.Process.NoNewPrivileges = true },
		"CAP_SYS_ADMIN":   func(s *specs.Spec) { s.Process.NoNewPrivileges = false },
		"user": func(s *specs.Spec) {
			s.Process.User.UID, s.Process.User.GID = 1000, 1000
			s.Process.Capabilities = nil
		},
		"user namespace":                  harness.UserNamespace(100000, 65536),
		"with seccomp":                    func(s *specs.Spec) { s.Linux.Seccomp = withoutLandlock },
		"seccomp without noNewPrivileges": func(s *specs.Spec) { s.Process.NoNewPrivileges, s.Linux.Seccomp = false, withoutLandlock },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := landlocked(t, edit)
			r := s.Run(harness.Shell("exec 2>&1;" + landlockScript))
			r.Succeeds()
			if r.Stdout() != landlockOutcome {
				t.Errorf("got\n%swant\n%s", r.Stdout(), landlockOutcome)
			}
		})
	}
}

// A created container and those that join it are under the policy as well: the exec FIFO, which they have to open for start, is no way around.
func TestLandlockCreateAndExec(t *testing.T) {
	t.Parallel()
	s := landlocked(t, harness.Args("/bin/sleep", "1000"))
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	t.Cleanup(s.Delete)
	r := s.Davit("exec", s.ID, "/bin/sh", "-c", "exec 2>&1; echo y > /etc/new; echo y > /data/exec && cat /data/exec; rm /etc/secret")
	if want := "/bin/sh: can't create /etc/new: Permission denied\ny\nrm: can't remove '/etc/secret': Permission denied\n"; r.Stdout() != want {
		t.Errorf("exec: got\n%swant\n%s%s", r.Stdout(), want, r.Stderr())
	}
	s.Davit("exec", s.ID, "/data/true").FailsWith(255, "permission denied")
	s.Davit("exec", "--create", "second", s.ID, "/bin/touch", "/etc/second").Succeeds()
	s.Davit("start", s.ID, "second").Succeeds()
	if _, err := os.Lstat(s.Path("etc/second")); err == nil {
		t.Error("a process made in two steps is outside of the policy")
	}
}

func TestLandlockNetwork(t *testing.T) {
	t.Parallel()
	needLandlock(t, 4, "a rule for ports")
	s := harness.New(t, landlockPolicy(`{"handledAccessNet": ["bind_tcp", "connect_tcp"], "rules": [
		{"ports": [8080], "access": ["bind_tcp"]}, {"ports": [9090], "access": ["connect_tcp"]}]}`))
	s.InstallProbe()
	if out := s.Sh("/probe bind 8080 8081; /probe connect 8080 9090"); out != "ok\nEACCES\nEACCES\nECONNREFUSED\n" {
		t.Errorf("got %q", out)
	}
	s.Edit(func(c *specs.Spec) { c.Annotations = nil })
	if out := s.Sh("/probe bind 8080 8081; /probe connect 8080 9090"); out != "ok\nok\nECONNREFUSED\nECONNREFUSED\n" {
		t.Errorf("without the policy: %q", out)
	}
}

func TestLandlockScopes(t *testing.T) {
	t.Parallel()
	needLandlock(t, 6, "a scope")
	neighbour := harness.New(t, harness.Args("/bin/sleep", "1000"))
	neighbour.Create().Succeeds()
	t.Cleanup(neighbour.Delete)
	name := "davit-test-" + neighbour.ID
	l, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// In the host's namespaces, where without the policy both are in reach.
	s := harness.New(t, harness.WithoutNamespace(specs.PIDNamespace), harness.WithoutNamespace(specs.NetworkNamespace), harness.AllCapabilities(), harness.WithoutMount("/sys"), harness.WithoutMount("/sys/fs/cgroup"))
	s.InstallProbe()
	script := fmt.Sprintf("kill -0 %d 2>&1 && echo ok; /probe abstract %s", neighbour.PID(), name)
	if out := s.Sh(script); out != "ok\nok\n" {
		t.Errorf("without the policy: %q", out)
	}
	s.Edit(landlockPolicy(`{"scoped": ["all"]}`))
	if out := s.Sh(script); !strings.Contains(out, "Operation not permitted") || !strings.HasSuffix(out, "\nEPERM\n") {
		t.Errorf("with both scopes: %q", out)
	}
}

func TestLandlockRefused(t *testing.T) {
	t.Parallel()
	strict := landlockPolicy(`{"handledAccessFS": ["read_file"], "rules": [{"paths": ["/missing"], "access": ["all"]}]}`)
	if landlockABI() == 0 {
		harness.New(t, strict).Run().Fails(`annotations["run.davit.landlock"].handledAccessFS`, "this kernel has no Landlock")
		harness.New(t, landlockPolicy(`{"mode": "best-effort", "scoped": ["all"]}`)).Run().Succeeds()
		return
	}
	harness.New(t, strict).Run().Fails(`annotations["run.davit.landlock"].rules[0].paths[0]`, "no such file or directory")
	r := harness.New(t, landlockPolicy(`{"mode": "best-effort", "handledAccessFS": ["make_dir"], "rules": [{"paths": ["/missing", "/bin/sh/x"], "access": ["all"]}]}`)).Run()
	r.Succeeds()
	harness.New(t, landlockPolicy(`{"handledAccessFS": ["make_dir"], "rules": [{"paths": ["/bin/busybox"], "access": ["all"]}]}`)).Run().
		Fails(`rules[0].paths[0]`, "these rights are about directories")
	harness.New(t, landlockPolicy(`{"handledAccessFS": ["fly"]}`)).Run().Fails(`handledAccessFS[0]`, `"fly" is unknown`)
	// Nothing to fall back on: the kernel refuses the exec itself.
	harness.New(t, landlockPolicy(`{"handledAccessFS": ["execute"]}`)).Run().Fails("permission denied")
}

// A path that leads out of the rootfs by links is one inside of it.
func TestLandlockPathsStayInside(t *testing.T) {
	t.Parallel()
	needLandlock(t, 1, "a policy")
	s := harness.New(t, landlockPolicy(`{"handledAccessFS": ["read_file"], "rules": [{"paths": ["/bin", "/out", "/fd"], "access": ["all"]}]}`))
	o := newOutside(t, s)
	replace(t, s, "/out", "../../../../../../../../../../.."+o.dir)
	replace(t, s, "/fd", "/proc/self/fd/3")
	s.Run().Fails(`rules[0].paths[1]`, "no such file or directory")
	replace(t, s, "/out", "/bin")
	s.Run().Fails(`rules[0].paths[2]`) // neither a descriptor of the stage's nor a link into /proc
	o.unchanged("landlock")
}
