package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// TestExamine holds the findings against what this host is known to be by other means.
func TestExamine(t *testing.T) {
	if nsenter.StageSize() == 0 {
		t.Skip("this build has no stage: run `make` first")
	}
	mounts := read(t, "/proc/self/mountinfo")
	findings := Examine(Options{StateRoot: filepath.Join(t.TempDir(), "a", "b")})
	if again := read(t, "/proc/self/mountinfo"); again != mounts {
		t.Errorf("mounts were\n%s\nand are\n%s", mounts, again)
	}
	seen := make(map[string]bool)
	for _, f := range findings {
		key := f.Area + ": " + f.Name
		if f.Area == "" || f.Name == "" || seen[key] {
			t.Errorf("%+v is twice there, or nameless", f)
		}
		seen[key] = true
		switch f.Status {
		case OK, Note:
			if f.Cost != "" || f.Remedy != "" {
				t.Errorf("%+v costs nothing and has a remedy", f)
			}
		case Missing, Fatal:
			if f.Cost == "" || f.Remedy == "" {
				t.Errorf("%+v without cost or remedy", f)
			}
		default:
			t.Errorf("%+v", f)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	for _, name := range []string{"kernel: version", "kernel: sealed memfd", "kernel: openat2", "namespaces: mount", "filesystems: new mount API"} {
		if f := finding(findings, name); f.Status != OK {
			t.Errorf("%s: %+v", name, f)
		}
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	caps, err := permitted()
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(findings, "davit: CAP_SYS_RESOURCE"); (caps&(1<<unix.CAP_SYS_RESOURCE) == 0) != (f.Status == Missing) {
		t.Errorf("CAP_SYS_RESOURCE: %+v, permitted %#x", f, caps)
	}
	_, noResctrl := os.Stat("/sys/fs/resctrl/schemata")
	if f := finding(findings, "cgroups: resctrl"); (noResctrl == nil) != (f.Status == OK) {
		t.Errorf("resctrl: %+v", f)
	}
}

func finding(list []Finding, name string) Finding {
	i := slices.IndexFunc(list, func(f Finding) bool { return f.Area+": "+f.Name == name })
	if i < 0 {
		return Finding{}
	}
	return list[i]
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A probe that the kernel refuses says so; one that works leaves no process.
func TestTry(t *testing.T) {
	if nsenter.StageSize() == 0 || os.Geteuid() != 0 {
		t.Skip("needs root and the stage (run `make` first)")
	}
	root := nsenter.Rootfs{Path: "/"}
	if err := try(unix.CLONE_NEWNS, nil, root, mountAt(scratch(), "tmpfs")); err != nil {
		t.Error(err)
	}
	if err := try(unix.CLONE_NEWNS, nil, root, mountAt(scratch(), "nosuchfs")); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an unknown filesystem: %v", err)
	}
	if err := try(unix.CLONE_NEWUSER, nil, nsenter.Hostname{Name: "x"}); !errors.Is(err, unix.EPERM) {
		t.Errorf("the host's name was set from a user namespace: %v", err)
	}
	pid := 0
	told := errors.New("told")
	if err := try(unix.CLONE_NEWPID, func(p int) error { pid = p; return told }); !errors.Is(err, told) || pid == 0 {
		t.Errorf("%v, process %d", err, pid)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("process %d is left: %v", pid, err)
	}
	if err := idmap("/proc", os.Getpid()); err == nil {
		t.Error("a filesystem that can't be idmapped was, with the initial user namespace")
	}
}

func TestSplit(t *testing.T) {
	for release, want := range map[string][2]int{"6.18.44-fc": {6, 18}, "5.10": {5, 10}, "4.19.0-rc1+": {4, 19}, "6.1-rc3": {6, 1}, "x": {0, 0}} {
		if a, b := split(release); [2]int{a, b} != want {
			t.Errorf("%s: %d.%d", release, a, b)
		}
	}
}

func TestSubIDs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	text := "anna:100000:65536\n1000:200000:10\nanna:300000:0\nanna:x:1\nanna:1\nannabel:1:1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if ranges, n := subIDs(file, "anna", 1000); n != 65546 || ranges != "100000-165535, 200000-200009" {
		t.Errorf("%s, %d", ranges, n)
	}
	if _, n := subIDs(file, "bob", 7); n != 0 {
		t.Errorf("%d ids of nobody", n)
	}
	if _, n := subIDs(file+"x", "anna", 1000); n != 0 {
		t.Errorf("%d ids without a file", n)
	}
}

// state judges a directory that isn't there by the one that it would be made in.
func TestStateDirectory(t *testing.T) {
	dir := t.TempDir()
	look := func(root string) Finding {
		e := &examiner{opts: Options{StateRoot: root}, euid: os.Geteuid()}
		e.state()
		return e.findings[0]
	}
	if f := look(filepath.Join(dir, "x", "y")); f.Status != OK || !strings.Contains(f.Detail, "to be made") {
		t.Errorf("%+v", f)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if f := look(dir); f.Status != Fatal || f.Remedy != "chmod go-w "+dir {
		t.Errorf("%+v", f)
	}
	if f := look("/proc/davit"); f.Status != Fatal && os.Geteuid() != 0 {
		t.Errorf("%+v", f)
	}
}

func TestLSMParameter(t *testing.T) {
	for list, want := range map[string]string{"": "lsm=…,selinux", "lockdown,capability,apparmor,bpf": "lsm=lockdown,capability,bpf,selinux"} {
		if got := lsmParameter(list, "selinux"); got != want {
			t.Errorf("%s: %s", list, got)
		}
	}
}

func TestGainsPrivilege(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if gainsPrivilege(file) {
		t.Error("a plain file")
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := unix.Chmod(file, 0o4755); err != nil {
		t.Fatal(err)
	}
	if !gainsPrivilege(file) {
		t.Error("a setuid file")
	}
}
