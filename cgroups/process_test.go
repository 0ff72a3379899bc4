package cgroups

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
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
