package plan

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// everything calls f with every plan of this package's tests: those of the golden files and the corpus's on every kind of host.
func everything(t *testing.T, f func(t *testing.T, in *Input, p *Plan, process nsenter.Program)) {
	for _, g := range goldens() {
		if g.exec {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			in := input(patched(t, g.patch))
			if g.facts != nil {
				in.Facts = g.facts()
			}
			if g.edit != nil {
				g.edit(in)
			}
			p, process := compile(t, in)
			f(t, in, p, process)
		})
	}
	files, _ := filepath.Glob(corpus + "/*.config.json")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".config.json")
		for _, facts := range []Facts{rootFacts(), hybridFacts(), v1Facts()} {
			t.Run(name+"/"+facts.Cgroups.Mode.String(), func(t *testing.T) {
				in := input(corpusSpec(t, name))
				in.Facts = facts
				p, process := compile(t, in)
				f(t, in, p, process)
			})
		}
	}
}

// rule is an order that holds in every plan: no instruction of the kind before comes after one of the kind after.
type rule struct {
	before, after func(nsenter.Op) bool
	why           string
}

func is[T nsenter.Op](op nsenter.Op) bool { _, ok := op.(T); return ok }

func anyOf(kinds ...func(nsenter.Op) bool) func(nsenter.Op) bool {
	return func(op nsenter.Op) bool {
		return slices.ContainsFunc(kinds, func(is func(nsenter.Op) bool) bool { return is(op) })
	}
}

func setsReadOnly(op nsenter.Op) bool { a, ok := op.(nsenter.RootAttr); return ok && a.Set&ro != 0 }
func earlyJoin(op nsenter.Op) bool {
	j, ok := op.(nsenter.Join)
	return ok && j.Type != unix.CLONE_NEWCGROUP
}
func finalChdir(op nsenter.Op) bool { c, ok := op.(nsenter.Chdir); return ok && c.MayFail == 0 }

func rules() []rule {
	var (
		mounts  = anyOf(is[nsenter.Mount], is[nsenter.Bind])
		makes   = anyOf(is[nsenter.Mkdir], is[nsenter.Mknod], is[nsenter.BindDevice], is[nsenter.Symlink], is[nsenter.Pty])
		hides   = anyOf(is[nsenter.Mask], is[nsenter.ReadOnly])
		newRoot = anyOf(is[nsenter.Pivot], is[nsenter.Chroot])
	)
	return []rule{
		{is[nsenter.OOMScore], anyOf(is[nsenter.Clone], is[nsenter.Join]), "lowering it takes the caller's rights"},
		{is[nsenter.RaiseLimit], anyOf(is[nsenter.Clone], is[nsenter.Join]), "raising takes the caller's rights"},
		{earlyJoin, is[nsenter.Clone], "the child is born in them, and new ones belong to the user namespace"},
		{is[nsenter.Clone], anyOf(is[nsenter.BecomeRoot], is[nsenter.Keyring], is[nsenter.Rootfs], is[nsenter.Propagation]), "the world is the child's"},
		{is[nsenter.BecomeRoot], anyOf(is[nsenter.Rootfs], mounts, makes, is[nsenter.Loopback]), "what is made belongs to the container's root"},
		{is[nsenter.Propagation], anyOf(is[nsenter.Rootfs], mounts), "nothing may reach the host"},
		{is[nsenter.Rootfs], anyOf(mounts, makes, hides), "paths are below it"},
		{anyOf(mounts, makes, hides, is[nsenter.Remount], is[nsenter.Sysctl], is[nsenter.Sync], is[nsenter.SendFile]), newRoot, "the host's /proc and paths are needed"},
		{anyOf(mounts, makes), anyOf(hides, setsReadOnly), "a mount could undo a mask, and nothing can be made any more"},
		{hides, setsReadOnly, "the root comes last"},
		{is[nsenter.Pty], is[nsenter.Sync], "hooks see what the process sees"},
		{is[nsenter.Sysctl], hides, "/proc/sys becomes read-only"},
		{newRoot, is[nsenter.RootPropagation], "it is about the new root"},
		{is[nsenter.Session], anyOf(is[nsenter.IOPriority], is[nsenter.Exec]), "the priority is the process group's"},
		{anyOf(is[nsenter.Scheduler], is[nsenter.Rlimit], is[nsenter.Label], is[nsenter.CloseFrom], is[nsenter.Personality]), anyOf(is[nsenter.User], is[nsenter.Seccomp]), "it takes rights, or calls that a filter may refuse"},
		{is[nsenter.Bounding], is[nsenter.User], "dropping takes CAP_SETPCAP"},
		{is[nsenter.User], is[nsenter.Capabilities], "the sets are for the new user"},
		{anyOf(is[nsenter.Capabilities], is[nsenter.User]), finalChdir, "the last attempt is the user's"},
		{finalChdir, anyOf(is[nsenter.ReportReady], is[nsenter.Exec]), "the directory is verified (CVE-2024-21626)"},
		{is[nsenter.CloseFrom], is[nsenter.Exec], "no descriptor leaks"},
	}
}

func TestOrder(t *testing.T) {
	everything(t, func(t *testing.T, in *Input, p *Plan, process nsenter.Program) {
		whole := slices.Concat(p.World, process)
		for _, r := range rules() {
			seen := -1
			for i, instr := range whole {
				if is[nsenter.Chdir](instr.Op) && in.Spec.Process.User.UID == 0 {
					continue // root's only attempt is before it gives up its capabilities
				}
				if r.after(instr.Op) && seen < 0 {
					seen = i
				}
				if r.before(instr.Op) && seen >= 0 && seen < i {
					t.Errorf("%d %s comes after %d %s: %s", i, instr.Op.Word(), seen, whole[seen].Op.Word(), r.why)
				}
			}
		}
		ready := slices.IndexFunc(whole, func(i nsenter.Instr) bool { return is[nsenter.ReportReady](i.Op) })
		if park := slices.IndexFunc(whole, func(i nsenter.Instr) bool { return is[nsenter.Park](i.Op) }); park >= 0 && park < ready {
			t.Errorf("%d park comes before %d ready: create ends before start", park, ready)
		}
		if last := p.World[len(p.World)-1]; !is[nsenter.NextPlan](last.Op) {
			t.Errorf("the world ends with %s", last.Op.Word())
		}
		if last := process[len(process)-1]; in.Spec.Process != nil && !is[nsenter.Exec](last.Op) {
			t.Errorf("the process ends with %s", last.Op.Word())
		}
		if in.Spec.Process != nil && !slices.ContainsFunc(process, func(i nsenter.Instr) bool { return finalChdir(i.Op) }) {
			t.Error("the working directory is not verified")
		}
	})
}

// Every container has the devices of config-linux.md, "Default Devices", each once, unless its /dev is somebody else's.
func TestDefaultDevices(t *testing.T) {
	everything(t, func(t *testing.T, in *Input, p *Plan, _ nsenter.Program) {
		made := map[string]int{}
		for _, i := range p.World {
			switch op := i.Op.(type) {
			case nsenter.Mknod:
				made[op.Path]++
			case nsenter.BindDevice:
				made[op.Path]++
			case nsenter.Symlink:
				made[op.Path]++
			}
		}
		for _, path := range []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"} {
			if made[path] != 1 && ownsDev(in.Spec.Mounts) {
				t.Errorf("%s is made %d times", path, made[path])
			}
		}
	})
}

// A filter is loaded once: right before the exec where no_new_privs allows it,
// otherwise while CAP_SYS_ADMIN is there; one with a listener before davit lets go.
func TestSeccompPlace(t *testing.T) {
	for _, c := range []struct {
		name           string
		noNewPrivs     bool
		notify         bool
		before, behind func(nsenter.Op) bool
	}{
		{"with privileges", false, false, is[nsenter.Bounding], is[nsenter.Chdir]},
		{"no new privileges", true, false, is[nsenter.Exec], is[nsenter.LetGo]},
		{"listener", false, true, is[nsenter.Bounding], is[nsenter.Chdir]},
		{"listener, no new privileges", true, true, is[nsenter.ReportReady], is[nsenter.LookUp]},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(patched(t, `{"linux": {`+filter+`}}`))
			in.Spec.Process.NoNewPrivileges = c.noNewPrivs
			p, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			late := lateFor(in.Spec)
			late.Seccomp.Notify = c.notify
			process, err := p.Process(late)
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(process, func(i nsenter.Instr) bool { return is[nsenter.Seccomp](i.Op) })
			if at < 1 || !c.before(process[at+1].Op) || !c.behind(process[at-1].Op) {
				t.Errorf("the filter is loaded at %d of\n%s", at, strings.Join(programLines(t, process), "\n"))
			}
			if slices.ContainsFunc(process[at+1:], func(i nsenter.Instr) bool { return is[nsenter.Seccomp](i.Op) }) {
				t.Error("the filter is loaded twice")
			}
		})
	}
}

// full is a configuration with everything in it that the compiler has a use for.
const full = `{"hostname": "h", "domainname": "d", "root": {"readonly": true}, "hooks": {"createRuntime": [{"path": "/h"}]},
	"process": {"terminal": true, "consoleSize": {"height": 1, "width": 2}, "noNewPrivileges": true, "oomScoreAdj": 1, "selinuxLabel": "l", "apparmorProfile": "p",
	"user": {"uid": 1, "umask": 0}, "cwd": "/w", "scheduler": {"policy": "SCHED_OTHER"}, "ioPriority": {"class": "IOPRIO_CLASS_BE"},
	"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]},
	"linux": {"namespaces": [` + allNew + `, {"type": "user"}, {"type": "time"}, {"type": "cgroup"}], "timeOffsets": {"boottime": {"secs": 1}},
	"uidMappings": [{"containerID": 0, "hostID": 1, "size": 9}], "gidMappings": [{"containerID": 0, "hostID": 1, "size": 9}],
	"devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}], "netDevices": {"eth0": {}}, "sysctl": {"net.x": "1"}, "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
	"rootfsPropagation": "shared", "maskedPaths": ["/m"], "readonlyPaths": ["/r"], "mountLabel": "l", "personality": {"domain": "LINUX"}, "memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": ""}}}`

// Every member of the configuration is either compiled, and then an instruction
// says so in its Field, or somebody else's business. A member that a new
// version of the spec adds is neither, and fails this test.
func TestFields(t *testing.T) {
	const elsewhere = "-"
	want := map[string]string{
		"spec.ociVersion": elsewhere, "spec.annotations": elsewhere, "spec.root": "root.readonly", "spec.hostname": "hostname", "spec.domainname": "domainname",
		"spec.mounts": "mounts[0]", "spec.hooks": "hooks", "spec.process": "process.args", "spec.linux": "linux.namespaces",
		"process.terminal": "process.terminal", "process.consoleSize": "process.terminal", "process.user": "process.user", "process.args": "process.args",
		"process.env": "process.args", "process.cwd": "process.cwd", "process.capabilities": "process.capabilities", "process.rlimits": "process.rlimits[0]",
		"process.noNewPrivileges": "process.noNewPrivileges", "process.apparmorProfile": "process.apparmorProfile", "process.oomScoreAdj": "process.oomScoreAdj",
		"process.scheduler": "process.scheduler", "process.selinuxLabel": "process.selinuxLabel", "process.ioPriority": "process.ioPriority",
		"process.commandLine": elsewhere, "process.execCPUAffinity": elsewhere, // Windows; not for a container's first process
		"linux.uidMappings": "linux.uidMappings", "linux.gidMappings": "linux.uidMappings", "linux.sysctl": `linux.sysctl["net.x"]`,
		"linux.resources": elsewhere, "linux.cgroupsPath": elsewhere, "linux.namespaces": "linux.namespaces", "linux.devices": "linux.devices[0]",
		"linux.netDevices": "linux.netDevices", "linux.intelRdt": elsewhere,
		"linux.seccomp": "linux.seccomp", "linux.rootfsPropagation": "linux.rootfsPropagation", "linux.maskedPaths": "linux.maskedPaths[0]",
		"linux.readonlyPaths": "linux.readonlyPaths[0]", "linux.mountLabel": "linux.maskedPaths[0]", "linux.personality": "linux.personality",
		"linux.memoryPolicy": "linux.memoryPolicy", "linux.timeOffsets": "linux.namespaces[6]",
	}
	in := input(patched(t, full))
	in.Facts.SELinux = true
	p, process := compile(t, in)
	has := func(field string) bool {
		return slices.ContainsFunc(slices.Concat(p.World, process), func(i nsenter.Instr) bool { return strings.HasPrefix(i.Field, field) })
	}
	for section, of := range map[string]any{"spec": specs.Spec{}, "process": specs.Process{}, "linux": specs.Linux{}} {
		typ := reflect.TypeOf(of)
		for i := range typ.NumField() {
			member, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			platform := typ.Field(i).Tag.Get("platform")
			if platform != "" && !strings.Contains(platform, "linux") {
				continue
			}
			switch field, ok := want[section+"."+member]; {
			case !ok:
				t.Errorf("%s.%s: nobody takes care of it", section, member)
			case field != elsewhere && !has(field):
				t.Errorf("%s.%s: no instruction comes from %s", section, member, field)
			}
		}
	}
}

// What can't be done is refused by the name of the field.
func TestRefused(t *testing.T) {
	bare := `"root": {"readonly": false}, "mounts": null, "hostname": null, "linux": {"namespaces": [], "maskedPaths": null, "readonlyPaths": null`
	for name, c := range map[string]struct {
		patch, field string
		facts        func() Facts
	}{
		"mount label":      {`{"linux": {"mountLabel": "x"}}`, "linux.mountLabel", nil},
		"process label":    {`{"process": {"selinuxLabel": "x"}}`, "process.selinuxLabel", nil},
		"root unmapped":    {`{"process": {"user": {"uid": 5, "gid": 0}}, "linux": {` + strings.Replace(withUser, `"containerID": 0`, `"containerID": 5`, 1) + `}}`, "linux.uidMappings", nil},
		"rootless":         {`{}`, "linux.namespaces", rootlessFacts},
		"ptmx":             {`{"linux": {"devices": [{"path": "/dev/ptmx", "type": "c", "major": 1, "minor": 3}]}}`, "linux.devices[0] (/dev/ptmx)", nil},
		"shared unknown":   {`{"linux": {"rootfsPropagation": "rshared"}}`, "linux.rootfsPropagation", func() Facts { f := rootFacts(); f.RootfsMount = ""; return f }},
		"host mounts":      {`{` + bare + `}, "mounts": [{"destination": "/x", "type": "tmpfs"}]}`, "mounts", nil},
		"host terminal":    {`{` + bare + `}}`, "process.terminal", nil},
		"host read-only":   {`{"process": {"terminal": false}, ` + strings.Replace(bare, "false", "true", 1) + `}}`, "root.readonly", nil},
		"host propagation": {`{"process": {"terminal": false}, ` + bare + `, "rootfsPropagation": "slave"}}`, "linux.rootfsPropagation", nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(patched(t, c.patch))
			if c.facts != nil {
				in.Facts = c.facts()
			}
			p, err := Compile(in)
			if err == nil {
				_, err = p.Process(lateFor(in.Spec))
			}
			if e, ok := err.(*Error); !ok || e.Field != c.field || e.Reason == "" {
				t.Errorf("got %v, want an error of %s", err, c.field)
			}
		})
	}
}

// Without pivot_root the stage unmounts parts of the old tree in place: that must not travel to the host.
func TestNoPivotNeverShared(t *testing.T) {
	for _, value := range []string{"shared", "rshared"} {
		in := input(patched(t, `{"linux": {"rootfsPropagation": "`+value+`"}}`))
		in.NoPivot = true
		if _, err := Compile(in); !named(t, err) || err.(*Error).Field != "linux.rootfsPropagation" {
			t.Errorf("%s: got %v", value, err)
		}
	}
}

// What Process is not given can't be left out of the container.
func TestProcessNeedsLate(t *testing.T) {
	for field, patch := range map[string]string{"linux.seccomp": `{"linux": {` + filter + `}}`, "process.apparmorProfile": `{"process": {"apparmorProfile": "x"}}`} {
		p, err := Compile(input(patched(t, patch)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Process(&Late{}); err == nil || err.(*Error).Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		env  string
		home string
		want string
	}{
		{"A=1 B=2", "/h", "A=1 B=2 HOME=/h"},
		{"A=1 B=2", "", "A=1 B=2 HOME=/"},
		{"HOME=/x A=1", "/h", "HOME=/x A=1"},
		{"HOME= A=1", "/h", "A=1 HOME=/h"},
		{"HOME=/x HOME=", "/h", "HOME=/h"},
		{"HOME= HOME=/x", "/h", "HOME=/x"},
		{"A=1 B=1 A=2", "/h", "B=1 A=2 HOME=/h"},
		{"A A=1 =x B", "/h", "A=1 =x B HOME=/h"},
		{"HOMER=1", "/h", "HOMER=1 HOME=/h"},
	} {
		env := strings.Fields(c.env)
		before := slices.Clone(env)
		if got := environment(env, c.home); strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %s", c.env, got, c.want)
		}
		if !slices.Equal(env, before) {
			t.Errorf("%s: the configuration was changed", c.env)
		}
	}
}

// execvp(3): the path is searched with the container's own PATH, which has a default when unset and the current directory where it is empty.
func TestSearchPath(t *testing.T) {
	for _, c := range []struct{ name, env, want string }{
		{"sh", "PATH=/a:/b", "/a/sh /b/sh"},
		{"sh", "", "/bin/sh /usr/bin/sh"},
		{"sh", "PATH=", "./sh"},
		{"sh", "PATH=:/b/", "./sh /b/sh"},
		{"sh", "PATH=/b:", "/b/sh ./sh"},
		{"sh", "PATH=/a/../b:c", "/a/../b/sh c/sh"},
		{"sh", "PATH=/a PATH=/b", "/b/sh"},
		{"./sh", "PATH=/a", "./sh"},
		{"/x/sh", "PATH=/a", "/x/sh"},
		{"x/sh", "PATH=/a", "x/sh"},
		{"sh", "PATH=/", "/sh"},
		{"..", "PATH=/a", "/a/.."},
	} {
		if got := strings.Join(searchPath(c.name, strings.Fields(c.env)), " "); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.name, c.env, got, c.want)
		}
	}
}

func TestCapabilitySets(t *testing.T) {
	list := func(names ...string) []string { return names }
	const kill, raw, last = 1 << unix.CAP_KILL, 1 << unix.CAP_NET_RAW, uint64(40)
	for name, c := range map[string]struct {
		cfg       *specs.LinuxCapabilities
		available uint64
		want      capabilitySets
		warned    []string
	}{
		"none":       {nil, ^uint64(0), capabilitySets{}, nil},
		"unknown":    {&specs.LinuxCapabilities{Bounding: list("CAP_X", "CAP_KILL")}, ^uint64(0), capabilitySets{bounding: kill}, list("bounding")},
		"not ours":   {&specs.LinuxCapabilities{Permitted: list("CAP_KILL", "CAP_NET_RAW")}, raw, capabilitySets{permitted: raw}, list("permitted")},
		"too new":    {&specs.LinuxCapabilities{Permitted: list("CAP_CHECKPOINT_RESTORE")}, ^uint64(0), capabilitySets{permitted: 1 << 40}, nil},
		"effective":  {&specs.LinuxCapabilities{Permitted: list("CAP_KILL"), Effective: list("CAP_KILL", "CAP_NET_RAW")}, ^uint64(0), capabilitySets{permitted: kill, effective: kill}, list("effective")},
		"inherited":  {&specs.LinuxCapabilities{Bounding: list("CAP_KILL"), Inheritable: list("CAP_KILL", "CAP_NET_RAW")}, ^uint64(0), capabilitySets{bounding: kill, inheritable: kill}, list("inheritable")},
		"ambient":    {&specs.LinuxCapabilities{Bounding: list("CAP_KILL"), Permitted: list("CAP_KILL", "CAP_NET_RAW"), Inheritable: list("CAP_KILL"), Ambient: list("CAP_KILL", "CAP_NET_RAW")}, ^uint64(0), capabilitySets{bounding: kill, permitted: kill | raw, inheritable: kill, ambient: kill}, list("ambient")},
		"ambient of": {&specs.LinuxCapabilities{Permitted: list("CAP_KILL"), Ambient: list("CAP_KILL")}, ^uint64(0), capabilitySets{permitted: kill}, list("ambient")},
	} {
		got, warnings := capabilities(c.cfg, c.available, last)
		var warned []string
		for _, w := range warnings {
			warned = append(warned, strings.TrimPrefix(w.Field, "process.capabilities."))
		}
		if got != c.want || !slices.Equal(warned, c.warned) {
			t.Errorf("%s: %+v, warnings of %q; want %+v, %q", name, got, warned, c.want, c.warned)
		}
	}
}

func TestSysctlPath(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_forward": "net/ipv4/ip_forward", "net/ipv4/ip_forward": "net/ipv4/ip_forward", "kernel.msgmax": "kernel/msgmax",
		"net.ipv4.conf.eth0/1.rp_filter": "net/ipv4/conf/eth0.1/rp_filter", "net/ipv4/conf/eth0.1/rp_filter": "net/ipv4/conf/eth0.1/rp_filter", "kernel": "kernel",
	} {
		if got := sysctlPath(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	for _, key := range []string{"", "a..b", "a.", "/a", "a//b", "a/../b", "../x"} {
		c := newCompiler(input(&specs.Spec{Linux: &specs.Linux{Sysctl: map[string]string{key: "1"}}}))
		if err := c.sysctls(); err == nil {
			t.Errorf("%q is taken for a parameter", key)
		}
	}
}

// What the check of the configuration refuses isn't compiled either, should it ever come this far.
func TestNetDevicesNeedNamespace(t *testing.T) {
	c := newCompiler(input(&specs.Spec{Linux: &specs.Linux{NetDevices: map[string]specs.LinuxNetDevice{"eth0": {}}}}))
	if err := c.netDevices(); err == nil || !strings.HasPrefix(err.Error(), "linux.netDevices: ") {
		t.Errorf("%v", err)
	}
}

// What is made ahead is part of what the plan's clone makes, and never a user namespace's.
func TestAheadIsInTheClone(t *testing.T) {
	everything(t, func(t *testing.T, in *Input, p *Plan, _ nsenter.Program) {
		ahead := Ahead(in.Spec)
		i := slices.IndexFunc(p.World, func(in nsenter.Instr) bool { return is[nsenter.Clone](in.Op) })
		flags := p.World[i].Op.(nsenter.Clone).Flags
		if ahead&^flags != 0 || ahead != 0 && p.userns {
			t.Errorf("%#x is made ahead, the clone makes %#x", ahead, flags)
		}
		if !p.userns && ahead&unix.CLONE_NEWNET != flags&unix.CLONE_NEWNET {
			t.Errorf("the network namespace isn't made ahead: %#x of %#x", ahead, flags)
		}
	})
}
