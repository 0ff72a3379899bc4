package inspect

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Each row is one change to a configuration that nothing is to be said about.
func TestLint(t *testing.T) {
	bind := func(source string, options ...string) harness.Edit {
		return func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: source, Options: append([]string{"rbind"}, options...)})
		}
	}
	root := func(s *specs.Spec) { s.Process.User.UID = 0 }
	for _, tt := range []struct {
		name  string
		edit  []harness.Edit
		warn  string
		note  string
		quiet bool // and nothing is said at all
	}{
		{name: "no process", edit: []harness.Edit{func(s *specs.Spec) { s.Process = nil }}, note: "process: can be created, not started"},
		{name: "host's processes", edit: []harness.Edit{harness.WithoutNamespace(specs.PIDNamespace)}, note: "linux.namespaces: no pid namespace"},
		{name: "host's network", edit: []harness.Edit{harness.WithoutNamespace(specs.NetworkNamespace)}, note: "linux.namespaces: no network namespace"},
		{name: "host's IPC", edit: []harness.Edit{harness.WithoutNamespace(specs.IPCNamespace)}, note: "linux.namespaces: no ipc namespace"},
		{name: "root of the host", edit: []harness.Edit{root, harness.AllCapabilities(), seccompProfile}, warn: "process.capabilities: root of the host"},
		{name: "root of a namespace", edit: []harness.Edit{root, harness.AllCapabilities(), harness.UserNamespace(100000, 65536)}, quiet: true},
		{name: "CAP_SYS_ADMIN", edit: []harness.Edit{func(s *specs.Spec) { s.Process.Capabilities.Bounding = []string{"CAP_SYS_ADMIN"} }}, warn: "process.capabilities.bounding: ways out"},
		{name: "new privileges", edit: []harness.Edit{func(s *specs.Spec) { s.Process.NoNewPrivileges = false }}, note: "process.noNewPrivileges: setuid"},
		{name: "no filter", edit: []harness.Edit{root}, note: "linux.seccomp: every system call"},
		{name: "env without =", edit: []harness.Edit{func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, "X") }}, warn: `process.env[2]: has no "="`},
		{name: "env twice", edit: []harness.Edit{func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, "TERM=a") }}, note: "process.env[2]: process.env[1] does"},
		{name: "no PATH", edit: []harness.Edit{func(s *specs.Spec) { s.Process.Env = nil }}, note: "process.env: no PATH"},
		{name: "engine's socket", edit: []harness.Edit{bind("/run/docker.sock", "ro")}, warn: "mounts[7].source: root of the host"},
		{name: "host's /etc", edit: []harness.Edit{bind("/etc/")}, warn: "mounts[7].options: /etc is writable"},
		{name: "host's /etc to read", edit: []harness.Edit{bind("/etc", "rro")}, quiet: true},
		{name: "host's devices", edit: []harness.Edit{bind("/dev")}, warn: "mounts[7].source: devices"},
		{name: "writable sysfs", edit: []harness.Edit{func(s *specs.Spec) { s.Mounts[5].Options = nil }}, warn: "mounts[5].options: sysfs"},
		{name: "writable cgroups", edit: []harness.Edit{func(s *specs.Spec) { s.Mounts[6].Options = nil }, harness.WithoutNamespace(specs.CgroupNamespace)}, warn: "mounts[6].options: cgroups"},
		{name: "hidden mount", edit: []harness.Edit{func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/dev/shm/../shm", Type: "tmpfs", Source: "tmpfs"})
		}}, note: "mounts[7].destination: hides mounts[3]"},
		{name: "open /proc", edit: []harness.Edit{func(s *specs.Spec) { s.Linux.MaskedPaths = nil }}, warn: "linux.maskedPaths: /proc/kcore, /proc/keys"},
		{name: "open /proc of a namespace", edit: []harness.Edit{func(s *specs.Spec) { s.Linux.MaskedPaths = nil }, harness.UserNamespace(100000, 65536)}, quiet: true},
		{name: "no memory limit", edit: []harness.Edit{func(s *specs.Spec) { s.Linux.Resources.Memory = nil }}, note: "linux.resources.memory: no limit"},
		{name: "no limit of processes", edit: []harness.Edit{func(s *specs.Spec) { s.Linux.Resources.Pids = nil }}, note: "linux.resources.pids: no limit"},
		{name: "all devices", edit: []harness.Edit{func(s *specs.Spec) {
			s.Linux.Resources.Devices = append(s.Linux.Resources.Devices, specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"})
		}}, warn: "linux.resources.devices[1]: all devices"},
		{name: "prestart", edit: []harness.Edit{harness.Hooks(func(h *specs.Hooks) { h.Prestart = []specs.Hook{{Path: "/bin/true"}} })}, note: "hooks.prestart: deprecated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := clean()
			for _, e := range tt.edit {
				e(s)
			}
			f := slices.DeleteFunc(Bundle(bundleOf(t, s, nil), Options{}), func(f Finding) bool { return f.Kind == Host })
			expect(t, f, Error)
			for sev, want := range map[Severity]string{Warning: tt.warn, Note: tt.note} {
				if want == "" {
					expect(t, f, sev)
				} else {
					expect(t, f, sev, want)
				}
			}
			if tt.quiet && len(f) > 0 {
				t.Errorf("%+v", f)
			}
		})
	}
}

func seccompProfile(s *specs.Spec) {
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"reboot"}, Action: specs.ActErrno}}}
}

// What engines write breaks no rule of the specification, and compiles where its files are.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("../bundle/testdata/corpus/*.config.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d configurations, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, f := range Bundle(bundleOf(t, value(file), nil), Options{}) {
				switch {
				case f.Severity != Error:
				case f.Kind != Host:
					t.Errorf("%+v", f)
				case strings.Contains(f.Message, "no such file"), strings.Contains(f.Message, "not in the rootfs"), strings.Contains(f.Message, "directories of PATH"),
					strings.Contains(f.Message, "cgroup controller"), strings.Contains(f.Message, "not enabled"), strings.Contains(f.Message, "unprivileged user needs"):
					// The engine's files are gone, and this is another host.
				default:
					t.Errorf("not for want of a file: %+v", f)
				}
			}
		})
	}
}

// Nothing that is inspected may make the inspection look elsewhere, wait, or end.
func FuzzBundle(f *testing.F) {
	f.Add([]byte(`{"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "process": {"args": ["x"], "cwd": "/"}, "linux": {"namespaces": [{"type": "mount"}]}}`))
	f.Add([]byte(`{"mounts": [{"destination": "a", "options": ["bind"]}], "linux": {"resources": {"devices": [{}]}}}`))
	f.Add([]byte(`{"": 0, "": [{"a b": 1}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "config.json"), string(raw))
		for _, x := range Bundle(dir, Options{}) {
			if x.Path == "" || x.Message == "" {
				t.Errorf("%+v", x)
			}
		}
	})
}
