package integration

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/libcontainer"
	"davit/libcontainer/intelrdt/rdttest"
	"davit/nsenter"
	"davit/tests/harness"
)

// withResctrl is a runtime in this process, as a program that imports davit has
// one, on a host with resctrl: few machines of tests have it.
func withResctrl(t *testing.T, s *harness.Sandbox, tree *rdttest.Tree) *libcontainer.Runtime {
	t.Helper()
	if nsenter.StageSize() == 0 {
		t.Skip("the tests are built without the stage (make builds it)")
	}
	rt, err := libcontainer.New(libcontainer.Options{Root: s.Root, Resctrl: tree, Log: slog.New(slog.NewTextHandler(testLog{t}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.WriteConfig()
	return rt
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func create(s *harness.Sandbox) *libcontainer.CreateOptions {
	return &libcontainer.CreateOptions{Bundle: s.Bundle}
}

func TestIntelRdtLife(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cfg     specs.LinuxIntelRdt
		class   string // with ID for the container's
		monitor string
		left    []string
	}{
		{"own", specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", EnableMonitoring: true}, "ID", "ID/mon_groups/ID", nil},
		{"named", specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"MB:0=20"}, EnableMonitoring: true}, "gold", "gold/mon_groups/ID", []string{"gold"}},
		{"default", specs.LinuxIntelRdt{ClosID: "/"}, ".", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := harness.New(t, harness.Args("/bin/sleep", "100"), func(c *specs.Spec) { c.Linux.IntelRdt = &tt.cfg })
			tree := rdttest.New(4)
			rt := withResctrl(t, s, tree)
			named := func(dir string) string { return strings.ReplaceAll(dir, "ID", s.ID) }
			if err := rt.Create(s.ID, create(s)); err != nil {
				t.Fatal(err)
			}
			in := func(pid int) {
				t.Helper()
				if !slices.Contains(tree.Tasks(named(tt.class)), pid) || tt.monitor != "" && !slices.Contains(tree.Tasks(named(tt.monitor)), pid) {
					t.Errorf("process %d isn't in %s, %s: %q", pid, named(tt.class), named(tt.monitor), tree.Log)
				}
			}
			in(s.PID())
			if err := rt.Start(s.ID, ""); err != nil {
				t.Fatal(err)
			}
			pidfile := s.Dir + "/exec.pid"
			_, err := rt.Exec(s.ID, &libcontainer.ExecOptions{Detach: true, ProcessOptions: libcontainer.ProcessOptions{PIDFile: pidfile},
				Process: func(spec *specs.Spec) (*specs.Process, error) { return spec.Process, nil }})
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			for _, c := range readFile(t, pidfile) {
				pid = pid*10 + int(c-'0')
			}
			in(pid)
			// Both are this process's children; a PID namespace ends when its processes are reaped.
			go func() { _, _ = unix.Wait4(pid, nil, 0, nil) }()
			updated := rt.Update(s.ID, &specs.LinuxResources{}, &specs.LinuxIntelRdt{L3CacheSchema: "L3:1=1"})
			stats, err := rt.Stats(s.ID)
			if err != nil {
				t.Fatal(err)
			}
			if tt.class == "." && updated == nil || tt.class != "." && (updated != nil || !strings.HasSuffix(stats.IntelRdt.L3CacheSchema, ";1=1")) {
				t.Errorf("update: %v, statistics: %+v", updated, stats.IntelRdt)
			}
			if err := rt.Delete(s.ID, true); err != nil {
				t.Fatal(err)
			}
			if got := tree.Groups(); !slices.Equal(got, tt.left) {
				t.Errorf("left: %v, want %v", got, tt.left)
			}
		})
	}
}

// `run` removes the container by itself.
func TestIntelRdtRun(t *testing.T) {
	s := harness.New(t, func(c *specs.Spec) { c.Linux.IntelRdt = &specs.LinuxIntelRdt{EnableMonitoring: true} })
	tree := rdttest.New(4)
	rt := withResctrl(t, s, tree)
	if code, err := rt.Run(s.ID, &libcontainer.RunOptions{CreateOptions: *create(s)}); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	if len(tree.Groups()) != 0 || len(tree.Log) != 6 {
		t.Errorf("%v, %q", tree.Groups(), tree.Log)
	}
}

// A creation that fails, before or after, leaves resctrl as it was.
func TestIntelRdtUndone(t *testing.T) {
	for name, edit := range map[string]harness.Edit{
		"share": func(c *specs.Spec) {
			c.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "new", Schemata: []string{"L3:0=f", "L9:0=1"}}
		},
		"hook":    harness.Hooks(func(h *specs.Hooks) { h.CreateRuntime = []specs.Hook{{Path: "/bin/false"}} }),
		"command": harness.Args("/nowhere"),
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.New(t, func(c *specs.Spec) {
				c.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "new", Schemata: []string{"L3:0=f"}, EnableMonitoring: true}
			}, edit)
			tree := rdttest.New(4)
			if err := withResctrl(t, s, tree).Create(s.ID, create(s)); err == nil {
				t.Error("created")
			}
			if len(tree.Groups()) != 0 {
				t.Errorf("left: %v", tree.Groups())
			}
		})
	}
}

// A davit killed before the container was recorded: the configuration's copy says what to look for.
func TestIntelRdtUnrecorded(t *testing.T) {
	s := harness.New(t, func(c *specs.Spec) { c.Linux.IntelRdt = &specs.LinuxIntelRdt{EnableMonitoring: true} })
	tree := rdttest.New(4)
	s.WriteConfig()
	for _, dir := range []string{s.ID, s.ID + "/mon_groups/" + s.ID, "other"} {
		if err := tree.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(s.Root+"/"+s.ID, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.Root, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.Root+"/"+s.ID+"/config.json", readFile(t, s.Bundle+"/config.json"))
	if err := withResctrl(t, s, tree).Delete(s.ID, true); err != nil {
		t.Fatal(err)
	}
	if got := tree.Groups(); !slices.Equal(got, []string{"other"}) {
		t.Errorf("left: %v", got)
	}
}

// Without resctrl linux.intelRdt is an error, and nobody else looks for it.
func TestIntelRdtWithoutResctrl(t *testing.T) {
	t.Parallel()
	if strings.Contains(readFile(t, "/proc/self/mountinfo"), " - resctrl ") {
		t.Skip("this host has resctrl mounted")
	}
	s := harness.New(t)
	strace := harness.NeedTool(t, "strace", "strace")
	s.Prefix = []string{strace, "-f", "-o", s.Dir + "/trace", "-e", "trace=openat,open,openat2,mkdirat"}
	s.Run().Succeeds()
	s.Davit("delete", "--force", s.ID).Succeeds()
	if trace := readFile(t, s.Dir+"/trace"); strings.Contains(trace, "resctrl") {
		t.Error("resctrl was looked for by a container that has nothing to do with it")
	}
	s.Prefix = nil
	s.Edit(func(c *specs.Spec) { c.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "/"} })
	s.Create().Fails("linux.intelRdt", "no resctrl filesystem is mounted", "mount -t resctrl")
}
