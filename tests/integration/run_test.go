package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func TestRunExitCode(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	for _, c := range []struct {
		script string
		code   int
	}{
		{"true", 0}, {"exit 7", 7}, {"exit 255", 255}, {"exit 125", 125},
	} {
		if r := s.Run(harness.Shell(c.script)); r.Code != c.code {
			t.Errorf("%q: exit code %d, want %d\n%s", c.script, r.Code, c.code, r.Stderr())
		}
	}
	// A signal that ends it: from outside of its PID namespace, because inside the first process is immune.
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGSEGV} {
		r := s.Run(harness.WithoutNamespace(specs.PIDNamespace), harness.Shell(fmt.Sprintf("kill -%d $$", sig)))
		if want := 128 + int(sig); r.Code != want {
			t.Errorf("%s: exit code %d, want %d", unix.SignalName(sig), r.Code, want)
		}
	}
}

func TestRunForwardsSignals(t *testing.T) {
	t.Parallel()
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT, unix.SIGCONT, unix.SIGALRM} {
		name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Shell(fmt.Sprintf("trap 'echo got %s; exit 9' %s; echo ready; while :; do sleep 0.01; done", name, name)))
			s.WriteConfig()
			c := s.Command("run", "--bundle", s.Bundle, s.ID)
			c.Begin()
			c.Written("ready")
			if err := unix.Kill(c.Process.Pid, sig); err != nil {
				t.Fatal(err)
			}
			r := c.End()
			if r.Code != 9 || r.Stdout() != "ready\ngot "+name+"\n" {
				t.Errorf("exit code %d, output %q, %s", r.Code, r.Stdout(), r.Stderr())
			}
		})
	}
}

func TestRunStandardStreams(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("cat; echo error >&2"))
	s.WriteConfig()
	r := s.Command("run", "--bundle", s.Bundle, s.ID).In("one\ntwo\n").Do()
	r.Succeeds()
	if r.Stdout() != "one\ntwo\n" || r.Stderr() != "error\n" {
		t.Errorf("out %q, err %q", r.Stdout(), r.Stderr())
	}
	// The streams are those of the caller themselves, not copies: a big one passes unharmed.
	big := strings.Repeat("0123456789abcdef", 1<<18)
	s.Edit(harness.Args("/bin/md5sum"))
	s.WriteConfig()
	file := filepath.Join(s.Dir, "big")
	if err := os.WriteFile(file, []byte(big), 0o644); err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(harness.Tool(t, "md5sum", file))[0]
	if got := s.Command("run", "--bundle", s.Bundle, s.ID).In(big).Do(); !strings.HasPrefix(got.Stdout(), want) {
		t.Errorf("4 MiB of input: %q %s", got.Stdout(), got.Stderr())
	}
}

func TestRunDetach(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo ready; exec sleep 100"))
	s.WriteConfig()
	pidFile := filepath.Join(s.Dir, "pid")
	r := s.Davit("run", "--detach", "--pid-file", pidFile, "--bundle", s.Bundle, s.ID)
	r.Succeeds()
	st := s.State()
	pid, err := os.ReadFile(pidFile)
	if st.Status != specs.StateRunning || err != nil || string(pid) != fmt.Sprint(st.Pid) {
		t.Errorf("status %s, pid %d, pid file %q %v", st.Status, st.Pid, pid, err)
	}
	harness.Eventually(t, "output", func() bool { return r.Stdout() == "ready\n" })
	s.Delete()
	// The container is removed by its user only, also after its end.
	s.Edit(harness.Args("/bin/true"))
	s.WriteConfig()
	s.Davit("run", "-d", "--bundle", s.Bundle, s.ID).Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
}

func TestRunKeep(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("exit 4"))
	s.WriteConfig()
	s.Davit("run", "--keep", "--bundle", s.Bundle, s.ID).FailsWith(4)
	if st := s.State(); st.Status != specs.StateStopped {
		t.Errorf("the status is %s", st.Status)
	}
	s.Davit("run", "--bundle", s.Bundle, s.ID).Fails("container with given ID already exists")
	s.Davit("delete", s.ID).Succeeds()
}

// A container that is run in the foreground can be deleted by somebody else.
func TestRunDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo ready; exec sleep 100"))
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	c.Begin()
	c.Written("ready")
	s.Delete()
	if r := c.End(); r.Code != 137 {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr())
	}
}

func TestRunPreserveFDs(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("read a <&3; read b <&4; echo $a $b; exec sleep 100"))
	s.WriteConfig()
	var files []*os.File
	for _, text := range []string{"three", "four", "five"} {
		path := filepath.Join(s.Dir, text)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	c := s.Command("run", "--preserve-fds", "2", "--bundle", s.Bundle, s.ID)
	c.ExtraFiles = files
	c.Begin()
	c.Written("three four\n")
	if got := openDescriptors(t, s.PID()); got != "0 1 2 3 4" {
		t.Errorf("open descriptors are %s", got)
	}
	s.Delete()
	c.End()
	// What davit has open itself must not pass for the caller's.
	s.Davit("run", "--preserve-fds", "2", "--bundle", s.Bundle, s.ID).Fails("unable to stat preserved-fd 3")
}

// openDescriptors lists those of a process, as the host sees them.
func openDescriptors(t *testing.T, pid int) string {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// Nothing that davit or its caller has open is open in the container (CVE-2016-9962, CVE-2024-21626).
func TestNoDescriptorLeaks(t *testing.T) {
	t.Parallel()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, edit := range map[string]harness.Edit{
		"plain":          func(*specs.Spec) {},
		"user namespace": harness.UserNamespace(100000, 65536),
		"no namespaces":  func(s *specs.Spec) { harness.WithoutNamespace(specs.PIDNamespace)(s) },
		"seccomp": seccompEdit(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
			Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActErrno}}}),
		"hooks": harness.Hooks(func(h *specs.Hooks) {
			h.CreateRuntime = []specs.Hook{{Path: "/bin/true"}}
			h.CreateContainer = []specs.Hook{{Path: "/bin/true"}}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, edit, harness.Shell("echo ready; exec sleep 100"))
			if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
				t.Fatal(err)
			}
			s.WriteConfig()
			c := s.Command("run", "--bundle", s.Bundle, s.ID)
			c.ExtraFiles = []*os.File{null, nil, null, null, null, null, null, null}
			c.Begin()
			c.Written("ready")
			if got := openDescriptors(t, s.PID()); got != "0 1 2" {
				t.Errorf("run: open descriptors are %s", got)
			}
			s.Delete()
			c.End()
			created := s.Create()
			created.Succeeds()
			s.Davit("start", s.ID).Succeeds()
			harness.Eventually(t, "the process to run", func() bool { return created.Stdout() == "ready\n" })
			if got := openDescriptors(t, s.PID()); got != "0 1 2" {
				t.Errorf("create and start: open descriptors are %s", got)
			}
			s.Delete()
		})
	}
}

// The first process is PID 1, and its orphans come to it.
func TestPIDNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	if out := s.Sh("echo $$; ps -o pid | wc -l"); !strings.HasPrefix(out, "1\n") {
		t.Errorf("the process is %q", out)
	}
}

func TestRunManyInARow(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.WriteConfig()
	for range 25 {
		s.Davit("run", "--bundle", s.Bundle, s.ID).Succeeds()
	}
}
