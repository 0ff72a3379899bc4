package bundle

import (
	"errors"
	"os"
	"reflect"
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
	})
}

// FuzzParseProcess is FuzzParse for the process of an exec. The generated
// decoder refuses more than encoding/json; what both take is the same process.
func FuzzParseProcess(f *testing.F) {
	for _, text := range []string{`{"args":["sh"],"cwd":"/"}`, `{"terminal":true,"consoleSize":{"height":1,"width":2},"user":{"uid":1,"gid":2,"umask":18,"additionalGids":[3]},"args":["a"],"cwd":"/","env":["A=b"]}`,
		`{"args":["a"],"cwd":"/","capabilities":{"bounding":["CAP_KILL"],"ambient":["CAP_FLY"]},"rlimits":[{"type":"RLIMIT_CORE","hard":1,"soft":0}],"noNewPrivileges":true,"oomScoreAdj":-5}`,
		`{"args":["a"],"cwd":"x","scheduler":{"policy":"SCHED_FIFO","priority":9},"ioPriority":{"class":"IOPRIO_CLASS_RT","priority":9},"execCPUAffinity":{"initial":"0-","final":","}}`,
		``, `null`, `[]`, `{"args":null}`, `{"cwd":"\u0000"}`, `{"user":{"uid":4294967296}}`, "{}\xff"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParseProcess(raw)
		findings(t, err)
		if err != nil {
			return
		}
		findings(t, CheckProcess(p, "1.3.0"))
		slow, err := parseProcess(raw)
		if err != nil || !reflect.DeepEqual(p, slow) {
			t.Fatalf("%q: %+v and %+v, %v", raw, p, slow, err)
		}
	})
}

// FuzzParseResources is FuzzParse for what an update reads.
func FuzzParseResources(f *testing.F) {
	for _, text := range []string{`{"memory":{"limit":1,"swap":-1,"checkBeforeUpdate":true},"cpu":{"quota":-1,"period":100000,"cpus":"0-3,"},"pids":{"limit":0}}`,
		`{"devices":[{"allow":true,"type":"c","major":1,"minor":-1,"access":"rwm"}],"unified":{"a.b":"c\n"},"rdma":{"x":{}},"hugepageLimits":[{"pageSize":"2MB","limit":1}]}`,
		`{"blockIO":{"weight":10,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]},"network":{"priorities":[{"name":"e\u0000"}]}}`, ``, `null`, `[]`, "{}\xff"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := ParseResources(raw)
		findings(t, err)
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
