package bundle

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// FuzzParse: whatever the text, no panic; every finding says where; what Parse
// takes, Check takes or refuses with findings.
func FuzzParse(f *testing.F) {
	base, err := os.ReadFile("testdata/base.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(base)
	for _, edit := range []string{
		`hooks.prestart = [{"path": "/h", "timeout": 1}] && annotations = {"a": null}`,
		`linux.seccomp = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY", "args": [{"index": 9}]}]}`,
		`linux.sysctl = {"net.//.x": "1", "kernel/sem": "1"} && linux.netDevices = {"a": {"name": "b%d"}}`,
		`linux.resources = {"cpu": {"cpus": "0-3,"}, "unified": {"a.b": "c"}, "rdma": {"x": {}}, "hugepageLimits": [{"pageSize": "2MB"}]}`,
		`linux.uidMappings = [{"size": 4294967295}, {"hostID": 5}] && linux.timeOffsets = {"boottime": {"secs": -1}}`,
		`process.scheduler = {"policy": "SCHED_DEADLINE"} && process.rlimits = [{"type": "nofile"}]`,
		`linux.devices = [{"path": "/d", "type": "c"}, {"path": "/d", "type": "p"}] && mounts[1].options = ["idmap", "slave", "shared"]`,
	} {
		f.Add(change(f, edit))
	}
	for _, text := range []string{"", "null", "{", `{"a":[[[]]]}`, `{"root":{"path":"\u0000"}}`, `{"ociVersion":"1.0.0-+"}`, "{}\xff"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		spec, err := Parse(raw)
		findings(t, err)
		if err == nil {
			findings(t, Check(spec, "/bundle"))
			if spec.Process != nil {
				findings(t, CheckProcess(spec.Process, spec.Version))
			}
		}
		p, err := ParseProcess(raw)
		findings(t, err)
		if err == nil {
			findings(t, CheckProcess(p, "1.3.0"))
		}
	})
}

func findings(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	all, ok := errors.AsType[Errors](err)
	if !ok {
		one, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%T is neither Errors nor *Error: %v", err, err)
		}
		all = Errors{one}
	}
	if len(all) == 0 {
		t.Fatal("an error without findings")
	}
	for _, e := range all {
		if e.Path == "" || e.Reason == "" || strings.ContainsAny(e.Error(), "\n\x00") {
			t.Fatalf("bad finding %q", e.Error())
		}
	}
}
