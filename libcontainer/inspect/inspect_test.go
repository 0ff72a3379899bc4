package inspect

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// clean is a configuration that nothing is to be said about, but for what this host lacks.
func clean() *specs.Spec {
	s := harness.BaseSpec("/davit-inspect")
	s.Process.User.UID, s.Process.Args = 1000, []string{"tool"}
	s.Linux.Resources = &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
		Memory:  &specs.LinuxMemory{Limit: harness.Pointer[int64](1 << 26)},
		Pids:    &specs.LinuxPids{Limit: harness.Pointer[int64](100)},
	}
	return s
}

// elfHead is the beginning of a program for this machine, or another, that wants a loader.
func elfHead(machine uint16, loader string) []byte {
	h := make([]byte, 64+56)
	copy(h, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(h[16:], 3)
	binary.LittleEndian.PutUint16(h[18:], machine)
	binary.LittleEndian.PutUint64(h[32:], 64) // program headers
	binary.LittleEndian.PutUint16(h[54:], 56)
	binary.LittleEndian.PutUint16(h[56:], 1)
	binary.LittleEndian.PutUint32(h[64:], 3) // PT_INTERP
	binary.LittleEndian.PutUint64(h[64+8:], uint64(len(h)))
	binary.LittleEndian.PutUint64(h[64+32:], uint64(len(loader)+1))
	if loader == "" {
		binary.LittleEndian.PutUint32(h[64:], 1)
	}
	return append(append(h, loader...), 0)
}

const native = 62 // EM_X86_64; the tests of programs skip elsewhere

// bundle makes one: files are below the rootfs, those that end in / directories, "a -> b" symbolic links.
func bundleOf(t *testing.T, spec any, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	raw, ok := spec.(string)
	if !ok {
		data, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		raw = string(data)
	}
	write(t, filepath.Join(dir, "config.json"), raw)
	if err := os.MkdirAll(filepath.Join(dir, "rootfs/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if files == nil {
		files = map[string]string{"bin/tool": string(elfHead(native, ""))}
	}
	for name, content := range files {
		from, to, link := strings.Cut(name, " -> ")
		at := filepath.Join(dir, "rootfs", from)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		switch {
		case link:
			if err := os.Symlink(to, at); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(name, "/"):
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Fatal(err)
			}
		default:
			write(t, at, content)
		}
	}
	return dir
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// expect holds findings of a severity against "path: part of the message".
func expect(t *testing.T, findings []Finding, s Severity, want ...string) {
	t.Helper()
	var got []string
	for _, f := range findings {
		if f.Severity == s {
			got = append(got, f.Path+": "+f.Message)
		}
	}
	for _, w := range want {
		path, part, _ := strings.Cut(w, ": ")
		if !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, path+": ") && strings.Contains(g, part) }) {
			t.Errorf("no %s %q in\n\t%s", s, w, strings.Join(got, "\n\t"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d findings of severity %s, want %d:\n\t%s", len(got), s, len(want), strings.Join(got, "\n\t"))
	}
}

// without leaves out what only this host is to blame for: a controller, the caller's privilege.
func without(findings []Finding) []Finding {
	return slices.DeleteFunc(findings, func(f Finding) bool {
		return strings.Contains(f.Message, "needs the cgroup controller") || strings.Contains(f.Message, "unprivileged user needs")
	})
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: only it can have these containers without user namespaces")
	}
}

func TestClean(t *testing.T) {
	needRoot(t)
	f := without(Bundle(bundleOf(t, clean(), nil), Options{}))
	expect(t, f, Error)
	expect(t, f, Warning)
	expect(t, f, Note)
}

func TestConfig(t *testing.T) {
	base := `{"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "hostname": 5}`
	f := Bundle(bundleOf(t, base, nil), Options{})
	expect(t, f, Error, "hostname: expected string")
	f = Bundle(bundleOf(t, `{"ociVersion": `, nil), Options{})
	expect(t, f, Error, "line 1, column 16: ")
	f = Bundle(t.TempDir(), Options{})
	expect(t, f, Error, "$: config.json: no such file")
	f = Bundle("/nowhere/at/all", Options{})
	expect(t, f, Error, "$: /nowhere/at/all: no such file or directory")

	// All errors at once, and the lint beside them.
	s := clean()
	s.Process.Cwd, s.Hostname = "tmp", strings.Repeat("x", 65)
	s.Linux.Sysctl = map[string]string{"kernel.panic": "1"}
	s.Mounts[0].Destination = "proc"
	f = Bundle(bundleOf(t, s, nil), Options{})
	expect(t, f, Error, "process.cwd: absolute", "hostname: 65 bytes", `linux.sysctl["kernel.panic"]: separate kernel namespace`)
	expect(t, f, Warning, "mounts[0].destination: deprecated")
	for _, x := range f {
		if x.Severity == Error && x.Kind != Config {
			t.Errorf("%+v is not about the configuration", x)
		}
	}
}

func TestUnknownMembers(t *testing.T) {
	raw, err := json.Marshal(clean())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(string(raw), "}") + `, "hostnam": "x", "windows": {"layerFolders": [], "what": 1}, "annotations": {"any.key": "v"}, "com.example": {"a": [{"b": 1}]}}`
	text = strings.Replace(text, `"process":{`, `"process":{"noNewPriveleges": true, "Cwd": "/", "user": {"uid": 1000}, `, 1)
	text = strings.Replace(text, `"resources":{`, `"resources":{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 5, "rat": 1}]},`, 1)
	text = strings.Replace(text, `{"type":"pid"}`, `{"type":"pid","pth":"/x"}`, 1)
	f := Bundle(bundleOf(t, text, nil), Options{})
	expect(t, without(slices.DeleteFunc(f, func(x Finding) bool { return x.Kind != Config })), Note,
		"hostnam: not known", "windows: another platform", `["com.example"]: not known`, "process.noNewPriveleges: not known", "linux.namespaces[0].pth: not known",
		"linux.resources.blockIO.throttleReadBpsDevice[0].rat: not known")
	hint := ""
	for _, x := range f {
		if x.Path == "hostnam" || x.Path == "process.noNewPriveleges" {
			hint += x.Hint
		}
	}
	if hint != `is "hostname" meant?is "noNewPrivileges" meant?` && hint != `is "noNewPrivileges" meant?is "hostname" meant?` {
		t.Errorf("hints: %s", hint)
	}
	expect(t, slices.DeleteFunc(f, func(x Finding) bool { return x.Kind != Config }), Warning, "process.Cwd: is taken for", "process.user: given twice")
}

func TestHost(t *testing.T) {
	needRoot(t)
	s := clean()
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/a", Source: "/nowhere", Options: []string{"bind", "ro"}},
		specs.Mount{Destination: "/b", Source: "relative", Options: []string{"rbind", "ro"}},
		specs.Mount{Destination: "/c", Type: "tmpfs", Options: []string{"bind-ish", "rro", "mode=1", "uid=1", "remount-ro"}})
	s.Mounts = s.Mounts[:len(s.Mounts)-1]
	s.Linux.Namespaces[1].Path = "/proc/1/ns/nothing"
	s.Linux.Namespaces[2].Path = "/proc/self/ns/net"
	s.Linux.Namespaces[3].Path = "/etc/hostname"
	s.Hostname = ""
	s.Process.ApparmorProfile = "nosuchprofile"
	s.Process.SelinuxLabel = "system_u:system_r:container_t:s0"
	s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"nosuch0": {}, "lo": {Name: "lo9"}}
	s.Linux.IntelRdt = &specs.LinuxIntelRdt{}
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/nowhere.sock",
		Syscalls: []specs.LinuxSyscall{{Names: []string{"getcwd"}, Action: specs.ActNotify}}}
	s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/nowhere/hook"}, {Path: "/etc/passwd"}}, StartContainer: []specs.Hook{{Path: "/in/the/container"}}}
	f := without(Bundle(bundleOf(t, s, nil), Options{}))
	if value("/sys/fs/selinux") != "" || strings.Contains(value("/proc/self/mountinfo"), " - resctrl ") {
		t.Skip("this host has SELinux or resctrl, which is to be missing")
	}
	expect(t, f, Error, "process.selinuxLabel: SELinux", "mounts[7].source: /nowhere", "mounts[8].source: /relative",
		"linux.namespaces[1].path: no such file", "linux.namespaces[2].path: another type", "linux.namespaces[3].path: not a namespace",
		"process.apparmorProfile: ", `linux.netDevices["nosuch0"]: no network device`, `linux.netDevices["lo"]: loopback`, "linux.intelRdt: no resctrl",
		"hooks.createRuntime[0].path: no such file", "hooks.createRuntime[1].path: not an executable")
	expect(t, f, Warning, "linux.seccomp.listenerPath: no such file")

	s = clean()
	s.Root.Path = "elsewhere"
	expect(t, without(Bundle(bundleOf(t, s, nil), Options{})), Error, "root.path: no such file")
	s.Root.Path = "config.json"
	expect(t, without(Bundle(bundleOf(t, s, nil), Options{})), Error, "root.path: not a directory")
}

func value(file string) string {
	b, err := os.ReadFile(file)
	if st, serr := os.Stat(file); err != nil && serr == nil && st.IsDir() {
		return "directory"
	}
	return string(b)
}

func TestProgram(t *testing.T) {
	needRoot(t)
	if nativeArch() != native || foreignPrograms() {
		t.Skip("the programs are made for amd64, and to be refused on others")
	}
	tool := string(elfHead(native, ""))
	for _, tt := range []struct {
		name  string
		args0 string
		files map[string]string
		edit  func(*specs.Spec)
		err   string
		warn  string
	}{
		{name: "found", args0: "tool", files: map[string]string{"bin/tool": tool}},
		{name: "script", args0: "/s", files: map[string]string{"s": "#! /bin/tool -x\n", "bin/tool": tool}},
		{name: "link that leads out stays in", args0: "tool", files: map[string]string{"bin/tool -> /../../opt/tool": "", "opt/tool": tool}},
		{name: "link to the host's file", args0: "tool", files: map[string]string{"bin/tool -> /etc/passwd": ""}, err: "in none of the rootfs's directories of PATH"},
		{name: "relative to cwd", args0: "./x", files: map[string]string{"srv/x": tool}, edit: func(s *specs.Spec) { s.Process.Cwd = "/srv" }},
		{name: "missing", args0: "/bin/none", files: map[string]string{"bin/tool": tool}, err: `"/bin/none" is not in the rootfs`},
		{name: "directory", args0: "/bin", files: map[string]string{"bin/tool": tool}, err: "/bin is not a regular file"},
		{name: "later in PATH", args0: "tool", files: map[string]string{"a/tool/": "", "b/tool": tool}, edit: func(s *specs.Spec) { s.Process.Env = []string{"PATH=/a:/b"} }},
		{name: "cwd is a file", args0: "tool", files: map[string]string{"bin/tool": tool, "f": ""}, edit: func(s *specs.Spec) { s.Process.Cwd = "/f" }, err: "process.cwd: is a file"},
		{name: "other machine", args0: "tool", files: map[string]string{"bin/tool": string(elfHead(183, ""))}, err: "built for arm64 and this machine is x86-64"},
		{name: "loader is missing", args0: "tool", files: map[string]string{"bin/tool": string(elfHead(native, "/lib/ld-musl.so.1"))}, err: "needs /lib/ld-musl.so.1"},
		{name: "loader is there", args0: "tool", files: map[string]string{"bin/tool": string(elfHead(native, "/lib/ld.so")), "lib/ld.so": ""}},
		{name: "interpreter is missing", args0: "/s", files: map[string]string{"s": "#!/usr/bin/python9\n"}, err: "needs /usr/bin/python9"},
		{name: "carriage return", args0: "/s", files: map[string]string{"s": "#!/bin/sh\r\n"}, err: "CR LF"},
		{name: "no first line", args0: "/s", files: map[string]string{"s": "echo hello\n"}, err: "lack a #!"},
		{name: "empty", args0: "/s", files: map[string]string{"s": ""}, err: "empty"},
		{name: "a mount may bring it", args0: "/opt/x", files: map[string]string{"bin/tool": tool},
			edit: func(s *specs.Spec) {
				s.Mounts = append(s.Mounts, specs.Mount{Destination: "/opt", Source: "/etc", Options: []string{"bind", "ro"}})
			},
			warn: "not in the rootfs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := clean()
			s.Process.Args = []string{tt.args0}
			if tt.edit != nil {
				tt.edit(s)
			}
			f := without(Bundle(bundleOf(t, s, tt.files), Options{}))
			for sev, want := range map[Severity]string{Error: tt.err, Warning: tt.warn} {
				switch {
				case want == "":
					expect(t, f, sev)
				case strings.HasPrefix(want, "process."):
					expect(t, f, sev, want)
				default:
					expect(t, f, sev, "process.args[0]: "+want)
				}
			}
		})
	}
	// A FIFO in the program's place isn't waited for, and neither is a file without its bit executed.
	dir := bundleOf(t, func() *specs.Spec { s := clean(); s.Process.Args = []string{"/fifo"}; return s }(), nil)
	if err := unix.Mkfifo(filepath.Join(dir, "rootfs/fifo"), 0o755); err != nil {
		t.Fatal(err)
	}
	expect(t, without(Bundle(dir, Options{})), Error, "process.args[0]: not a regular file")
	dir = bundleOf(t, func() *specs.Spec { s := clean(); s.Process.Args = []string{"/bin/tool"}; return s }(), nil)
	if err := os.Chmod(filepath.Join(dir, "rootfs/bin/tool"), 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, without(Bundle(dir, Options{})), Error, "process.args[0]: not executable")
}

func nativeArch() uint16 {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil || len(b) < 20 {
		return 0
	}
	return binary.LittleEndian.Uint16(b[18:])
}
