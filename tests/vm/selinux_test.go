package vm

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// The labels of these tests, as an engine gives them: a pair of categories for each container.
const (
	processLabel = "system_u:system_r:container_t:s0:c1,c2"
	otherProcess = "system_u:system_r:container_t:s0:c3,c4"
	fileLabel    = "system_u:object_r:container_file_t:s0:c1,c2"
	otherFile    = "system_u:object_r:container_file_t:s0:c3,c4"
	sharedFile   = "system_u:object_r:container_file_t:s0"
	ownLabel     = "cat /proc/self/attr/current"
)

func needSELinux(t *testing.T) {
	t.Helper()
	mode, err := os.ReadFile("/sys/fs/selinux/enforce")
	if err != nil {
		t.Skip("this machine's kernel runs another security module than SELinux")
	}
	if string(mode) != "1" {
		t.Fatal("SELinux isn't enforcing")
	}
}

func setLabel(t testing.TB, path, label string) {
	t.Helper()
	if err := unix.Lsetxattr(path, "security.selinux", append([]byte(label), 0), 0); err != nil {
		t.Fatalf("label %s: %v", path, err)
	}
}

func labelOf(t testing.TB, path string) string {
	t.Helper()
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(path, "security.selinux", buf)
	if err != nil {
		t.Errorf("the label of %s: %v", path, err)
		return ""
	}
	return strings.TrimRight(string(buf[:n]), "\x00")
}

// confined makes a sandbox whose container has labels, and whose rootfs any container may read.
func confined(t *testing.T, edits ...harness.Edit) *harness.Sandbox {
	t.Helper()
	needSELinux(t)
	labels := func(s *specs.Spec) { s.Process.SelinuxLabel, s.Linux.MountLabel = processLabel, fileLabel }
	s := harness.New(t, append([]harness.Edit{labels}, edits...)...)
	relabel(t, s)
	return s
}

func relabel(t *testing.T, s *harness.Sandbox) {
	t.Helper()
	err := filepath.WalkDir(s.Rootfs, func(p string, _ fs.DirEntry, err error) error {
		if err == nil {
			setLabel(t, p, sharedFile)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// labelled runs davit with an output that the container may write to: a descriptor that it may not use is taken from it at exec.
func labelled(s *harness.Sandbox, args ...string) *harness.Result {
	s.T.Helper()
	cmd := s.Command(args...)
	for _, out := range []any{cmd.Stdout, cmd.Stderr} {
		label := append([]byte(sharedFile), 0)
		if err := unix.Fsetxattr(int(out.(*os.File).Fd()), "security.selinux", label, 0); err != nil {
			s.T.Fatal(err)
		}
	}
	return cmd.Do()
}

func runLabelled(s *harness.Sandbox, script string) string {
	s.T.Helper()
	s.Edit(harness.Shell(script))
	s.WriteConfig()
	r := labelled(s, "run", "--bundle", s.Bundle, s.ID)
	r.Succeeds()
	return r.Stdout()
}

func execLabelled(s *harness.Sandbox, script string, flags ...string) string {
	s.T.Helper()
	r := labelled(s, append(append([]string{"exec"}, flags...), s.ID, "/bin/sh", "-c", script)...)
	r.Succeeds()
	return strings.TrimRight(r.Stdout(), "\x00")
}

func TestSELinuxProcessLabel(t *testing.T) {
	needSELinux(t)
	for _, on := range []bool{true, false} {
		s := confined(t, noNewPrivs(on))
		if out := runLabelled(s, ownLabel); strings.TrimRight(out, "\x00") != processLabel {
			t.Errorf("no_new_privs %v: the process runs as %q", on, out)
		}
	}
	plain := harness.New(t)
	if out := plain.Sh(ownLabel); !strings.Contains(out, ":unconfined_t:") {
		t.Errorf("without a label the process runs as %q, not as its caller", out)
	}
}

func TestSELinuxMountLabel(t *testing.T) {
	needSELinux(t)
	host := filepath.Join(t.TempDir(), "host")
	if err := os.WriteFile(host, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before := labelOf(t, host)
	s := confined(t, harness.Args("/bin/sleep", "1000"), harness.Mount(specs.Mount{Destination: "/host", Type: "bind", Source: host, Options: []string{"bind"}}),
		harness.Mount(specs.Mount{Destination: "/scratch", Type: "tmpfs", Source: "tmpfs"}))
	t.Cleanup(s.Delete)
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	root := fmt.Sprintf("/proc/%d/root", s.PID())
	for _, p := range []string{"/dev", "/dev/shm", "/dev/mqueue", "/dev/pts", "/dev/null", "/scratch"} {
		if got := labelOf(t, root+p); got != fileLabel {
			t.Errorf("%s is labelled %s", p, got)
		}
	}
	for _, p := range []string{"/proc", "/sys", "/sys/fs/cgroup"} {
		if got := labelOf(t, root+p); got == fileLabel {
			t.Errorf("%s is labelled as the container's", p)
		}
	}
	if got := labelOf(t, root+"/host"); got != before || got == fileLabel {
		t.Errorf("a bind's source was %s and is %s", before, got)
	}
	// What is labelled can be used, and new files in it are labelled too.
	execLabelled(s, "echo x >/scratch/f && echo x >/dev/shm/f && cat /scratch/f /dev/shm/f")
	if got := labelOf(t, root+"/scratch/f"); got != fileLabel {
		t.Errorf("a file in a tmpfs is labelled %s", got)
	}
}

// Categories keep containers from each other's files, and the audit log says so.
func TestSELinuxForeignCategoryDenied(t *testing.T) {
	s := confined(t)
	s.WriteFile("mine", "mine\n", 0o666)
	s.WriteFile("foreign", "foreign\n", 0o666)
	setLabel(t, s.Path("mine"), fileLabel)
	setLabel(t, s.Path("foreign"), otherFile)
	out := runLabelled(s, "cat /mine; cat /foreign 2>&1; echo x >/mine && echo written; true")
	if out != "mine\ncat: can't open '/foreign': Permission denied\nwritten\n" {
		t.Errorf("inside: %q", out)
	}
	var st unix.Stat_t
	if err := unix.Stat(s.Path("foreign"), &st); err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(harness.Tool(t, "dmesg")) {
		found = found || strings.Contains(line, "avc:  denied") && strings.Contains(line, fmt.Sprintf("ino=%d ", st.Ino)) &&
			strings.Contains(line, "scontext="+processLabel) && strings.Contains(line, "tcontext="+otherFile)
	}
	if !found {
		t.Error("no denial in the audit log")
	}
}

func TestSELinuxExec(t *testing.T) {
	s := confined(t, harness.Args("/bin/sleep", "1000"))
	t.Cleanup(s.Delete)
	s.WriteFile("mine", "mine\n", 0o666)
	s.WriteFile("foreign", "foreign\n", 0o666)
	setLabel(t, s.Path("mine"), fileLabel)
	setLabel(t, s.Path("foreign"), otherFile)
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	try := "; echo; cat /mine /foreign 2>&-; true" // /dev/null has the container's label
	if out := execLabelled(s, ownLabel+try); out != processLabel+"\x00\nmine\n" {
		t.Errorf("by default: %q", out)
	}
	if out := execLabelled(s, ownLabel+try, "--process-label", otherProcess); out != otherProcess+"\x00\nforeign\n" {
		t.Errorf("with another label: %q", out)
	}
	s.Davit("exec", "--process-label", "no:such_r:label_t:s0", s.ID, "/bin/true").FailsWith(255, "process.selinuxLabel", "policy")
}

func TestSELinuxUnknownLabel(t *testing.T) {
	for field, edit := range map[string]harness.Edit{
		"process.selinuxLabel": func(s *specs.Spec) { s.Process.SelinuxLabel = "no:such_r:label_t:s0" },
		"mounts[":              func(s *specs.Spec) { s.Linux.MountLabel = "no:such_r:label_t:s0" },
	} {
		s := confined(t, edit)
		s.Run().Fails(field)
		if r := s.Davit("state", s.ID); r.Code == 0 {
			t.Error("a container was left")
		}
	}
}

// The session keyring is the container's: it may use it, and others may not.
func TestSELinuxKeyring(t *testing.T) {
	s := confined(t)
	s.InstallProbe()
	relabel(t, s)
	out := runLabelled(s, "/probe keyring")
	if !strings.Contains(out, "_ses."+s.ID) || !strings.Contains(out, "label "+processLabel+"\n") {
		t.Errorf("the keyring inside: %q", out)
	}
}

func TestSELinuxTerminal(t *testing.T) {
	s := confined(t, harness.Shell("tty; echo $(( 6 * 7 )) >/dev/console; "+ownLabel), func(s *specs.Spec) { s.Process.Terminal = true })
	s.WriteConfig()
	cmd := s.Command("run", "--bundle", s.Bundle, s.ID)
	terminal := cmd.OnTerminal(24, 80)
	cmd.Begin()
	terminal.Expect("/dev/pts/0")
	terminal.Expect("42")
	terminal.Expect(processLabel)
	cmd.End().Succeeds()
}

// A masked directory is an empty one that the container may look into.
func TestSELinuxMasked(t *testing.T) {
	s := confined(t, func(s *specs.Spec) { s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/home", "/etc/passwd") })
	if out := runLabelled(s, "ls -A /home; wc -c </etc/passwd; echo $?"); out != "0\n0\n" {
		t.Errorf("inside: %q", out)
	}
}

func TestSELinuxUnderSystemd(t *testing.T) {
	s := confined(t, someLimits())
	systemd(s, "system.slice")
	if out := runLabelled(s, ownLabel); strings.TrimRight(out, "\x00") != processLabel {
		t.Errorf("the process runs as %q", out)
	}
	unitOf(t, s, "system.slice", "systemctl").gone()
}
