package kubelet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"davit/tests/engines/lab"
)

// Units are those of a node whose cgroup driver is systemd: of a double of it, which makes real
// cgroups (cgroups/systemd/systemdtest), for there is no systemd in a cell.
type Units struct {
	journal string // what it was asked for
}

// StartUnits has a double of systemd serve in the cell from now on. It skips the test where none has been built.
func StartUnits(t *testing.T, c *lab.Cell) *Units {
	program := filepath.Join(os.Getenv("DAVIT_ENGINES_BUILT"), "systemd-double")
	if _, err := os.Stat(program); err != nil {
		t.Skip("systemd's double isn't there: make engines-test builds it")
	}
	u := &Units{c.Path("units.jsonl")}
	ready := func() bool { return c.Run("test", "-S", "/run/systemd/private").Code == 0 }
	c.Daemon("systemd-double", nil, ready, program, "-group", "/"+c.Mark, "-journal", u.journal)
	return u
}

// request is a line of the double's journal.
type request struct {
	Method, Unit, Error string
	Properties          map[string]any
}

// asked returns what the manager was asked for with a unit, by this method.
func (k kubelet) asked(method, unit string) []request {
	text, err := os.ReadFile(k.node.Systemd.journal)
	if err != nil {
		k.Fatalf("%v", err)
	}
	var list []request
	for line := range bytes.Lines(text) {
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			k.Fatalf("the double's journal: %s: %v", line, err)
		}
		if r.Method == method && r.Unit == unit {
			list = append(list, r)
		}
	}
	return list
}

// properties are those of the first request that has them.
func (k kubelet) properties(method, unit string) map[string]any {
	for _, r := range k.asked(method, unit) {
		if r.Error != "" {
			k.Fatalf("%s of %s was refused: %s", method, unit, r.Error)
		}
		if len(r.Properties) > 0 {
			return r.Properties
		}
	}
	k.Fatalf("systemd wasn't asked for %s of %s", method, unit)
	return nil
}

// either is the value of a property that has another name with version 1 of cgroups.
func either(properties map[string]any, v2, v1 string) any {
	if v, ok := properties[v2]; ok {
		return v
	}
	return properties[v1]
}

// slice is that of a pod, as a kubelet names it.
func (k kubelet) slice() string { return "davitpods-" + k.ID + ".slice" }

// scope is the unit of a container.
func (c container) scope() string { return c.node.Scope + "-" + c.id + ".scope" }

// RemoveSlices removes the slices of pods that an engine, or runc, made where those of a real
// systemd would be, not below the cgroup of its double.
func RemoveSlices(c *lab.Cell) {
	c.Run("sh", "-c", "find /sys/fs/cgroup -depth -type d -path '*/davitpods.slice*' -not -path '*"+c.Mark+"*' -exec rmdir {} +")
}

// unitScenarios are those of a node whose cgroup driver is systemd.
var unitScenarios = []scenario{
	{Name: "a container is a scope in the pod's slice", Run: func(k kubelet) {
		k.Needs("memory")
		c := k.pod().start(func(c *cri.ContainerConfig) {
			c.Linux.Resources = &cri.LinuxContainerResources{CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 512, MemoryLimitInBytes: 32 << 20}
		}, "sleep", "1000")
		has := k.properties("StartTransientUnit", c.scope())
		k.Equal("Slice", has["Slice"], k.slice())
		k.Equal("Delegate", has["Delegate"], true)
		k.Equal("the memory limit", fmt.Sprintf("%.0f", either(has, "MemoryMax", "MemoryLimit")), 32<<20)
		k.Equal("the quota in microseconds a second", has["CPUQuotaPerSecUSec"], 500000)
		k.Contains("cgroups", k.Must("cat", "/proc/"+c.pid()+"/cgroup"), "/davitpods.slice/"+k.slice()+"/"+c.scope())
		k.Equal("memory in the kernel", k.Limit(c.pid(), lab.MemoryLimit), 32<<20)
		called := false
		for _, call := range k.Calls() {
			called = called || strings.HasPrefix(call, "davit ") && strings.Contains(call, "--systemd-cgroup") && strings.HasSuffix(call, c.id)
		}
		k.Equal("davit was called with --systemd-cgroup", called, true)
	}},
	{Name: "systemd is told of new limits", Run: func(k kubelet) {
		k.Needs("memory")
		c := k.pod().start(func(c *cri.ContainerConfig) {
			c.Linux.Resources = &cri.LinuxContainerResources{MemoryLimitInBytes: 32 << 20}
		}, "sleep", "1000")
		must(k.UpdateContainerResources(k.ctx, &cri.UpdateContainerResourcesRequest{ContainerId: c.id, Linux: &cri.LinuxContainerResources{
			CpuPeriod: 100000, CpuQuota: 20000, MemoryLimitInBytes: 64 << 20,
		}}))(k)
		has := k.properties("SetUnitProperties", c.scope())
		k.Equal("the memory limit", fmt.Sprintf("%.0f", either(has, "MemoryMax", "MemoryLimit")), 64<<20)
		k.Equal("the quota in microseconds a second", has["CPUQuotaPerSecUSec"], 200000)
		k.Equal("memory in the kernel", k.Limit(c.pid(), lab.MemoryLimit), 64<<20)
		k.Equal("quota in the kernel", k.Limit(c.pid(), lab.CPUQuota), 20000)
	}},
	{Name: "a removed container has no scope", Run: func(k kubelet) {
		p := k.pod()
		c := p.start(nil, "sleep", "1000")
		groups := k.Must("cat", "/proc/"+c.pid()+"/cgroup")
		k.Contains("cgroups", groups, c.scope())
		must(k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: c.id}))(k)
		must(k.RemoveContainer(k.ctx, &cri.RemoveContainerRequest{ContainerId: c.id}))(k)
		k.Equal("cgroups of the scope", k.Must("find", "/sys/fs/cgroup", "-maxdepth", "6", "-name", c.scope()), "")
		if len(k.asked("StopUnit", c.scope())) == 0 {
			k.Fatalf("systemd wasn't asked to stop %s", c.scope())
		}
	}},
}
