package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// A container that isn't running has nothing that could be moved.
func TestRefusesStates(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Davit("checkpoint", s.ID).Fails("davit checkpoint failed: container does not exist")
	s.Create().Succeeds()
	s.Davit("checkpoint", s.ID).Fails("container cannot be checkpointed in created state")
	s.Davit("restore", "--bundle", s.Bundle, "--detach", s.ID).Fails("davit restore failed: ")
	s.Davit("start", s.ID).Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("checkpoint", s.ID).Fails("container cannot be checkpointed in stopped state")
	s.Delete()
}

func TestWithoutCRIU(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	for _, path := range []string{"PATH=/nonexistent", "PATH=bin:."} {
		c := s.Command("checkpoint", s.ID)
		c.Env = append(os.Environ(), path)
		c.Do().Fails("there is no criu in PATH: install the package criu")
		c = s.Command("restore", "--bundle", s.Bundle, s.ID+"2")
		c.Env = append(os.Environ(), path)
		c.Do().Fails("there is no criu in PATH")
	}
	s.WaitStatus(specs.StateRunning)
	s.Delete()
}

func TestRootless(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "unshare", "util-linux")
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	s.Prefix = []string{"unshare", "--user", "--map-root-user"}
	s.Davit("checkpoint", "--image-path", filepath.Join(s.Dir, "i"), s.ID).Fails("checkpoint and restore need root on the host", "rootless")
	s.Prefix = nil
	s.Delete()
}

func TestRefusesOptions(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "criu", "criu")
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
	images := filepath.Join(s.Dir, "images")
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--manage-cgroups-mode", "hard"}, `--manage-cgroups-mode: "hard" is none`},
		{[]string{"--empty-ns", "ipc"}, `--empty-ns: namespace "ipc" is not supported`},
		{[]string{"--page-server", "localhost"}, "--page-server: use ADDRESS:PORT"},
		{[]string{"--page-server", "localhost:0"}, `"0" is no port`},
		{[]string{"--lazy-pages"}, "--lazy-pages needs --page-server"},
		{[]string{"--lazy-pages", "--pre-dump"}, "contradict each other"},
		{[]string{"--status-fd", "5"}, "--status-fd"},
		{[]string{"--lazy-pages", "--page-server", "localhost:1", "--status-fd", "77"}, "descriptor 77 is not open for writing"},
		{[]string{"--work-path", "/proc/none"}, "--work-path"},
		{[]string{"--network-lock", "skip"}, `unknown flag "--network-lock"`},
	} {
		s.Davit(append(append([]string{"checkpoint", "--image-path", images}, c.flags...), s.ID)...).Fails(c.want)
	}
	s.WaitStatus(specs.StateRunning)
	s.Delete()
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "criu", "criu")
	s := harness.New(t)
	s.WriteConfig()
	restore := func(flags ...string) *harness.Result {
		return s.Davit(append(append([]string{"restore", "--bundle", s.Bundle, "--detach"}, flags...), s.ID)...)
	}
	empty := filepath.Join(s.Dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	restore("--image-path", filepath.Join(s.Dir, "none")).Fails("--image-path", "no such file")
	restore("--image-path", empty).Fails("there is no checkpoint in", "inventory.img")
	restore("--image-path", empty, "--console-socket", "/none").Fails("cannot use console socket")
	// containerd writes it with one dash.
	restore("--image-path", empty, "-no-subreaper").Fails("there is no checkpoint in")

	s.Edit(func(spec *specs.Spec) { spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth9": {}} })
	s.WriteConfig()
	restore("--image-path", empty).Fails("linux.netDevices")
	s.Edit(func(spec *specs.Spec) { spec.Linux.NetDevices = nil }, harness.WithoutMounts(), harness.WithoutNamespace(specs.MountNamespace))
	s.WriteConfig()
	restore("--image-path", empty).Fails("a container without a mount namespace of its own can't be moved")
}

// Confinement that CRIU would lose without a word is a reason to refuse.
func TestUnmovable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		edit       harness.Edit
	}{
		{"idmapped", "mounts[7] (/mapped)", harness.Mount(specs.Mount{Destination: "/mapped", Type: "tmpfs", Source: "tmpfs", Options: []string{"idmap"},
			UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}, GIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}})},
		{"memory policy", "linux.memoryPolicy", func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolLocal} }},
		{"landlock", `annotations["run.davit.landlock"]`, func(s *specs.Spec) { s.Annotations = map[string]string{"run.davit.landlock": "{}"} }},
		{"seccomp agent", "linux.seccomp", func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/none",
				Syscalls: []specs.LinuxSyscall{{Names: []string{"mknod"}, Action: specs.ActNotify}}}
		}},
		{"host's mounts", "without a mount namespace of its own", func(s *specs.Spec) {
			harness.WithoutMounts()(s)
			harness.WithoutNamespace(specs.MountNamespace)(s)
		}},
	} {
		s := harness.New(t, c.edit)
		s.WriteConfig()
		s.Davit("restore", "--bundle", s.Bundle, "--detach", s.ID).Fails(c.want, "can't be moved")
	}
}

// A CRIU that fails is quoted, and what it was to dump runs on. This one is made to fail, on any kernel.
func TestQuotesCRIU(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "criu", "criu")
	c := newCounting(t)
	c.Edit(func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.criu.config": filepath.Join(c.Dir, "conf")}
	})
	if err := os.WriteFile(filepath.Join(c.Dir, "conf"), []byte("no-such-option\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.start()
	c.checkpoint("--work-path", filepath.Join(c.Dir, "work")).Fails("davit checkpoint failed: ", "no-such-option")
	c.counts()
	if st := c.State().Status; st != specs.StateRunning {
		t.Errorf("after a failed checkpoint it is %s", st)
	}
}
