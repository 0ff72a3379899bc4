package process

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// kinds are all hooks in the order of a container's life.
var kinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// list is where a kind of hooks is in the configuration.
func list(h *specs.Hooks, kind string) *[]specs.Hook {
	switch kind {
	case "prestart":
		//lint:ignore SA1019 deprecated, and to be run all the same
		return &h.Prestart
	case "createRuntime":
		return &h.CreateRuntime
	case "createContainer":
		return &h.CreateContainer
	case "startContainer":
		return &h.StartContainer
	case "poststart":
		return &h.Poststart
	case "poststop":
		return &h.Poststop
	}
	panic(kind)
}

// inContainer tells whether a kind's program is a file of the container.
func inContainer(kind string) bool { return kind == "startContainer" }

// script is a hook that runs a shell script, with the path of the sandbox's log in $LOG.
func script(s *harness.Sandbox, kind, text string, args ...string) specs.Hook {
	log := s.Path("log")
	if inContainer(kind) {
		log = "/log"
	}
	return specs.Hook{Path: "/bin/sh", Args: append([]string{"sh", "-c", text}, args...), Env: []string{"PATH=/bin:/usr/bin", "LOG=" + log, "KIND=" + kind}}
}

func add(s *harness.Sandbox, kind string, hooks ...specs.Hook) {
	s.Edit(harness.Hooks(func(h *specs.Hooks) { l := list(h, kind); *l = append(*l, hooks...) }))
}

// entry is what the hook of observe notes.
type entry struct {
	kind, index   string
	mnt, pid, net string // namespaces
	root          string // whether the root is the container's
	exe           string // of the container's process, where it can be seen
	environ       string
	state         specs.State
	raw           string
}

const observe = `state=$(cat); pid=${state#*'"pid":'}; pid=${pid%%[,\}]*}
root=host; [ -e /inside-the-container ] && root=container
exe=$(readlink /proc/$pid/exe || echo none)
echo "$KIND|$1|$(readlink /proc/self/ns/mnt)|$(readlink /proc/self/ns/pid)|$(readlink /proc/self/ns/net)|$root|$exe|$(env | tr '\n' ' ')|$state" >>$LOG`

func entries(t *testing.T, s *harness.Sandbox) []entry {
	t.Helper()
	data, err := os.ReadFile(s.Path("log"))
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	for l := range strings.Lines(string(data)) {
		f := strings.SplitN(strings.TrimSpace(l), "|", 9)
		if len(f) != 9 {
			all = append(all, entry{kind: f[0]})
			continue
		}
		e := entry{kind: f[0], index: f[1], mnt: f[2], pid: f[3], net: f[4], root: f[5], exe: f[6], environ: f[7], raw: f[8]}
		if err := json.Unmarshal([]byte(f[8]), &e.state); err != nil {
			t.Errorf("%s: standard input was %q: %v", e.kind, f[8], err)
		}
		all = append(all, e)
	}
	return all
}

// Each kind at its point, in the order of the list, in its namespaces, with the state as runtime.md has it.
func TestHookOrder(t *testing.T) {
	t.Parallel()
	for name, edits := range map[string][]harness.Edit{
		"usual": nil, "host's PID namespace": {harness.WithoutNamespace(specs.PIDNamespace)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, append(edits, harness.Shell("echo process >>/log; exec sleep 1000"))...)
			s.WriteFile("/inside-the-container", "", 0o644)
			s.WriteFile("/log", "", 0o666)
			s.Spec.Annotations = map[string]string{"org.example": "value"}
			var want []string
			for _, kind := range kinds {
				add(s, kind, script(s, kind, observe, "sh", "first"), script(s, kind, observe, "sh", "second"))
				want = append(want, kind+" first", kind+" second")
			}
			s.WriteConfig()
			c := s.Command("create", "--bundle", s.Bundle, s.ID)
			c.Env = append(os.Environ(), "SECRET=caller")
			c.Do().Succeeds()
			if n := len(entries(t, s)); n != 6 {
				t.Errorf("create ran %d hooks, want 6", n)
			}
			pid := s.PID()
			inner := map[string]string{"mnt": link(t, fmt.Sprintf("/proc/%d/ns/mnt", pid)), "pid": link(t, fmt.Sprintf("/proc/%d/ns/pid", pid)), "net": link(t, fmt.Sprintf("/proc/%d/ns/net", pid))}
			s.Davit("start", s.ID).Succeeds()
			harness.Eventually(t, "the process", func() bool {
				return slices.ContainsFunc(entries(t, s), func(e entry) bool { return e.kind == "process" })
			})
			s.Davit("kill", s.ID, "KILL").Succeeds()
			s.WaitStatus(specs.StateStopped)
			if n := len(entries(t, s)); n != 11 {
				t.Errorf("before delete there are %d entries, want 11", n)
			}
			s.Davit("delete", s.ID).Succeeds()
			outer := map[string]string{"mnt": link(t, "/proc/self/ns/mnt"), "pid": link(t, "/proc/self/ns/pid"), "net": link(t, "/proc/self/ns/net")}
			var got []string
			for i, e := range entries(t, s) {
				if e.kind == "process" {
					if i < 8 {
						t.Errorf("the process was executed before hook %d", i)
					}
					continue
				}
				got = append(got, e.kind+" "+e.index)
				checkEntry(t, s, &e, pid, inner, outer)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the hooks ran as %v, want %v", got, want)
			}
		})
	}
}

func checkEntry(t *testing.T, s *harness.Sandbox, e *entry, pid int, inner, outer map[string]string) {
	t.Helper()
	ns, wantPID, root := outer, pid, "host"
	switch e.kind {
	case "createContainer", "startContainer":
		ns = inner
		if inner["pid"] != outer["pid"] {
			wantPID = 1
		}
	case "poststop":
		wantPID = 0
	}
	if e.kind == "startContainer" {
		root = "container"
	}
	if e.mnt != ns["mnt"] || e.pid != ns["pid"] || e.net != ns["net"] {
		t.Errorf("%s ran in %s %s %s, want %v", e.kind, e.mnt, e.pid, e.net, ns)
	}
	if e.root != root {
		t.Errorf("%s ran with the %s's root", e.kind, e.root)
	}
	status := map[string]specs.ContainerState{"startContainer": specs.StateCreated, "poststart": specs.StateRunning, "poststop": specs.StateStopped}[e.kind]
	if status == "" {
		status = specs.StateCreating
	}
	st := e.state
	if st.Version != s.Spec.Version || st.ID != s.ID || st.Bundle != s.Bundle || st.Annotations["org.example"] != "value" || st.Pid != wantPID || st.Status != status {
		t.Errorf("%s: the state is %s, want status %s and pid %d", e.kind, e.raw, status, wantPID)
	}
	if e.kind == "poststart" && !strings.HasSuffix(e.exe, "/bin/busybox") {
		t.Errorf("when poststart runs the process is %q", e.exe)
	}
	if strings.Contains(e.environ, "SECRET") || !strings.Contains(e.environ, "KIND="+e.kind) {
		t.Errorf("%s: the environment is %q", e.kind, e.environ)
	}
}

// run does the same as create and start.
func TestHookOrderRun(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo process >>/log"))
	s.WriteFile("/log", "", 0o666)
	for _, kind := range kinds {
		add(s, kind, script(s, kind, "echo $KIND >>$LOG"))
	}
	s.Run().Succeeds()
	var got []string
	for _, e := range entries(t, s) {
		if e.kind != "process" { // beside which poststart runs
			got = append(got, e.kind)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		t.Errorf("the hooks ran as %v", got)
	}
}

// The arguments are exec's, without arguments the path is the name, and the environment is the hook's alone.
func TestHookArguments(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args("/bin/true"))
			s.WriteFile("/log", "", 0o666)
			at := s.Path
			if inContainer(kind) {
				at = func(p string) string { return p }
			}
			s.WriteFile("/hook", "#!/bin/sh\nPATH=/bin:/usr/bin\n{ tr '\\0' ' ' </proc/self/cmdline; tr '\\0' ' ' </proc/self/environ; } >>"+at("/log")+"\n", 0o755)
			add(s, kind, specs.Hook{Path: at("/hook")}, specs.Hook{Path: at("/hook"), Args: []string{"zero", "one", ""}, Env: []string{"A=1"}})
			s.Run().Succeeds()
			data, err := os.ReadFile(s.Path("log"))
			if want := "/bin/sh " + at("/hook") + " /bin/sh " + at("/hook") + " one  A=1 "; err != nil || string(data) != want {
				t.Errorf("the hooks saw %q, want %q, %v", data, want, err)
			}
		})
	}
}

// Nothing of davit's or its caller's is open in a hook, and its signals are as by default.
func TestHookInherits(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/true"))
	s.WriteFile("/log", "", 0o666)
	for _, kind := range kinds {
		add(s, kind, script(s, kind, `open=; for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do [ -e /proc/self/fd/$n ] && open="$open $n"; done
			echo "$KIND$open" $(grep -E "^Sig(Blk|Ign)" /proc/self/status) >>$LOG`))
	}
	s.WriteConfig()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	s.Prefix = []string{"/bin/sh", "-c", `trap '' HUP USR1 PIPE; exec "$@"`, "sh"}
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	c.ExtraFiles = []*os.File{null, nil, null}
	c.Do().Succeeds()
	data, err := os.ReadFile(s.Path("log"))
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		ignored, _ := strconv.ParseUint(l[strings.LastIndexByte(l, ' ')+1:], 16, 64)
		// 32 and 33 are the C library's own: who calls the tests may ignore them, and no program can be asked to change that.
		ignored &^= 1<<31 | 1<<32
		rest := l[:strings.LastIndexByte(l, ' ')]
		if want := kinds[i] + " 0 1 2 SigBlk: 0000000000000000 SigIgn:"; rest != want || ignored != 0 {
			t.Errorf("in the hook there is %q, want %q and nothing ignored", l, want)
		}
	}
}

// As CNI does it: a veth pair, one end of which goes to the container's network namespace by its pid.
//
// Not beside others: they would take the device for theirs.
func TestHookMakesNetwork(t *testing.T) {
	ip := harness.NeedTool(t, "ip", "iproute2")
	harness.NeedTool(t, "nsenter", "util-linux")
	device := fmt.Sprintf("%s%d", harness.TestDevice, os.Getpid()%1000000)
	if out, err := command(ip, "link", "add", device, "type", "veth", "peer", "name", device+"p"); strings.Contains(out, "not supported") || strings.Contains(out, "not permitted") || strings.Contains(out, "Unknown device type") {
		t.Skipf("needs veth devices and the right to make them: %s", out)
	} else if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := command(ip, "link", "del", device); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := harness.New(t, harness.Shell("ip -4 addr show eth0; cat /sys/class/net/eth0/operstate; ls /sys/class/net; echo answer | nc -l -p 7077"))
	add(s, "createRuntime", script(s, "createRuntime", fmt.Sprintf(`set -e; state=$(cat); pid=${state#*'"pid":'}; pid=${pid%%%%[,\}]*}
		ip link add %[1]s type veth peer name eth0 netns $pid
		ip addr add 198.18.77.1/30 dev %[1]s; ip link set %[1]s up
		nsenter -t $pid -n ip addr add 198.18.77.2/30 dev eth0; nsenter -t $pid -n ip link set eth0 up`, device)))
	s.Spec.Hooks.CreateRuntime[0].Env[0] = "PATH=/bin:/usr/bin:/sbin:/usr/sbin"
	add(s, "poststop", specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", ip + " link del " + device + " 2>/dev/null || true"}, Env: []string{"PATH=/bin:/usr/bin"}})
	s.WriteConfig()
	c := s.Command("run", "--bundle", s.Bundle, s.ID)
	c.Begin()
	c.Written("lo\n")
	harness.Eventually(t, "the container's answer", func() bool {
		out, err := command("/bin/bash", "-c", "exec 3<>/dev/tcp/198.18.77.2/7077 && head -n1 <&3")
		return err == nil && out == "answer\n"
	})
	r := c.End()
	r.Succeeds()
	if out := r.Stdout(); !strings.Contains(out, "inet 198.18.77.2/30") || !strings.Contains(out, "up\neth0\nlo\n") {
		t.Errorf("the container sees %q", out)
	}
	if _, err := os.Stat(filepath.Join("/sys/class/net", device)); err == nil {
		t.Error("the device is still there")
	}
}
