package vm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// The profiles of these tests, in the manner of those that engines load: all is allowed but what is denied.
const profiles = `
abi <abi/4.0>,
profile davit-test-deny flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  mount,
  pivot_root,
  signal,
  ptrace,
  userns,
  change_profile,
  deny /secret rw,
  deny /sys/kernel/** w,
}
profile davit-test-other flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  mount,
  signal,
  ptrace,
  deny /other rw,
}
# What an engine gives to a container: no changing of profiles.
profile davit-test-closed flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  mount,
  pivot_root,
  signal,
  ptrace,
  userns,
}
# The same for a container that has containers.
profile davit-test-nested flags=(attach_disconnected,mediate_deleted) {
  network,
  capability,
  file,
  umount,
  mount,
  pivot_root,
  signal,
  ptrace,
  userns,
  change_profile -> &davit-test-deny,
  deny /outer rw,
}
`

func loadProfiles(t *testing.T) {
	t.Helper()
	if on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled"); string(on) != "Y\n" {
		t.Skip("this machine's kernel runs another security module than AppArmor")
	}
	file := filepath.Join(t.TempDir(), "profiles")
	if err := os.WriteFile(file, []byte(profiles), 0o644); err != nil {
		t.Fatal(err)
	}
	harness.Tool(t, "apparmor_parser", "--replace", "--skip-cache", file)
	t.Cleanup(func() { harness.Tool(t, "apparmor_parser", "--remove", file) })
}

func profile(name string) harness.Edit {
	return func(s *specs.Spec) { s.Process.ApparmorProfile = name }
}

func noNewPrivs(on bool) harness.Edit {
	return func(s *specs.Spec) { s.Process.NoNewPrivileges = on }
}

const current = "cat /proc/self/attr/apparmor/current"

// A denial comes from the kernel, whatever the process's own rights.
func TestAppArmorDenies(t *testing.T) {
	loadProfiles(t)
	for name, edit := range map[string]harness.Edit{"no_new_privs": noNewPrivs(true), "new privileges": noNewPrivs(false)} {
		t.Run(name, func(t *testing.T) {
			s := harness.New(t, profile("davit-test-deny"), edit, harness.AllCapabilities())
			s.WriteFile("secret", "x", 0o666)
			s.WriteFile("open", "x", 0o666)
			out := s.Sh(current + "; cat /open; cat /secret 2>&1; true")
			if !strings.Contains(out, "davit-test-deny (enforce)\n") || !strings.Contains(out, "x") || !strings.Contains(out, "'/secret': Permission denied") {
				t.Errorf("inside: %q", out)
			}
		})
	}
}

func TestAppArmorUnknownProfile(t *testing.T) {
	loadProfiles(t)
	s := harness.New(t, profile("davit-test-nobody-knows"))
	s.Run().Fails("process.apparmorProfile", "davit-test-nobody-knows", "apparmor_parser")
	s.Create().Fails("process.apparmorProfile", "davit-test-nobody-knows", "apparmor_parser")
	if r := s.Davit("state", s.ID); r.Code == 0 {
		t.Error("a container was left")
	}
}

func TestAppArmorUnconfined(t *testing.T) {
	loadProfiles(t)
	for _, name := range []string{"", "unconfined"} {
		if out := harness.New(t, profile(name)).Sh(current); out != "unconfined\n" {
			t.Errorf("profile %q: the process runs under %q", name, out)
		}
	}
}

// A process that joins gets the container's profile, or another that is asked for.
func TestAppArmorExec(t *testing.T) {
	loadProfiles(t)
	s := running(t, profile("davit-test-deny"), noNewPrivs(false))
	s.WriteFile("secret", "x", 0o666)
	s.WriteFile("other", "x", 0o666)
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, "davit-test-deny (enforce)\nx/secret"},
		{[]string{"--no-new-privs"}, "davit-test-deny (enforce)\nx/secret"},
		{[]string{"--apparmor", "davit-test-other"}, "davit-test-other (enforce)\nx/other"},
		{[]string{"--apparmor", "davit-test-other", "--no-new-privs"}, "davit-test-other (enforce)\nx/other"},
		{[]string{"--apparmor", "unconfined"}, "unconfined\nxx"},
	} {
		r := s.Davit(append(append([]string{"exec"}, c.flags...), s.ID, "/bin/sh", "-c", current+"; for f in /secret /other; do cat $f 2>/dev/null || denied=$f; done; echo $denied")...)
		r.Succeeds()
		if got := strings.TrimSpace(r.Stdout()); got != c.want {
			t.Errorf("exec %v: %q, want %q", c.flags, got, c.want)
		}
	}
	s.Davit("exec", "--apparmor", "davit-test-nobody-knows", s.ID, "/bin/true").FailsWith(255, "davit-test-nobody-knows", "apparmor_parser")
}

// An ordinary user's containers are confined as root's are.
func TestAppArmorRootless(t *testing.T) {
	loadProfiles(t)
	s := newRootless(t, profile("davit-test-deny"))
	s.Spec.Linux.CgroupsPath = ""
	s.WriteFile("secret", "x", 0o666)
	if out := s.Sh(current + "; cat /secret 2>&1; true"); !strings.Contains(out, "davit-test-deny (enforce)\n") || !strings.Contains(out, "'/secret': Permission denied") {
		t.Errorf("inside: %q", out)
	}
	s.Run(profile("davit-test-nobody-knows")).Fails("process.apparmorProfile", "davit-test-nobody-knows", "apparmor_parser")
}

// nested is a sandbox whose container may run containers.
func nested(t *testing.T, outer string) *harness.Sandbox {
	t.Helper()
	s := harness.New(t, profile(outer), noNewPrivs(false), harness.UserNamespace(100000, 65536), harness.AllCapabilities(), cgroupMount)
	for _, f := range []string{"secret", "outer", "open"} {
		s.WriteFile(f, "x\n", 0o666)
	}
	return s
}

// davit in a container that an engine confined: its containers are confined by that profile and by their own.
func TestAppArmorNested(t *testing.T) {
	loadProfiles(t)
	for name, edit := range map[string]harness.Edit{"no_new_privs": noNewPrivs(true), "new privileges": noNewPrivs(false)} {
		t.Run(name, func(t *testing.T) {
			s := nested(t, "davit-test-nested")
			inner := nest(s, profile("davit-test-deny"), edit, harness.Shell(current+"; cat /open; cat /secret 2>&1; cat /outer 2>&1; true"))
			r := s.Run(harness.Shell(inner))
			r.Succeeds()
			out := r.Stdout()
			for _, want := range []string{"davit-test-nested", "//&", "davit-test-deny", "x\n", "'/secret': Permission denied", "'/outer': Permission denied"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q inside: %s", want, out)
				}
			}
		})
	}
}

// Where the outer profile has no rule for it, an inner one is refused, and nothing runs unconfined instead.
func TestAppArmorNestedRefused(t *testing.T) {
	loadProfiles(t)
	s := nested(t, "davit-test-closed")
	s.Run(harness.Shell(nest(s, profile("davit-test-deny"), harness.Shell("echo ran")))).Fails("process.apparmorProfile", "davit-test-closed", "change_profile -> &davit-test-deny,")
	inherits := nested(t, "davit-test-closed")
	if out := inherits.Sh(nest(inherits, harness.Shell(current))); out != "davit-test-closed (enforce)\n" {
		t.Errorf("a container without a profile inherits %q", out)
	}
}

// nest prepares the sandbox's container to run davit, and returns a script that runs a container in it.
func nest(s *harness.Sandbox, edits ...harness.Edit) string {
	s.T.Helper()
	spec := harness.BaseSpec("/inner")
	// A user namespace's root can't mount a sysfs of the outer network namespace's owner, or a proc where the outer one is masked.
	for _, e := range append([]harness.Edit{harness.WithoutMount("/sys"), harness.WithoutMount("/sys/fs/cgroup")}, edits...) {
		e(spec)
	}
	spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = nil, nil
	s.Spec.Linux.MaskedPaths, s.Spec.Linux.ReadonlyPaths = nil, nil
	data, err := json.Marshal(spec)
	if err != nil {
		s.T.Fatal(err)
	}
	s.WriteFile("inner/config.json", string(data), 0o644)
	s.WriteFile("davit", "", 0o755)
	for _, dir := range []string{"inner/rootfs", "run"} { // the container's root may not make them
		if err := os.Mkdir(s.Path(dir), 0o755); err != nil {
			s.T.Fatal(err)
		}
	}
	s.Edit(harness.Mount(specs.Mount{Destination: "/davit", Type: "bind", Source: harness.Binary(s.T), Options: []string{"bind", "ro"}}),
		harness.Mount(specs.Mount{Destination: "/inner/rootfs", Type: "bind", Source: s.Rootfs, Options: []string{"rbind"}}),
		harness.Mount(specs.Mount{Destination: "/run", Type: "tmpfs", Source: "tmpfs"}))
	// The cgroup of the outer processes can't have limited children.
	return "mkdir -p /sys/fs/cgroup/own && echo 0 >/sys/fs/cgroup/own/cgroup.procs; /davit run --bundle /inner inner"
}
