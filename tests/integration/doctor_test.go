package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"davit/tests/harness"
)

type findings struct {
	Usable   bool
	Findings []finding
}

type finding struct{ Area, Name, Status, Detail, Cost, Remedy string }

func (f *findings) get(name string) finding {
	i := slices.IndexFunc(f.Findings, func(x finding) bool { return x.Area+": "+x.Name == name })
	if i < 0 {
		return finding{}
	}
	return f.Findings[i]
}

// doctor runs `davit doctor --format json` behind a command line's beginning.
func doctor(t *testing.T, wantCode int, prefix ...string) *findings {
	t.Helper()
	// Whose /run/davit is, this isn't about.
	line := append(append([]string{}, prefix...), harness.Binary(t), "--root", t.TempDir()+"/state", "doctor", "--format", "json")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR=")
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Fatalf("%v: exit code %d, %v\n%s", line, code, err, out)
	}
	var f findings
	if err := json.Unmarshal(out, &f); err != nil || len(f.Findings) < 30 {
		t.Fatalf("%v: %v\n%s", line, err, out)
	}
	if f.Usable != (wantCode == 0) {
		t.Errorf("usable: %t", f.Usable)
	}
	return &f
}

// Here containers run: these tests make them.
func TestDoctor(t *testing.T) {
	harness.NeedRoot(t)
	f := doctor(t, 0)
	for _, x := range f.Findings {
		if x.Status == "fatal" {
			t.Errorf("%+v", x)
		}
	}
	layout, err := harness.CurrentLayout()
	if err != nil {
		t.Fatal(err)
	}
	if got := f.get("cgroups: mode").Detail; got != string(layout) {
		t.Errorf("cgroup mode %s, want %s", got, layout)
	}
}

// What is switched off is found, with the command that switches it on.
func TestDoctorFindsLacks(t *testing.T) {
	harness.NeedRoot(t)
	harness.NeedTool(t, "capsh", "libcap2-bin")
	without := func(capability string) []string {
		return []string{"capsh", "--drop=" + capability, "--", "-c", `exec "$@"`, "--"}
	}
	f := doctor(t, 0, without("cap_mknod")...)
	if x := f.get("davit: CAP_MKNOD"); x.Status != "missing" || !strings.Contains(x.Cost, "linux.devices") {
		t.Errorf("%+v", x)
	}
	f = doctor(t, 0, without("cap_sys_admin")...) // by way of user namespaces
	if x := f.get("davit: CAP_SYS_ADMIN"); x.Status != "missing" || f.get("namespaces: user").Status != "ok" {
		t.Errorf("%+v", x)
	}
	// A user namespace whose limit of further ones is 0: only its root can say so, and only for itself.
	none := []string{"unshare", "-Ur", "sh", "-c", `echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"`, "--"}
	f = doctor(t, 0, none...)
	if x := f.get("namespaces: user"); x.Status != "missing" || x.Remedy != "sysctl -w user.max_user_namespaces=15000" {
		t.Errorf("%+v", x)
	}
	f = doctor(t, 1, append(none, without("all")...)...)
	if x := f.get("namespaces: user"); x.Status != "fatal" || !strings.Contains(x.Detail, "no space left") {
		t.Errorf("%+v", x)
	}
}

// An ordinary user is told what he lacks, in words.
func TestDoctorUnprivileged(t *testing.T) {
	harness.NeedRoot(t)
	binary := t.TempDir() + "/davit"
	harness.Tool(t, "install", "-m", "0755", harness.Binary(t), binary)
	for dir := binary; strings.HasPrefix(dir, os.TempDir()+"/"); dir = dir[:strings.LastIndex(dir, "/")] {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	user := []string{"setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"}
	cmd := exec.Command(user[0], append(user[1:], binary, "doctor")...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	for _, want := range []string{
		"fatal    davit: state directory: /run", "XDG_RUNTIME_DIR", "missing  user namespaces: /etc/subuid: has no range for 54321",
		"usermod --add-subuids 100000-165535 54321", "ok       namespaces: pid", "No container can run here",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	run := t.TempDir()
	chown(t, run, 54321)
	cmd = exec.Command(user[0], append(user[1:], binary, "--root", run+"/davit", "doctor")...)
	if err := os.Chmod(run[:strings.LastIndex(run, "/")], 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), "Containers can run here") || strings.Contains(string(out), "\x1b") {
		t.Errorf("%v\n%s", err, out)
	}
}
