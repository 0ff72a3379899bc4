package plan

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew; read the difference before you commit it")

// golden is a configuration, the host that it meets, and so one plan. What the
// plans are is for the reader of testdata/*.golden to judge: the test sees to
// it that none changes unnoticed.
type golden struct {
	name  string
	patch string // to testdata/default.json, RFC 7386
	facts func() Facts
	edit  func(*Input)
	exec  bool
}

const (
	allNew   = `{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}`
	withUser = `"namespaces": [` + allNew + `, {"type": "user"}],
		"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}], "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]`
	noTerminal  = `"process": {"terminal": false}`
	filter      = `"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}`
	cgroupMount = `"mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}]`

	cgroupMountRW = `"mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "rw"]}]`
)

func goldens() []golden {
	return []golden{
		{name: "default"},
		{name: "no-terminal", patch: `{` + noTerminal + `}`},
		{name: "user-root", patch: `{` + noTerminal + `, "linux": {` + withUser + `}}`},
		{name: "user-rootless", patch: `{"process": {"rlimits": []}, "linux": {"namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}],
			"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}], "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]}, "hostname": null}`, facts: rootlessFacts},
		{name: "joined-root", patch: joined, facts: rootFacts},
		{name: "joined-rootless", patch: joined, facts: rootlessFacts},
		{name: "time-offsets", patch: `{"linux": {` + withUser[:strings.Index(withUser, "]")] + `, {"type": "time"}],
			"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}], "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
			"timeOffsets": {"monotonic": {"secs": 5}, "boottime": {"secs": -1, "nanosecs": 7}}}}`},
		{name: "mounts", patch: manyMounts},
		{name: "read-only", patch: readOnly},
		{name: "shared-root", patch: `{"linux": {"rootfsPropagation": "shared"}}`},
		{name: "private-root", patch: `{"linux": {"rootfsPropagation": "private"}}`},
		{name: "cgroup-v2", patch: `{` + cgroupMount + `, "linux": {"namespaces": [` + allNew + `]}}`},
		{name: "cgroup-v2-namespace", patch: `{` + cgroupMount + `, "linux": {"namespaces": [` + allNew + `, {"type": "cgroup"}]}}`},
		{name: "cgroup-v1", patch: `{` + cgroupMount + `, "linux": {"namespaces": [` + allNew + `]}}`, facts: v1Facts},
		{name: "cgroup-v1-namespace", patch: `{` + cgroupMount + `, "linux": {"namespaces": [` + allNew + `, {"type": "cgroup"}]}}`, facts: v1Facts},
		{name: "cgroup-hybrid", patch: `{` + cgroupMount + `, "linux": {"namespaces": [` + allNew + `]}}`, facts: hybridFacts},
		{name: "cgroup-hybrid-namespace", patch: `{` + cgroupMount + `, "linux": {"namespaces": [` + allNew + `, {"type": "cgroup"}]}}`, facts: hybridFacts},
		{name: "cgroup-v1-caller", patch: `{` + cgroupMount + `, "linux": {"namespaces": [` + allNew + `]}}`, facts: withoutCgroup(v1Facts)},
		{name: "cgroup-v2-caller-rw", patch: `{` + cgroupMountRW + `, "linux": {"namespaces": [` + allNew + `]}}`, facts: withoutCgroup(rootFacts)},
		{name: "cgroup-hybrid-caller-rw", patch: `{` + cgroupMountRW + `, "linux": {"namespaces": [` + allNew + `]}}`, facts: withoutCgroup(hybridFacts)},
		{name: "cgroup-hybrid-namespace-caller-rw", patch: `{` + cgroupMountRW + `, "linux": {"namespaces": [` + allNew + `, {"type": "cgroup"}]}}`, facts: withoutCgroup(hybridFacts)},
		{name: "seccomp", patch: `{"process": {"noNewPrivileges": false}, "linux": {` + filter + `}}`},
		{name: "seccomp-no-new-privs", patch: `{"linux": {` + filter + `}}`},
		{name: "landlock", patch: `{` + landlockPolicy("strict") + `, "linux": {` + filter + `}}`, edit: landlockABI(7)},
		{name: "landlock-privileges", patch: `{"process": {"noNewPrivileges": false}, ` + landlockPolicy("strict") + `, "linux": {` + filter + `}}`, edit: landlockABI(7)},
		{name: "landlock-old-kernel", patch: `{` + landlockPolicy("best-effort") + `}`, edit: landlockABI(2)},
		{name: "landlock-no-kernel", patch: `{` + landlockPolicy("best-effort") + `}`, edit: landlockABI(0)},
		{name: "exec-landlock", exec: true, patch: `{` + landlockPolicy("strict") + `}`, edit: func(in *Input) { in.Park, in.Facts.LandlockABI = false, 6 }},
		{name: "process", patch: richProcess, edit: func(in *Input) { in.Inherited, in.ExtraEnv, in.Facts.SELinux = 2, []string{"LISTEN_FDS=2"}, true }},
		{name: "hooks", patch: `{"hooks": {"prestart": [{"path": "/p"}], "createContainer": [{"path": "/c"}], "startContainer": [{"path": "/s"}], "poststop": [{"path": "/e"}]}}`},
		{name: "no-pivot-run", edit: func(in *Input) { in.NoPivot, in.NoNewKeyring, in.Park = true, true, false }},
		{name: "no-process", patch: `{"process": null}`},
		{name: "no-mount-namespace", patch: `{` + noTerminal + `, "root": {"readonly": false}, "mounts": null, "hostname": null, "linux": {"namespaces": [{"type": "pid"}], "maskedPaths": null, "readonlyPaths": null}}`},
		{name: "no-linux", patch: `{` + noTerminal + `, "root": {"readonly": false}, "mounts": null, "hostname": null, "linux": null}`},
		{name: "net-devices", patch: `{` + noTerminal + `, "hooks": {"createRuntime": [{"path": "/h"}]}, "linux": {"netDevices": {"eth9": {"name": "eth%d"}}, "sysctl": {"net.ipv4.conf.eth0.forwarding": "1"}}}`},
		{name: "devices", patch: `{"linux": {` + devices + `}}`},
		{name: "devices-user", patch: `{` + noTerminal + `, "linux": {` + withUser + `, ` + devices + `}}`},
		{name: "devices-bound-dev", patch: `{"mounts": [{"destination": "/dev", "source": "/dev", "options": ["rbind"]}], "linux": {` + devices + `}}`},
		{name: "exec", exec: true, edit: func(in *Input) { in.Park = false }},
		{name: "exec-user-cgroup", exec: true, edit: func(in *Input) { in.Park = false },
			patch: `{"process": {"terminal": false, "execCPUAffinity": {"initial": "0-1", "final": "3,70"}}, "linux": {` + withUser[:strings.Index(withUser, "]")] + `, {"type": "cgroup"}],
			"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}], "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}}`},
	}
}

// landlockText is a policy with rights of several versions of Landlock, but for its mode.
const landlockText = `{"mode": %q, "handledAccessFS": ["all"], "handledAccessNet": ["connect_tcp"], "scoped": ["signal"], "rules": [` +
	`{"paths": ["/", "/etc/passwd"], "access": ["read_file", "read_dir", "execute"]}, {"paths": ["/tmp"], "access": ["all"]}, {"ports": [443], "access": ["connect_tcp"]}]}`

func landlockPolicy(mode string) string {
	return `"annotations": {"run.davit.landlock": ` + strconv.Quote(fmt.Sprintf(landlockText, mode)) + `}`
}

func landlockABI(abi int) func(*Input) {
	return func(in *Input) { in.Facts.LandlockABI = abi }
}

const joined = `{"hostname": null, "process": {"rlimits": []}, "linux": {"namespaces": [{"type": "user", "path": "/proc/7/ns/user"}, {"type": "network", "path": "/run/netns/x"},
	{"type": "ipc", "path": "/proc/7/ns/ipc"}, {"type": "uts", "path": "/proc/7/ns/uts"}, {"type": "pid", "path": "/proc/7/ns/pid"},
	{"type": "cgroup", "path": "/proc/7/ns/cgroup"}, {"type": "time", "path": "/proc/7/ns/time"}, {"type": "mount"}]}}`

const manyMounts = `{"mounts": [
	{"destination": "/proc", "type": "proc", "source": "proc"},
	{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k", "ro"]},
	{"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["defaults", "silent", "nosuid", "dev", "exec", "suid", "rw", "async", "atime", "iversion", "mode=1777,size=1m"]},
	{"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "noatime", "sync", "dirsync", "lazytime"]},
	{"destination": "/run/user", "type": "tmpfs", "source": "tmpfs"},
	{"destination": "/gone", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
	{"destination": "/gone", "type": "tmpfs", "source": "tmpfs"},
	{"destination": "/lower", "type": "overlay", "source": "overlay", "options": ["lowerdir=/a\\,b:/c,upperdir=/u", "workdir=/w", "ro", "x-comment=1"]},
	{"destination": "etc/hosts", "type": "none", "source": "hosts", "options": ["bind"]},
	{"destination": "/data", "type": "bind", "source": "/srv/data", "options": ["rbind", "rslave", "rro", "rnosuid", "rnoatime"]},
	{"destination": "/data2", "type": "bind", "source": "/srv/data", "options": ["rbind", "rshared", "rro", "rw", "nodev", "rrelatime", "nodiratime"]},
	{"destination": "/data3", "type": "bind", "source": "/srv/data", "options": ["bind", "private", "ro", "rrw", "rsuid", "nosymfollow", "exec"]},
	{"destination": "/data", "options": ["remount", "bind", "relatime", "nosuid", "noexec"]},
	{"destination": "/var", "type": "ext4", "source": "/dev/sda1", "options": ["ro", "mand", "context=\"system_u:object_r:x_t:s0:c1,c2\"", "unbindable"]}
]}`

const readOnly = `{"root": {"readonly": true}, "linux": {"maskedPaths": ["/proc/kcore", "/sys/firmware"], "readonlyPaths": ["/proc/sys", "/proc/irq"],
	"sysctl": {"net.ipv4.conf.eth0/1.rp_filter": "1", "net/ipv4/ip_forward": "0", "kernel.msgmax": "65536"}}}`

const richProcess = `{"domainname": "example", "linux": {"mountLabel": "system_u:object_r:container_file_t:s0:c1,c2", "personality": {"domain": "LINUX32"},
	"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0,9", "flags": ["MPOL_F_STATIC_NODES"]}},
	"process": {"terminal": true, "consoleSize": {"height": 24, "width": 80}, "cwd": "/work", "args": ["serve", "--fast"], "noNewPrivileges": false,
	"user": {"uid": 1000, "gid": 1001, "additionalGids": [5, 27], "umask": 23}, "env": ["A=1", "PATH=/opt/bin:/bin::sbin/", "A=2", "HOME="],
	"oomScoreAdj": 500, "selinuxLabel": "system_u:system_r:container_t:s0:c1,c2", "apparmorProfile": "box",
	"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 18446744073709551615}],
	"scheduler": {"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
	"capabilities": {"bounding": ["CAP_KILL", "CAP_NET_RAW"], "permitted": ["CAP_KILL", "CAP_NET_RAW"], "effective": ["CAP_KILL", "CAP_CHOWN"],
	"inheritable": ["CAP_KILL", "CAP_SYS_TIME"], "ambient": ["CAP_KILL", "CAP_NET_RAW", "CAP_TIME_TRAVEL"]}}}`

const devices = `"devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 432, "uid": 5, "gid": 6},
	{"path": "/dev/null", "type": "c", "major": 1, "minor": 3}, {"path": "/srv/pipe", "type": "p", "fileMode": 384}, {"path": "/srv/disk", "type": "b", "major": 8, "minor": 1},
	{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]`

func TestGolden(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.name, func(t *testing.T) {
			in := input(patched(t, g.patch))
			if g.facts != nil {
				in.Facts = g.facts()
			}
			if g.edit != nil {
				g.edit(in)
			}
			compareGolden(t, g.name, in, g.exec)
		})
	}
}

// A hook in a container's namespaces, with the args and env of its own.
func TestGoldenHook(t *testing.T) {
	spec := patched(t, `{"linux": {`+withUser+`}}`)
	flags, err := Namespaces(spec)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"[in all namespaces]"}
	lines = append(lines, programLines(t, Hook(&specs.Hook{Path: "/bin/hook", Args: []string{"hook", "a b"}, Env: []string{"K=v"}}, flags))...)
	lines = append(lines, "", "[in none]")
	lines = append(lines, programLines(t, Hook(&specs.Hook{Path: "/bin/hook"}, 0))...)
	compareText(t, "hook", strings.Join(lines, "\n")+"\n")
}

// Every configuration that an engine wrote compiles, but for those of known gaps.
func TestCorpus(t *testing.T) {
	gaps := map[string]string{}
	inFull := map[string]bool{"docker-root-01": true, "containerd-root-11": true, "podman-root-01": true, "buildah-root-01": true}
	files, err := filepath.Glob(corpus + "/*.config.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("the corpus is not there (%v)", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".config.json")
		for host, facts := range map[string]Facts{"v2": rootFacts(), "hybrid": hybridFacts(), "v1": v1Facts()} {
			t.Run(name+"/"+host, func(t *testing.T) {
				in := input(corpusSpec(t, name))
				in.Facts = facts
				if gap, ok := gaps[name]; ok {
					if _, err := Compile(in); err == nil || err.Error() != gap {
						t.Fatalf("got %v, the list of gaps says %q", err, gap)
					}
					return
				}
				compile(t, in)
			})
		}
		if inFull[name] {
			delete(inFull, name)
			compareGolden(t, name, input(corpusSpec(t, name)), false)
		}
	}
	for name := range inFull {
		t.Errorf("%s is not in the corpus", name)
	}
	for name := range gaps {
		if _, err := os.Stat(filepath.Join(corpus, name+".config.json")); err != nil {
			t.Errorf("the list of gaps names %s, which is not in the corpus", name)
		}
	}
}

func compareGolden(t *testing.T, name string, in *Input, exec bool) {
	t.Helper()
	compareText(t, name, text(t, in, exec))
}

func compareText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(read(t, file)); got != want {
		t.Errorf("the plan is not the one in %s (go test -update writes it anew):\n%s", file, difference(want, got))
	}
}

// difference shows the lines that only one of two texts has.
func difference(want, got string) string {
	var b strings.Builder
	for _, d := range [...]struct{ mark, text, other string }{{"-", want, got}, {"+", got, want}} {
		have := map[string]int{}
		for line := range strings.Lines(d.other) {
			have[line]++
		}
		for line := range strings.Lines(d.text) {
			if have[line]--; have[line] < 0 {
				b.WriteString(d.mark + line)
			}
		}
	}
	if b.Len() == 0 {
		return "the same lines in another order"
	}
	return b.String()
}

// text prints a plan, one instruction a line: word, operands that are neither empty nor zero, # config field.
func text(t *testing.T, in *Input, exec bool) string {
	t.Helper()
	compileWorld := Compile
	if exec {
		compileWorld = CompileExec
	}
	p, err := compileWorld(in)
	if err != nil {
		t.Fatal(err)
	}
	process := p.Idle()
	if in.Spec.Process != nil {
		if process, err = p.Process(lateFor(in.Spec)); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	section := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "[%s]\n%s\n\n", title, strings.Join(lines, "\n"))
		}
	}
	section("descriptors", fileLines(p.Files))
	section("davit's part", partLines(p))
	section("world", programLines(t, p.World))
	section("process", programLines(t, process))
	var warnings []string
	for _, w := range p.Warnings {
		warnings = append(warnings, w.String())
	}
	section("warnings", warnings)
	return strings.TrimSuffix(b.String(), "\n")
}

func fileLines(files []FileRef) []string {
	var lines []string
	for i, f := range files {
		kind := [...]string{Namespace: "namespace", CgroupDir: "cgroup", ExecFifo: "exec-fifo", InitPidfd: "init"}[f.Kind]
		line := fmt.Sprintf("fd %d: %s", i, kind)
		if f.Path != "" {
			line += fmt.Sprintf(" %s %s", f.Path, nsenter.Arg{Value: f.Type, Show: nsenter.ShowClone})
		}
		lines = append(lines, withField(line, f.Field))
	}
	return lines
}

func partLines(p *Plan) []string {
	var lines []string
	for _, f := range [...]struct {
		set  bool
		name string
	}{{p.Joins, "joins"}, {p.Hooks, "hooks"}, {p.Terminal, "terminal"}, {p.Passwd, "passwd"}, {p.PrivatePID, "private-pid"}} {
		if f.set {
			lines = append(lines, f.name)
		}
	}
	if m := p.Mappings; m != nil {
		lines = append(lines, fmt.Sprintf("mappings uids=%v gids=%v", m.UIDs, m.GIDs))
	}
	return lines
}

func programLines(t *testing.T, p nsenter.Program) []string {
	t.Helper()
	if _, err := p.Encode(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, in := range p {
		line := in.Op.Word()
		for _, a := range in.Op.Args() {
			if v := operand(a); v != "" {
				line += " " + a.Name + "=" + v
			}
		}
		lines = append(lines, withField(line, in.Field))
	}
	return lines
}

func operand(a nsenter.Arg) string {
	switch v := a.Value.(type) {
	case uint64:
		if v == 0 && a.Show != nsenter.ShowToken && a.Show != nsenter.ShowFile {
			return ""
		}
		if v == unix.RLIM_INFINITY {
			return "unlimited"
		}
	case []byte:
		if n := len(v); n > 16 && bytes.Count(v, v[:1]) == n {
			return fmt.Sprintf("%d*%x", n, v[:1])
		}
		return hex.EncodeToString(v)
	case []string:
		if len(v) == 0 {
			return ""
		}
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = word(s)
		}
		return "[" + strings.Join(quoted, " ") + "]"
	}
	s := a.String()
	if s == "" {
		return ""
	}
	return word(s)
}

// word quotes what isn't one word.
func word(s string) string {
	if s == "" || strings.ContainsAny(s, " \"\n[]") {
		return strconv.Quote(s)
	}
	return s
}

func withField(line, field string) string {
	if field == "" {
		return line
	}
	return line + "  # " + field
}
