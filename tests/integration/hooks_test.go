package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// sh is a hook that runs a script.
func sh(script string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}
}

// hookKinds sets the hooks of each kind, by their names in the configuration.
func hookKinds(h *specs.Hooks) map[string]*[]specs.Hook {
	return map[string]*[]specs.Hook{
		"prestart": &h.Prestart, "createRuntime": &h.CreateRuntime, "createContainer": &h.CreateContainer, //nolint:staticcheck // prestart is deprecated but has to be run.
		"startContainer": &h.StartContainer, "poststart": &h.Poststart, "poststop": &h.Poststop,
	}
}

// inside tells whether hooks of a kind run in the container's namespaces.
func inside(kind string) bool { return kind == "createContainer" || kind == "startContainer" }

// All kinds, two hooks of each: order, standard input, the pid that it names, the namespaces they run in.
func TestHooks(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	log := filepath.Join(s.Dir, "hooks")
	for _, d := range []string{log, s.Path("log")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.Edit(harness.Mount(specs.Mount{Destination: "/log", Source: log, Options: []string{"bind"}}),
		harness.Shell("echo process >>/log/order; exec sleep 100"))
	s.Edit(harness.Hooks(func(h *specs.Hooks) {
		for kind, list := range hookKinds(h) {
			dir := log
			if kind == "startContainer" {
				dir = "/log"
			}
			for i := range 2 {
				*list = append(*list, sh(fmt.Sprintf("cat >%s/%s%d; echo %s%d >>%s/order; for n in mnt uts; do readlink /proc/self/ns/$n; done >%s/%s%d.ns", dir, kind, i, kind, i, dir, dir, kind, i)))
			}
		}
	}))
	s.Create().Succeeds()
	if got := order(t, log); got != "prestart0 prestart1 createRuntime0 createRuntime1 createContainer0 createContainer1" {
		t.Errorf("create ran %s", got)
	}
	pid := s.PID()
	mnt, uts := namespaceOf(t, pid, "mnt"), namespaceOf(t, pid, "uts")
	s.Davit("start", s.ID).Succeeds()
	harness.Eventually(t, "the process to run", func() bool { return strings.Contains(order(t, log), "process") })
	got := order(t, log)
	if !strings.HasSuffix(got, "startContainer0 startContainer1 process poststart0 poststart1") && !strings.HasSuffix(got, "startContainer0 startContainer1 poststart0 process poststart1") &&
		!strings.HasSuffix(got, "startContainer0 startContainer1 poststart0 poststart1 process") {
		t.Errorf("start ran %s", got)
	}
	s.Davit("kill", s.ID, "KILL").Succeeds()
	s.WaitStatus(specs.StateStopped)
	s.Davit("delete", s.ID).Succeeds()
	if got := order(t, log); !strings.HasSuffix(got, "poststop0 poststop1") {
		t.Errorf("delete ran %s", got)
	}

	status := map[string]specs.ContainerState{"prestart": "creating", "createRuntime": "creating", "createContainer": "creating",
		"startContainer": "created", "poststart": "running", "poststop": "stopped"}
	for kind, want := range status {
		for i := range 2 {
			name := fmt.Sprint(kind, i)
			var st specs.State
			if err := json.Unmarshal([]byte(readFile(t, filepath.Join(log, name))), &st); err != nil {
				t.Errorf("%s: standard input was no state: %v", name, err)
				continue
			}
			wantPID := pid
			switch {
			case inside(kind):
				wantPID = 1
			case kind == "poststop":
				wantPID = 0
			}
			if st.ID != s.ID || st.Status != want || st.Pid != wantPID || st.Bundle != s.Bundle || st.Version == "" {
				t.Errorf("%s was told %+v; want status %s, pid %d", name, st, want, wantPID)
			}
			ns := strings.Fields(readFile(t, filepath.Join(log, name+".ns")))
			if inContainer := ns[0] == mnt && ns[1] == uts; inContainer != inside(kind) {
				t.Errorf("%s ran in %v, the container is %s %s", name, ns, mnt, uts)
			}
		}
	}
}

func order(t *testing.T, log string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(log, "order"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(data)), " ")
}

// A failing hook stops what goes on; only after poststop's it goes on (runtime.md, Lifecycle).
func TestHooksFail(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/sleep", "100"))
			stopped := filepath.Join(s.Dir, "stopped")
			s.Edit(harness.Hooks(func(h *specs.Hooks) {
				*hookKinds(h)[kind] = []specs.Hook{sh("echo the reason >&2; exit 3"), sh("echo >" + s.Dir + "/second")}
				h.Poststop = append(h.Poststop, sh("echo >"+stopped))
			}))
			created := s.Create()
			want := []string{kind, "the reason", "exit status 3"}
			switch kind {
			case "prestart", "createRuntime", "createContainer":
				created.Fails(want...)
				s.Davit("state", s.ID).Fails("container does not exist")
			case "startContainer", "poststart":
				created.Succeeds()
				s.Davit("start", s.ID).Fails(want...)
				s.Davit("state", s.ID).Fails("container does not exist")
				s.Davit("run", "--bundle", s.Bundle, s.ID).Fails(want...)
			case "poststop":
				created.Succeeds()
				r := s.Davit("delete", "--force", s.ID)
				r.FailsWith(0, append(want, "level=warning")...)
			}
			if _, err := os.Stat(stopped); err != nil {
				t.Errorf("the poststop hook did not run: %v", err)
			}
			if _, err := os.Stat(s.Dir + "/second"); (err == nil) != (kind == "poststop") {
				t.Errorf("the hook after the failing one: %v", err)
			}
		})
	}
}

// What a hook changes in the container's namespaces before the start is there when the process runs.
func TestHooksConfigure(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("ls /sys/class/net; cat /made; hostname"))
	s.Edit(harness.Hooks(func(h *specs.Hooks) {
		h.CreateRuntime = []specs.Hook{sh(`pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/'); nsenter -t $pid -n ip link add eth9 type veth peer name eth8`)}
		// The rootfs is in place and not yet the root: by its path on the host.
		h.CreateContainer = []specs.Hook{sh("echo by a hook >" + s.Rootfs + "/made; hostname renamed")}
	}))
	if got := s.Output(); got != "eth8\neth9\nlo\nby a hook\nrenamed\n" {
		t.Errorf("got %q", got)
	}
}

func TestHookTimeout(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	hook := sh("sleep 50 & sleep 50")
	hook.Timeout = harness.Pointer(1)
	s.Edit(harness.Hooks(func(h *specs.Hooks) { h.CreateRuntime = []specs.Hook{hook} }))
	began := time.Now()
	s.Run().Fails("createRuntime", "timeout of 1 s")
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("a timeout of one second took %s", d)
	}
}

func TestHookMissing(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Edit(harness.Hooks(func(h *specs.Hooks) { h.CreateRuntime = []specs.Hook{{Path: "/no/such/hook"}} }))
	s.Run().Fails("createRuntime", "/no/such/hook", "no such file")
	s.Edit(harness.Hooks(func(h *specs.Hooks) { h.CreateRuntime = nil; h.StartContainer = []specs.Hook{{Path: "/no/such/hook"}} }))
	s.Run().Fails("startContainer", "/no/such/hook", "no such file")
}
