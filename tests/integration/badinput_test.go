package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"davit/tests/harness"
)

// doc is a configuration as JSON: broken ones can't be written with Go's types.
type doc = map[string]any

// badInput is a configuration, id, bundle or command line that must be refused.
type badInput struct {
	name string
	edit func(c doc)                            // changes the configuration
	raw  func(config string) string             // or its text
	prep func(t *testing.T, s *harness.Sandbox) // or what is around it
	args func(s *harness.Sandbox) []string      // or the command line
	want []string                               // what the error says
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	cases := append(append(badProcess(), badMounts()...), append(badLinux(), badBundles()...)...)
	if len(cases) < 60 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			text, err := json.Marshal(s.Spec)
			if err != nil {
				t.Fatal(err)
			}
			var config doc
			if err := json.Unmarshal(text, &config); err != nil {
				t.Fatal(err)
			}
			if c.edit != nil {
				c.edit(config)
				if text, err = json.Marshal(config); err != nil {
					t.Fatal(err)
				}
			}
			if c.raw != nil {
				text = []byte(c.raw(string(text)))
			}
			s.WriteRaw(text)
			if c.prep != nil {
				c.prep(t, s)
			}
			for _, command := range []string{"create", "run"} {
				args := []string{command, "--bundle", s.Bundle, s.ID}
				if c.args != nil {
					args = append([]string{command}, c.args(s)...)
				}
				r := s.Davit(args...)
				r.Fails(c.want...)
				if strings.Contains(r.Stderr(), "panic:") || strings.Contains(r.Stderr(), "goroutine ") {
					t.Errorf("a panic: %s", r.Stderr())
				}
				s.CheckHost()
			}
		})
	}
}

// at walks into a configuration by keys and numbers.
func at(c any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			c = c.(doc)[k]
		case int:
			c = c.([]any)[k]
		}
	}
	return c
}

func process(c doc) doc { return at(c, "process").(doc) }
func linux(c doc) doc   { return at(c, "linux").(doc) }

func addMount(c doc, m doc) { c["mounts"] = append(c["mounts"].([]any), m) }

func badProcess() []badInput {
	p := func(key string, value any) func(doc) { return func(c doc) { process(c)[key] = value } }
	return []badInput{
		{name: "args is a string", edit: p("args", "/bin/sh"), want: []string{"process.args"}},
		{name: "args is empty", edit: p("args", []any{}), want: []string{"process.args"}},
		{name: "args is missing", edit: func(c doc) { delete(process(c), "args") }, want: []string{"process.args"}},
		{name: "args has a number", edit: p("args", []any{"/bin/sh", 7}), want: []string{"process.args[1]"}},
		{name: "args begins with nothing", edit: p("args", []any{""}), want: []string{"process.args[0]"}},
		{name: "args has a NUL", edit: p("args", []any{"/bin/sh", "a\x00b"}), want: []string{"process.args[1]"}},
		{name: "env has a NUL", edit: p("env", []any{"A=\x00"}), want: []string{"process.env[0]"}},
		{name: "cwd is relative", edit: p("cwd", "work"), want: []string{"process.cwd", "absolute"}},
		{name: "cwd is missing", edit: func(c doc) { delete(process(c), "cwd") }, want: []string{"process.cwd"}},
		{name: "cwd is a file", edit: p("cwd", "/etc/passwd"), want: []string{"process.cwd", "not a directory"}},
		{name: "uid is negative", edit: p("user", doc{"uid": -1, "gid": 0}), want: []string{"process.user.uid"}},
		{name: "uid is too large", edit: p("user", doc{"uid": 4294967296, "gid": 0}), want: []string{"process.user.uid"}},
		{name: "uid is a name", edit: p("user", doc{"uid": "root", "gid": 0}), want: []string{"process.user.uid"}},
		{name: "terminal is a string", edit: p("terminal", "yes"), want: []string{"process.terminal"}},
		{name: "rlimit of an unknown type", edit: p("rlimits", []any{doc{"type": "RLIMIT_FUN", "soft": 1, "hard": 1}}), want: []string{"process.rlimits[0].type", "RLIMIT_FUN"}},
		{name: "rlimit twice", edit: p("rlimits", []any{doc{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, doc{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}}), want: []string{"process.rlimits[1]", "RLIMIT_CORE"}},
		{name: "rlimit with soft above hard", edit: p("rlimits", []any{doc{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}}), want: []string{"process.rlimits[0]"}},
		{name: "scheduler with an unknown policy", edit: p("scheduler", doc{"policy": "SCHED_FUN"}), want: []string{"process.scheduler.policy"}},
		{name: "scheduler with an unknown flag", edit: p("scheduler", doc{"policy": "SCHED_OTHER", "flags": []any{"SCHED_FLAG_FUN"}}), want: []string{"process.scheduler.flags[0]"}},
		{name: "ioPriority of an unknown class", edit: p("ioPriority", doc{"class": "FUN", "priority": 1}), want: []string{"process.ioPriority.class"}},
		{name: "ioPriority out of range", edit: p("ioPriority", doc{"class": "IOPRIO_CLASS_BE", "priority": 8}), want: []string{"process.ioPriority.priority"}},
		{name: "oomScoreAdj out of range", edit: p("oomScoreAdj", 1001), want: []string{"process.oomScoreAdj"}},
		{name: "selinuxLabel without SELinux", edit: p("selinuxLabel", "system_u:system_r:container_t:s0"), want: []string{"process.selinuxLabel", "SELinux"}},
		{name: "apparmorProfile without AppArmor", edit: p("apparmorProfile", "no-such-profile"), want: []string{"process.apparmorProfile"}},
		{name: "capabilities is a list", edit: p("capabilities", []any{"CAP_CHOWN"}), want: []string{"process.capabilities"}},
	}
}

func badMounts() []badInput {
	m := func(mount doc) func(doc) { return func(c doc) { addMount(c, mount) } }
	return []badInput{
		{name: "mount of an unknown filesystem", edit: m(doc{"destination": "/m", "type": "nosuchfs", "source": "x"}), want: []string{"mounts[7]", "nosuchfs"}},
		{name: "mount option that the kernel rejects", edit: m(doc{"destination": "/m", "type": "tmpfs", "source": "x", "options": []any{"size=lots"}}), want: []string{"mounts[7] (/m)", "Bad value for 'size'"}},
		{name: "mount option that the filesystem doesn't know", edit: m(doc{"destination": "/m", "type": "tmpfs", "source": "x", "options": []any{"fun=1"}}), want: []string{"mounts[7] (/m)", "Unknown parameter 'fun'"}},
		{name: "proc option that the kernel rejects", edit: func(c doc) { at(c, "mounts", 0).(doc)["options"] = []any{"hidepid=9"} }, want: []string{"mounts[0] (/proc)", "hidepid"}},
		{name: "overlay without a lower directory", edit: m(doc{"destination": "/m", "type": "overlay", "source": "x", "options": []any{"lowerdir=/no/such/dir"}}), want: []string{"mounts[7] (/m)", "lowerdir=/no/such/dir"}},
		{name: "mount without destination", edit: m(doc{"type": "tmpfs"}), want: []string{"mounts[7].destination"}},
		{name: "mount without type", edit: m(doc{"destination": "/m", "source": "x"}), want: []string{"mounts[7].type"}},
		{name: "bind without source", edit: m(doc{"destination": "/m", "options": []any{"bind"}}), want: []string{"mounts[7]", "source"}},
		{name: "bind of a missing source", edit: m(doc{"destination": "/m", "source": "/no/such/dir", "options": []any{"bind"}}), want: []string{"mounts[7] (/m)", "/no/such/dir", "no such file or directory"}},
		{name: "bind by type only", edit: m(doc{"destination": "/m", "type": "bind", "source": "/tmp"}), want: []string{"mounts[7].type", "rbind"}},
		{name: "bind of a directory onto a file", edit: m(doc{"destination": "/etc/passwd", "source": "/tmp", "options": []any{"bind"}}), want: []string{"mounts[7] (/etc/passwd)", "not a directory"}},
		{name: "bind of a file onto a directory", edit: m(doc{"destination": "/etc", "source": "/etc/passwd", "options": []any{"bind"}}), want: []string{"mounts[7] (/etc)", "is a directory"}},
		{name: "mount below a file", edit: m(doc{"destination": "/etc/passwd/m", "type": "tmpfs"}), want: []string{"mounts[7] (/etc/passwd/m)", "not a directory"}},
		{name: "mount options are a string", edit: m(doc{"destination": "/m", "type": "tmpfs", "options": "ro"}), want: []string{"mounts[7].options"}},
		{name: "destination with a NUL", edit: m(doc{"destination": "/m\x00", "type": "tmpfs"}), want: []string{"mounts[7].destination"}},
		{name: "uidMappings alone", edit: m(doc{"destination": "/m", "source": "/tmp", "options": []any{"bind", "idmap"}, "uidMappings": []any{doc{"containerID": 0, "hostID": 0, "size": 1}}}), want: []string{"mounts[7]"}},
		{name: "remount of nothing", edit: m(doc{"destination": "/nothing", "type": "tmpfs", "options": []any{"remount", "ro"}}), want: []string{"mounts[7] (/nothing)"}},
		{name: "propagation without a mount namespace", edit: func(c doc) { dropNamespace(c, "mount") }, want: []string{"mount", "namespace"}},
	}
}

func dropNamespace(c doc, typ string) {
	var kept []any
	for _, n := range linux(c)["namespaces"].([]any) {
		if n.(doc)["type"] != typ {
			kept = append(kept, n)
		}
	}
	linux(c)["namespaces"] = kept
}

func badLinux() []badInput {
	l := func(key string, value any) func(doc) { return func(c doc) { linux(c)[key] = value } }
	ns := func(n doc) func(doc) {
		return func(c doc) {
			dropNamespace(c, n["type"].(string))
			linux(c)["namespaces"] = append(linux(c)["namespaces"].([]any), n)
		}
	}
	mappings := func(list ...any) func(doc) {
		return func(c doc) {
			ns(doc{"type": "user"})(c)
			linux(c)["uidMappings"], linux(c)["gidMappings"] = list, list
		}
	}
	return []badInput{
		{name: "namespace of an unknown type", edit: ns(doc{"type": "fun"}), want: []string{"linux.namespaces[6].type", "fun"}},
		{name: "namespace twice", edit: func(c doc) {
			linux(c)["namespaces"] = append(linux(c)["namespaces"].([]any), doc{"type": "pid"})
		}, want: []string{"linux.namespaces[6]", "pid"}},
		{name: "namespace path that is missing", edit: ns(doc{"type": "network", "path": "/run/netns/no-such"}), want: []string{"linux.namespaces[5]", "/run/netns/no-such"}},
		{name: "namespace path that is relative", edit: ns(doc{"type": "network", "path": "netns"}), want: []string{"linux.namespaces[5]", "absolute"}},
		{name: "namespace path that is a file", edit: ns(doc{"type": "network", "path": "/etc/passwd"}), want: []string{"linux.namespaces[5]", "/etc/passwd", "not a namespace"}},
		{name: "namespace path of another type", edit: ns(doc{"type": "network", "path": "/proc/self/ns/uts"}), want: []string{"linux.namespaces[5]", "/proc/self/ns/uts", "another type"}},
		{name: "user namespace without mappings", edit: ns(doc{"type": "user"}), want: []string{"linux.uidMappings"}},
		{name: "mapping of size 0", edit: mappings(doc{"containerID": 0, "hostID": 1000, "size": 0}), want: []string{"linux.uidMappings[0].size"}},
		{name: "mappings that overlap", edit: mappings(doc{"containerID": 0, "hostID": 1000, "size": 10}, doc{"containerID": 5, "hostID": 5000, "size": 10}), want: []string{"linux.uidMappings"}},
		{name: "mapping beyond 32 bits", edit: mappings(doc{"containerID": 0, "hostID": 4294967295, "size": 10}), want: []string{"linux.uidMappings"}},
		{name: "mappings without a user namespace", edit: l("uidMappings", []any{doc{"containerID": 0, "hostID": 0, "size": 1}}), want: []string{"linux.uidMappings"}},
		{name: "time offsets without a time namespace", edit: l("timeOffsets", doc{"monotonic": doc{"secs": 1}}), want: []string{"linux.timeOffsets"}},
		{name: "time offset of an unknown clock", edit: func(c doc) {
			ns(doc{"type": "time"})(c)
			linux(c)["timeOffsets"] = doc{"realtime": doc{"secs": 1}}
		}, want: []string{"linux.timeOffsets", "realtime"}},
		{name: "sysctl of the host", edit: l("sysctl", doc{"kernel.panic": "1"}), want: []string{"linux.sysctl", "kernel.panic"}},
		{name: "sysctl of a network that is the host's", edit: func(c doc) {
			dropNamespace(c, "network")
			linux(c)["sysctl"] = doc{"net.ipv4.ip_forward": "1"}
		}, want: []string{"linux.sysctl", "net.ipv4.ip_forward"}},
		{name: "sysctl that climbs", edit: l("sysctl", doc{"net/../kernel/panic": "1"}), want: []string{"linux.sysctl"}},
		{name: "hostname without a uts namespace", edit: func(c doc) { dropNamespace(c, "uts") }, want: []string{"hostname", "uts"}},
		{name: "rootfsPropagation that is unknown", edit: l("rootfsPropagation", "fun"), want: []string{"linux.rootfsPropagation", "fun"}},
		{name: "maskedPaths that is relative", edit: l("maskedPaths", []any{"proc/kcore"}), want: []string{"linux.maskedPaths[0]"}},
		{name: "readonlyPaths that is relative", edit: l("readonlyPaths", []any{"proc/sys"}), want: []string{"linux.readonlyPaths[0]"}},
		{name: "device of an unknown type", edit: l("devices", []any{doc{"path": "/dev/x", "type": "z", "major": 1, "minor": 1}}), want: []string{"linux.devices[0]"}},
		{name: "device without number", edit: l("devices", []any{doc{"path": "/dev/x", "type": "c"}}), want: []string{"linux.devices[0]"}},
		{name: "device with a relative path", edit: l("devices", []any{doc{"path": "dev/x", "type": "c", "major": 1, "minor": 3}}), want: []string{"linux.devices[0].path"}},
		{name: "cgroupsPath that climbs out", edit: l("cgroupsPath", "/../../etc"), want: []string{"linux.cgroupsPath"}},
		{name: "memory limit that is a string", edit: l("resources", doc{"memory": doc{"limit": "1G"}}), want: []string{"linux.resources.memory.limit"}},
		{name: "unified without cgroup v2 controller", edit: l("resources", doc{"unified": doc{"fun.max": "1"}}), want: []string{"linux.resources.unified", "fun"}},
		{name: "cpus that no machine has", edit: l("resources", doc{"cpu": doc{"cpus": "9999"}}), want: []string{"linux.resources.cpu"}},
		{name: "huge pages of an odd size", edit: l("resources", doc{"hugepageLimits": []any{doc{"pageSize": "3MB", "limit": 1}}}), want: []string{"linux.resources.hugepageLimits[0]", "3MB"}},
		{name: "device rule with odd access", edit: l("resources", doc{"devices": []any{doc{"allow": true, "access": "x"}}}), want: []string{"linux.resources.devices[0].access"}},
		{name: "seccomp without default", edit: l("seccomp", doc{"syscalls": []any{}}), want: []string{"linux.seccomp.defaultAction"}},
		{name: "seccomp with an unknown action", edit: l("seccomp", doc{"defaultAction": "SCMP_ACT_FUN"}), want: []string{"linux.seccomp.defaultAction", "SCMP_ACT_FUN"}},
		{name: "seccomp without names", edit: l("seccomp", doc{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []any{doc{"names": []any{}, "action": "SCMP_ACT_ERRNO"}}}), want: []string{"linux.seccomp.syscalls[0].names"}},
		{name: "seccomp with an unknown architecture", edit: l("seccomp", doc{"defaultAction": "SCMP_ACT_ALLOW", "architectures": []any{"SCMP_ARCH_FUN"}}), want: []string{"linux.seccomp.architectures[0]"}},
		{name: "personality flags", edit: l("personality", doc{"domain": "LINUX", "flags": []any{"ADDR_NO_RANDOMIZE"}}), want: []string{"linux.personality.flags"}},
		{name: "personality of another system", edit: l("personality", doc{"domain": "BSD"}), want: []string{"linux.personality.domain"}},
		{name: "memory policy that is unknown", edit: l("memoryPolicy", doc{"mode": "MPOL_FUN"}), want: []string{"linux.memoryPolicy.mode"}},
		{name: "intelRdt without resctrl", edit: l("intelRdt", doc{"closID": "x"}), want: []string{"linux.intelRdt"}},
		{name: "network device that is missing", edit: l("netDevices", doc{"nosuch0": doc{}}), want: []string{"linux.netDevices"}},
		{name: "mountLabel without SELinux", edit: l("mountLabel", "system_u:object_r:container_file_t:s0"), want: []string{"linux.mountLabel", "SELinux"}},
	}
}

func badBundles() []badInput {
	root := func(key string, value any) func(doc) { return func(c doc) { c["root"].(doc)[key] = value } }
	hook := func(h doc) func(doc) { return func(c doc) { c["hooks"] = doc{"createRuntime": []any{h}} } }
	id := func(id string) func(*harness.Sandbox) []string {
		return func(s *harness.Sandbox) []string { return []string{"--bundle", s.Bundle, id} }
	}
	return []badInput{
		{name: "no JSON", raw: func(string) string { return "name: davit" }, want: []string{"JSON"}},
		{name: "cut off", raw: func(c string) string { return c[:len(c)-1] }, want: []string{"JSON"}},
		{name: "empty", raw: func(string) string { return "" }, want: []string{"JSON"}},
		{name: "a list", raw: func(string) string { return "[]" }, want: []string{"object"}},
		{name: "two documents", raw: func(c string) string { return c + c }, want: []string{"JSON"}},
		{name: "no version", edit: func(c doc) { delete(c, "ociVersion") }, want: []string{"ociVersion"}},
		{name: "version 2", edit: func(c doc) { c["ociVersion"] = "2.0.0" }, want: []string{"ociVersion", "2.0.0"}},
		{name: "version that is no version", edit: func(c doc) { c["ociVersion"] = "one" }, want: []string{"ociVersion"}},
		{name: "no root", edit: func(c doc) { delete(c, "root") }, want: []string{"root"}},
		{name: "no root path", edit: root("path", ""), want: []string{"root.path"}},
		{name: "missing rootfs", edit: root("path", "no-such-dir"), want: []string{"root.path", "no-such-dir"}},
		{name: "rootfs is a file", edit: root("path", "config.json"), want: []string{"root.path"}},
		{name: "readonly is a number", edit: root("readonly", 1), want: []string{"root.readonly"}},
		{name: "annotation is a number", edit: func(c doc) { c["annotations"] = doc{"a": 1} }, want: []string{"annotations"}},
		{name: "annotation without key", edit: func(c doc) { c["annotations"] = doc{"": "x"} }, want: []string{"annotations"}},
		{name: "hook with a relative path", edit: hook(doc{"path": "true"}), want: []string{"hooks.createRuntime[0].path"}},
		{name: "hook with timeout 0", edit: hook(doc{"path": "/bin/true", "timeout": 0}), want: []string{"hooks.createRuntime[0].timeout"}},
		{name: "bundle is missing", args: func(s *harness.Sandbox) []string { return []string{"--bundle", s.Dir + "/none", s.ID} }, want: []string{"/none"}},
		{name: "bundle without config", prep: func(t *testing.T, s *harness.Sandbox) {
			if err := os.Remove(filepath.Join(s.Bundle, "config.json")); err != nil {
				t.Fatal(err)
			}
		}, want: []string{"config.json"}},
		{name: "config is a directory", prep: func(t *testing.T, s *harness.Sandbox) {
			path := filepath.Join(s.Bundle, "config.json")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}, want: []string{"config.json"}},
		{name: "id that climbs", args: id("../x"), want: []string{"../x"}},
		{name: "id that is dots", args: id(".."), want: []string{"container"}},
		{name: "id that is a dot", args: id("."), want: []string{"container"}},
		{name: "id that is empty", args: id(""), want: []string{"container"}},
		{name: "id with a slash", args: id("a/b"), want: []string{"a/b"}},
		{name: "id with a newline", args: id("a\nlevel=info"), want: []string{"container"}},
		{name: "id with a blank", args: id("a b"), want: []string{"a b"}},
		{name: "id that is too long", args: id(strings.Repeat("x", 2000)), want: []string{"container"}},
		{name: "no id", args: func(s *harness.Sandbox) []string { return []string{"--bundle", s.Bundle} }, want: []string{"requires exactly 1 argument"}},
		{name: "two ids", args: func(s *harness.Sandbox) []string { return []string{"--bundle", s.Bundle, s.ID, "b"} }, want: []string{"requires exactly 1 argument"}},
		{name: "unknown flag", args: func(s *harness.Sandbox) []string { return []string{"--fun", "--bundle", s.Bundle, s.ID} }, want: []string{"fun"}},
		{name: "negative preserve-fds", args: func(s *harness.Sandbox) []string { return []string{"--preserve-fds=-1", "--bundle", s.Bundle, s.ID} }, want: []string{"preserve-fds"}},
		{name: "pid file in a missing directory", args: func(s *harness.Sandbox) []string {
			return []string{"--pid-file", s.Dir + "/none/pid", "--bundle", s.Bundle, s.ID}
		}, want: []string{"pid-file", "/none/"}},
	}
}
