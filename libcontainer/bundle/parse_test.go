package bundle

import (
	"errors"
	"strings"
	"testing"
)

func TestParseWrongKinds(t *testing.T) {
	runBroken(t, []broken{
		{`ociVersion = 1`, "ociVersion", "expected string, got number"},
		{`ociVersion = null`, "ociVersion", "expected string, got null"},
		{`process = []`, "process", "expected object, got array"},
		{`process = "sh"`, "process", "expected object, got string"},
		{`process.terminal = "true"`, "process.terminal", "expected boolean, got string"},
		{`process.terminal = 1`, "process.terminal", "expected boolean, got number"},
		{`process.args = "sh"`, "process.args", "expected array, got string"},
		{`process.args = ["sh", 1]`, "process.args[1]", "expected string, got number"},
		{`process.args = ["sh", null]`, "process.args[1]", "expected string, got null"},
		{`process.args = {"0": "sh"}`, "process.args", "expected array, got object"},
		{`process.user = null`, "process.user", "expected object, got null"},
		{`process.user.uid = null`, "process.user.uid", "expected unsigned integer of 32 bits, got null"},
		{`process.user.uid = "0"`, "process.user.uid", "expected unsigned integer of 32 bits, got string"},
		{`process.user.uid = -1`, "process.user.uid", "out of range"},
		{`process.user.uid = 4294967296`, "process.user.uid", "out of range"},
		{`process.user.uid = 1.5`, "process.user.uid", "without fraction"},
		{`process.user.uid = 1e3`, "process.user.uid", "without fraction and exponent"},
		{`process.user.additionalGids = [1, true]`, "process.user.additionalGids[1]", "got boolean"},
		{`process.rlimits = [{"type": "RLIMIT_CPU", "hard": -1, "soft": 1}]`, "process.rlimits[0].hard", "out of range"},
		{`process.oomScoreAdj = 99999999999999999999`, "process.oomScoreAdj", "out of range"},
		{`process.oomScoreAdj = ` + strings.Repeat("9", 400), "process.oomScoreAdj", "99999999999999999999999999999999… is"},
		{`process.capabilities = ["CAP_CHOWN"]`, "process.capabilities", "expected object, got array"},
		{`process.capabilities.bounding = "CAP_CHOWN"`, "process.capabilities.bounding", "expected array, got string"},
		{`root = "rootfs"`, "root", "expected object, got string"},
		{`root.path = 1`, "root.path", "expected string, got number"},
		{`root.path = null`, "root.path", "expected string, got null"},
		{`mounts = {}`, "mounts", "expected array, got object"},
		{`mounts[1] = null`, "mounts[1]", "expected object, got null"},
		{`mounts[1].options[1] = 5`, "mounts[1].options[1]", "expected string, got number"},
		{`mounts[2].options = "rbind,ro"`, "mounts[2].options", "expected array, got string"},
		{`mounts[2].uidMappings = [{"containerID": "0"}]`, "mounts[2].uidMappings[0].containerID", "got string"},
		{`hooks.poststop = [{"path": "/h", "timeout": "5"}]`, "hooks.poststop[0].timeout", "expected integer of 64 bits, got string"},
		{`annotations = {"a": 1}`, `annotations["a"]`, "expected string, got number"},
		{`annotations = {"a": null}`, `annotations["a"]`, "expected string, got null"},
		{`linux = []`, "linux", "expected object, got array"},
		{`linux.sysctl = {"net.ipv4.ip_forward": 1}`, `linux.sysctl["net.ipv4.ip_forward"]`, "expected string, got number"},
		{`linux.namespaces = ["pid"]`, "linux.namespaces[0]", "expected object, got string"},
		{`linux.namespaces[1] = null`, "linux.namespaces[1]", "expected object, got null"},
		{`linux.resources.blockIO.weight = 65536`, "linux.resources.blockIO.weight", "16 bits"},
		{`linux.resources.blockIO.weightDevice = [{"major": "8"}]`, "linux.resources.blockIO.weightDevice[0].major", "expected integer of 64 bits, got string"},
		{`linux.resources.devices = [{"allow": "yes"}]`, "linux.resources.devices[0].allow", "expected boolean"},
		{`linux.resources.memory.limit = "64M"`, "linux.resources.memory.limit", "got string"},
		{`linux.resources.rdma = {"x": 1}`, `linux.resources.rdma["x"]`, "expected object, got number"},
		{`linux.seccomp.syscalls = [{"names": "read"}]`, "linux.seccomp.syscalls[0].names", "expected array, got string"},
		{`linux.seccomp.syscalls = [{"names": ["read", {}]}]`, "linux.seccomp.syscalls[0].names[1]", "expected string, got object"},
		{`linux.timeOffsets = {"boottime": {"nanosecs": -1}}`, `linux.timeOffsets["boottime"].nanosecs`, "out of range"},
		{`linux.netDevices = {"eth0": "net0"}`, `linux.netDevices["eth0"]`, "expected object, got string"},
		{`linux.devices = [{"path": "/dev/x", "type": "c", "fileMode": "0666"}]`, "linux.devices[0].fileMode", "expected unsigned integer of 32 bits, got string"},
		{`linux.Namespaces[0].TYPE = 1 && - linux.namespaces`, "linux.namespaces[0].type", "expected string, got number"},
	})
	runValid(t, []valid{
		`mounts = null && hooks = null && annotations = null && process.env = null && process.capabilities = null`,
		`linux.seccomp = null && linux.resources.memory.limit = null && domainname = null && process.terminal = null`,
		`process.args[1] = "a: null" && process.args[2] = "[null"`,
	})
}

func TestParseText(t *testing.T) {
	for _, tc := range []struct{ name, text, path, words string }{
		{"empty", "", "line 1, column 1", "unexpected end"},
		{"spaces", "  \n ", "line 2, column 2", "unexpected end"},
		{"null", "null", "$", "expected object, got null"},
		{"array", "[]", "$", "expected object, got array"},
		{"string", `"x"`, "$", "expected object, got string"},
		{"cut", `{"ociVersion": "1.0.0"`, "line 1, column 23", "unexpected end"},
		{"comma", "{\n\t\"ociVersion\": \"1.0.0\",\n}", "line 3, column 1", "'}'"},
		{"column counts characters", "{\"ä\": 1,, }", "line 1, column 9", "','"},
		{"comment", "{ // x\n}", "line 1, column 3", "'/'"},
		{"two documents", "{}\n{}", "line 2, column 1", "after top-level value"},
		{"garbage behind", "{} x", "line 1, column 4", "after top-level value"},
		{"NUL behind", "{}\x00", "line 1, column 3", "after top-level value"},
		{"byte order mark", "\xef\xbb\xbf{}", "line 1, column 1", "byte order mark"},
		{"control character", "{\"hostname\": \"a\nb\"}", "line 1, column 16", "in string literal"},
		{"not UTF-8", "{\n\"root\": {\"path\": \"r\xf6\"}}", "line 2, column 20", "UTF-8"},
		{"too deep", strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "line 1, column 10001", "max depth"},
		{"too deep in an unknown member", `{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", "line 1, column 10005", "max depth"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse([]byte(tc.text))
			e, ok := err.(*Error)
			if !ok {
				t.Fatalf("got %T %v", err, err)
			}
			if e.Path != tc.path || !strings.Contains(e.Error(), tc.words) {
				t.Errorf("got %s, want %s: … %s …", e, tc.path, tc.words)
			}
		})
	}
}

func TestParseDuplicateKeys(t *testing.T) {
	spec, err := Parse([]byte(`{"hostname": "a", "hostname": "b", "HOSTNAME": "c"}`))
	if err != nil || spec.Hostname != "c" {
		t.Errorf("got %v, %v: the last one should win", spec, err)
	}
}

// The sections of other platforms are never looked into.
func TestParseForeignSections(t *testing.T) {
	spec, err := Parse([]byte(`{"windows": {"layerFolders": ["x"]}, "vm": null, "hostname": "a"}`))
	if err != nil || spec.Windows != nil || spec.VM != nil || spec.Hostname != "a" {
		t.Errorf("got %+v, %v", spec, err)
	}
}

func TestParseProcess(t *testing.T) {
	p, err := ParseProcess([]byte(`{"args": ["ps"], "cwd": "/", "user": {"uid": 5}, "env": ["a\\u0000"]}`))
	if err != nil || p.User.UID != 5 || p.Env[0] != `a\u0000` {
		t.Errorf("got %+v, %v", p, err)
	}
	for text, want := range map[string]string{
		``:                        "line 1, column 1: not valid JSON: unexpected end of JSON input",
		`null`:                    "expected object, got null",
		`{"args": ["a", 1]}`:      "args[1]: expected string, got number",
		`{"user": {"uid": -1}}`:   "user.uid: number -1 is out of range: expected unsigned integer of 32 bits",
		`{"env": ["A\u0000=1"]}`:  `env[0]: must not contain a NUL byte: "A\x00=1"`,
		`{"cwd": "/\u0000/proc"}`: `cwd: must not contain a NUL byte: "/\x00/proc"`,
	} {
		if _, err := ParseProcess([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Path: "mounts[3].destination", Reason: "must not be empty"}
	if got := e.Error(); got != "mounts[3].destination: must not be empty" {
		t.Errorf("got %s", got)
	}
	err := error(Errors{e, {Path: "a", Reason: "b", Hint: "c"}})
	if got := err.Error(); got != "mounts[3].destination: must not be empty; a: b (c)" {
		t.Errorf("got %s", got)
	}
	if first, _ := errors.AsType[*Error](err); first != e || !errors.Is(err, e) {
		t.Errorf("the parts of %v can't be reached", err)
	}
}
