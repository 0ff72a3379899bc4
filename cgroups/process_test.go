package cgroups

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestParseProcCgroup(t *testing.T) {
	got := parseProcCgroup("12:cpu,cpuacct:/a\n4:memory:/a/b\n3:perf_event:/\n2:pids:/../x\n1:name=systemd:/s\n0::/u\n", onV1)
	want := map[string]string{
		"cpu": "/sys/fs/cgroup/cpu,cpuacct/a", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/a",
		"memory": "/sys/fs/cgroup/memory/a/b", "name=systemd": "/sys/fs/cgroup/systemd/s",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	got = parseProcCgroup("0::/\n", onV2)
	if !maps.Equal(got, map[string]string{"": "/sys/fs/cgroup"}) {
		t.Errorf("got %v", got)
	}
}

// In a container without a cgroup namespace the mounts show a part of each hierarchy, by the paths of the host.
func TestParseProcCgroupBelowRoot(t *testing.T) {
	inside := &Layout{Mode: Hybrid, Unified: "/cg/unified", UnifiedRoot: "/docker/x",
		V1: []Hierarchy{{Mountpoint: "/cg/memory", Root: "/docker/x", Controllers: []string{"memory"}}, {Mountpoint: "/cg/pids", Root: "/docker/x", Controllers: []string{"pids"}}}}
	got := parseProcCgroup("4:memory:/docker/x\n3:pids:/docker/xy\n0::/docker/x/a\n", inside)
	if want := map[string]string{"memory": "/cg/memory", "": "/cg/unified/a"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCallerPaths(t *testing.T) {
	paths, err := CallerPaths(detect(t))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%v, %v", paths, err)
	}
	for key, dir := range paths {
		procs, err := readAt(unix.AT_FDCWD, dir+"/cgroup.procs")
		if err != nil || !slices.Contains(strings.Fields(procs), strconv.Itoa(os.Getpid())) {
			t.Errorf("%q: this process isn't in %s: %v", key, dir, err)
		}
	}
}

func TestPathsOf(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	p := sleeper(t)
	if err := m.Attach(p.Process.Pid); err != nil {
		t.Fatal(err)
	}
	got, err := PathsOf(detect(t), p.Process.Pid)
	if err != nil || !maps.Equal(got, m.Paths()) {
		t.Errorf("%v, %v; want %v", got, err, m.Paths())
	}
}

func TestOwner(t *testing.T) {
	const delegated = `{"process":{"user":{"uid":7}},"mounts":[{"destination":"/sys/fs/cgroup","source":"cgroup","options":["rw"]}],"linux":{"namespaces":[{"type":"cgroup"}]}}`
	for _, c := range []struct {
		name, spec string
		want       int
	}{
		{"delegated", delegated, 7},
		{"read-only", `{"process":{"user":{"uid":7}},"mounts":[{"destination":"/sys/fs/cgroup","source":"cgroup","options":["ro"]}],"linux":{"namespaces":[{"type":"cgroup"}]}}`, -1},
		{"no mount", `{"process":{"user":{"uid":7}},"linux":{"namespaces":[{"type":"cgroup"}]}}`, -1},
		{"host's namespace", `{"process":{"user":{"uid":7}},"mounts":[{"destination":"/sys/fs/cgroup","source":"cgroup"}],"linux":{}}`, -1},
		{"another's namespace", `{"process":{"user":{"uid":7}},"mounts":[{"destination":"/sys/fs/cgroup","source":"cgroup"}],"linux":{"namespaces":[{"type":"cgroup","path":"/x"}]}}`, -1},
		{"mapped", `{"process":{"user":{"uid":7}},"mounts":[{"destination":"/sys/fs/cgroup","source":"cgroup"}],"linux":{"namespaces":[{"type":"cgroup"},{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":500,"size":1},{"containerID":1,"hostID":1000,"size":10}]}}`, 1006},
		{"not mapped", `{"process":{"user":{"uid":7}},"mounts":[{"destination":"/sys/fs/cgroup","source":"cgroup"}],"linux":{"namespaces":[{"type":"cgroup"},{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":500,"size":7}]}}`, -1},
		{"nothing", `{}`, -1},
	} {
		var spec specs.Spec
		if err := json.Unmarshal([]byte(c.spec), &spec); err != nil {
			t.Fatal(err)
		}
		got := -1
		if uid := Owner(&spec); uid != nil {
			got = int(*uid)
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// FuzzBatch: no resources make the translation panic, and no value breaks out of its file.
func FuzzBatch(f *testing.F) {
	for _, g := range goldens {
		f.Add([]byte(g.res))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var res specs.LinuxResources
		if json.Unmarshal(data, &res) != nil {
			return
		}
		for _, layout := range []*Layout{onV1, onV2, onHybrid, onNothing} {
			writes, _, err := Batch(&res, layout, "1.3.0")
			if err != nil && err.Error() == "" {
				t.Error("an error without words")
			}
			for _, w := range writes {
				for _, c := range w.File {
					if c == '/' || c == 0 {
						t.Errorf("file %q", w.File)
					}
				}
			}
		}
	})
}
