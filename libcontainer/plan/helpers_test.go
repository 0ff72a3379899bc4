package plan

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/cgroups"
	"davit/libcontainer/bundle"
	"davit/nsenter"
)

const corpus = "../bundle/testdata/corpus"

// rootFacts are those of a privileged caller on a host with the unified
// hierarchy, who may grant every capability.
func rootFacts() Facts {
	return Facts{
		Capabilities: 1<<41 - 1,
		LastCap:      40,
		Cgroups:      &cgroups.Layout{Mode: cgroups.V2, Unified: "/sys/fs/cgroup"},
		CgroupPaths:  map[string]string{"": "/sys/fs/cgroup/box"},
		IntoCgroup:   true,
		RootfsMount:  "/var",
	}
}

func hybridFacts() Facts {
	f := rootFacts()
	f.IntoCgroup = false
	f.Cgroups = &cgroups.Layout{Mode: cgroups.Hybrid, Unified: "/sys/fs/cgroup/unified", V1: []cgroups.Hierarchy{
		{Mountpoint: "/sys/fs/cgroup/cpu,cpuacct", Controllers: []string{"cpu", "cpuacct"}},
		{Mountpoint: "/sys/fs/cgroup/memory", Controllers: []string{"memory"}},
		{Mountpoint: "/sys/fs/cgroup/systemd", Name: "systemd"},
	}}
	f.CgroupPaths = map[string]string{
		"cpu": "/sys/fs/cgroup/cpu,cpuacct/box", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/box", "memory": "/sys/fs/cgroup/memory/box",
		"name=systemd": "/sys/fs/cgroup/systemd/box", "": "/sys/fs/cgroup/unified/box",
	}
	return f
}

func v1Facts() Facts {
	f := hybridFacts()
	f.Cgroups.Mode, f.Cgroups.Unified = cgroups.V1, ""
	delete(f.CgroupPaths, "")
	return f
}

// withoutCgroup changes facts into those of a container that has to make do with its caller's cgroups.
func withoutCgroup(facts func() Facts) func() Facts {
	return func() Facts {
		f := facts()
		f.IntoCgroup, f.CallerCgroups = false, make(map[string]string)
		for key, dir := range f.CgroupPaths {
			f.CallerCgroups[key] = path.Join(path.Dir(dir), "caller")
		}
		f.CgroupPaths = nil
		return f
	}
}

func rootlessFacts() Facts {
	f := rootFacts()
	f.EUID, f.Capabilities, f.IntoCgroup = 1000, 0, false
	return f
}

func input(spec *specs.Spec) *Input {
	return &Input{ID: "box", Spec: spec, Bundle: "/var/lib/box", Rootfs: "/var/lib/box/rootfs", Park: true, Facts: rootFacts()}
}

// lateFor stands for what davit finds out while the world is built.
func lateFor(spec *specs.Spec) *Late {
	late := &Late{Home: "/root"}
	if l := spec.Linux; l != nil && l.Seccomp != nil {
		late.Seccomp = &Seccomp{Filter: []byte{6, 0, 0, 0, 0, 0, 0xff, 0x7f}} // BPF_RET, SECCOMP_RET_ALLOW
	}
	if p := spec.Process; p != nil && p.ApparmorProfile != "" {
		late.AppArmor = AppArmor{File: "apparmor/exec", Value: "exec " + p.ApparmorProfile}
	}
	return late
}

func corpusSpec(t testing.TB, name string) *specs.Spec {
	t.Helper()
	return parse(t, read(t, filepath.Join(corpus, name+".config.json")))
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// parse also checks: what the compiler gets has passed the check.
func parse(t testing.TB, raw []byte) *specs.Spec {
	t.Helper()
	spec, err := bundle.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := bundle.Check(spec, "/var/lib/box"); err != nil {
		t.Fatal(err)
	}
	return spec
}

// patched is testdata/default.json with a JSON merge patch (RFC 7386) applied.
func patched(t testing.TB, patch string) *specs.Spec {
	t.Helper()
	return parse(t, patchedText(t, patch))
}

func patchedText(t testing.TB, patch string) []byte {
	t.Helper()
	var doc, p any
	if err := json.Unmarshal(read(t, "testdata/default.json"), &doc); err != nil {
		t.Fatal(err)
	}
	if patch == "" {
		patch = "{}"
	}
	d := json.NewDecoder(strings.NewReader(patch))
	d.UseNumber()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("patch: %s", err)
	}
	raw, err := json.Marshal(merge(doc, p))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(raw)
}

func merge(doc, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	d, ok := doc.(map[string]any)
	if !ok {
		d = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(d, k)
		} else {
			d[k] = merge(d[k], v)
		}
	}
	return d
}

// compile compiles both programs and makes sure that the stage would get them.
func compile(t testing.TB, in *Input) (*Plan, nsenter.Program) {
	t.Helper()
	p, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	process := p.Idle()
	if in.Spec.Process != nil {
		if process, err = p.Process(lateFor(in.Spec)); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []nsenter.Program{p.World, process} {
		if _, err := program.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	return p, process
}
