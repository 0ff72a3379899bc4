package inspect

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// lint looks for what is allowed and likely not meant.
func (in *inspector) lint() {
	if in.spec.Process == nil {
		in.note("process", "is missing: the container can be created, not started", "")
	}
	in.lintNamespaces()
	in.lintProcess()
	in.lintMounts()
	in.lintPaths()
	in.lintLimits()
	in.lintHooks()
}

func (in *inspector) has(t specs.LinuxNamespaceType) bool {
	return in.spec.Linux != nil && slices.ContainsFunc(in.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}

func (in *inspector) lintNamespaces() {
	const at = "linux.namespaces"
	for _, n := range [...]struct {
		t    specs.LinuxNamespaceType
		what string
	}{
		{specs.MountNamespace, "the host's file tree is changed by the container, and nothing may be mounted"},
		{specs.PIDNamespace, "the container sees the host's processes"},
		{specs.NetworkNamespace, "the container has the host's network, abstract Unix sockets included"},
		{specs.IPCNamespace, "the container shares System V IPC and message queues with the host"},
	} {
		if in.has(n.t) {
			continue
		}
		hint := fmt.Sprintf(`add {"type": %q}, unless that is meant`, n.t)
		if n.t == specs.MountNamespace {
			in.warning(at, "there is no mount namespace: "+n.what, hint)
		} else {
			in.note(at, fmt.Sprintf("there is no %s namespace: %s", n.t, n.what), hint)
		}
	}
}

func (in *inspector) lintProcess() {
	p := in.spec.Process
	if p == nil {
		return
	}
	userns := in.has(specs.UserNamespace)
	if c := p.Capabilities; c != nil && !userns {
		in.lintCapabilities(p, c)
	}
	switch {
	case !p.NoNewPrivileges && p.User.UID != 0 && !userns:
		in.note("process.noNewPrivileges", "is off: setuid programs make the user root again", "set it, unless the image needs such programs")
	case p.User.UID == 0 && !userns && in.spec.Linux != nil && in.spec.Linux.Seccomp == nil:
		in.note("linux.seccomp", "root without a user namespace has every system call", "give a profile, such as an engine's default one")
	}
	seen := make(map[string]int)
	for i, e := range p.Env {
		at := fmt.Sprintf("process.env[%d]", i)
		key, _, ok := strings.Cut(e, "=")
		if !ok {
			in.warning(at, "has no \"=\": most programs pass over it", "")
		} else if first, twice := seen[key]; twice {
			in.note(at, fmt.Sprintf("sets %s, as process.env[%d] does: the last one counts, or the first, as the program likes", key, first), "remove one")
		}
		seen[key] = i
	}
	if _, ok := seen["PATH"]; !ok && len(p.Args) > 0 && !strings.Contains(p.Args[0], "/") {
		in.note("process.env", "has no PATH, and process.args[0] is a bare name: the usual directories are searched", "")
	}
}

func (in *inspector) lintCapabilities(p *specs.Process, c *specs.LinuxCapabilities) {
	all := slices.Contains(c.Bounding, "CAP_SYS_ADMIN") && slices.Contains(c.Bounding, "CAP_SYS_MODULE")
	switch {
	case all && p.User.UID == 0:
		in.warning("process.capabilities", "root with all capabilities and without a user namespace is root of the host", "drop capabilities, or add a user namespace with mappings")
	case slices.Contains(c.Bounding, "CAP_SYS_ADMIN"):
		in.warning("process.capabilities.bounding", "CAP_SYS_ADMIN without a user namespace gives ways out of the container", "drop it, or add a user namespace with mappings")
	}
}

// control are the sockets that let whoever reaches them start any container.
func control(source string) bool {
	switch path.Base(source) {
	case "docker.sock", "containerd.sock", "podman.sock", "crio.sock":
		return true
	}
	return false
}

func (in *inspector) lintMounts() {
	at := make(map[string]int)
	for i := range in.spec.Mounts {
		m := &in.spec.Mounts[i]
		field := fmt.Sprintf("mounts[%d]", i)
		if !path.IsAbs(m.Destination) && m.Destination != "" {
			in.warning(field+".destination", "is relative, which is deprecated: it is taken from /", "write /"+path.Clean(m.Destination))
		}
		destination := path.Clean("/" + m.Destination)
		remount := slices.Contains(m.Options, "remount")
		if first, ok := at[destination]; ok && !remount {
			in.note(field+".destination", fmt.Sprintf("hides mounts[%d], which is there already", first), "")
		}
		at[destination] = i
		in.lintBind(field, m)
		if m.Type == "sysfs" && !readOnly(m.Options) && !in.has(specs.UserNamespace) {
			in.warning(field+".options", "a writable sysfs changes the host's devices and kernel", `add "ro"`)
		}
		if (m.Type == "cgroup" || m.Type == "cgroup2") && !readOnly(m.Options) && !in.has(specs.CgroupNamespace) {
			in.warning(field+".options", "the host's cgroups are writable in the container", `add "ro", or a cgroup namespace`)
		}
	}
}

func readOnly(options []string) bool {
	return slices.Contains(options, "ro") || slices.Contains(options, "rro")
}

func (in *inspector) lintBind(field string, m *specs.Mount) {
	if !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind") {
		return
	}
	source := path.Clean(m.Source)
	switch {
	case control(source):
		in.warning(field+".source", "whoever reaches "+source+" is root of the host", "leave it out")
	case readOnly(m.Options):
	case source == "/" || source == "/etc" || source == "/usr" || source == "/boot" || source == "/proc" || source == "/sys" || source == "/var/lib":
		in.warning(field+".options", "the host's "+source+" is writable in the container", `add "ro" or "rro"`)
	case source == "/dev":
		in.warning(field+".source", "the host's devices are in the container", "mount a tmpfs and list linux.devices")
	}
}

// hidden are the files that tell of, or change, the host in any procfs that isn't of a user namespace's own.
var hidden = [...]string{"/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/proc/sys"}

func (in *inspector) lintPaths() {
	proc := slices.ContainsFunc(in.spec.Mounts, func(m specs.Mount) bool { return m.Type == "proc" })
	if l := in.spec.Linux; l == nil || !proc || in.has(specs.UserNamespace) {
		return
	}
	var open []string
	for _, p := range hidden {
		if !slices.Contains(in.spec.Linux.MaskedPaths, p) && !slices.Contains(in.spec.Linux.ReadonlyPaths, p) {
			open = append(open, p)
		}
	}
	if len(open) > 0 {
		in.warning("linux.maskedPaths", "doesn't have "+strings.Join(open, ", ")+", nor does linux.readonlyPaths: with enough capabilities the container reads or changes the host there",
			`"davit spec" writes the usual lists`)
	}
}

func (in *inspector) lintLimits() {
	l := in.spec.Linux
	if l == nil {
		return
	}
	var r specs.LinuxResources
	if l.Resources != nil {
		r = *l.Resources
	}
	if r.Memory == nil || r.Memory.Limit == nil {
		in.note("linux.resources.memory", "there is no limit of memory", "")
	}
	if r.Pids == nil || r.Pids.Limit == nil {
		in.note("linux.resources.pids", "there is no limit of processes", "")
	}
	//lint:ignore SA1019 so that it can be said
	if m := r.Memory; m != nil && m.KernelTCP != nil {
		in.note("linux.resources.memory.kernelTCP", "is not recommended since version 1.1 of the specification", "")
	}
	for i := len(r.Devices) - 1; i >= 0; i-- { // the last word
		d := r.Devices[i]
		if everything := (d.Type == "" || d.Type == "a") && wild(d.Major) && wild(d.Minor); !everything {
			continue
		}
		if d.Allow && !in.has(specs.UserNamespace) {
			in.warning(fmt.Sprintf("linux.resources.devices[%d]", i), "all devices of the host are allowed", `begin with {"allow": false, "access": "rwm"}`)
		}
		break
	}
}

func wild(n *int64) bool { return n == nil || *n == -1 }

func (in *inspector) lintHooks() {
	//lint:ignore SA1019 so that it can be said
	if h := in.spec.Hooks; h != nil && len(h.Prestart) > 0 {
		in.note("hooks.prestart", "is deprecated", "use createRuntime, which is run at the same time")
	}
}
