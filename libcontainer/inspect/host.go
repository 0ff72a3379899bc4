package inspect

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/apparmor"
	"davit/cgroups"
	"davit/libcontainer"
	"davit/libcontainer/bundle"
	"davit/libcontainer/plan"
	"davit/nsenter"
	"davit/seccomp"
)

// host holds the configuration against this host and this caller.
func (in *inspector) host(b *bundle.Bundle) {
	if e := in.compile(b); e != nil {
		in.sources(e)
		in.files(e)
		in.filesystems(e)
		in.inside(e)
	}
	in.cgroups()
	in.profile()
	in.security()
	in.hooks()
	in.network()
	in.resctrl()
}

// attempts bounds how many parts of a configuration are set aside to see what else can't be compiled.
const attempts = 32

// compile compiles the container as create would. Where a part is refused that
// can be set aside, the rest is looked at, too.
func (in *inspector) compile(b *bundle.Bundle) *libcontainer.Explanation {
	spec := *b.Spec
	spec.Mounts = slices.Clone(spec.Mounts)
	if spec.Process != nil {
		p := *spec.Process
		spec.Process = &p
	}
	if spec.Linux != nil {
		l := *spec.Linux
		spec.Linux = &l
	}
	rest := *b
	rest.Spec = &spec
	for range attempts {
		e, err := libcontainer.ExplainBundle(&rest, "ID", &libcontainer.CreateOptions{NoPivot: in.opts.NoPivot}, in.opts.Runtime)
		if err == nil {
			for _, w := range e.Warnings {
				in.warning(fieldPath(w.Field), w.Reason, "")
			}
			return e
		}
		path := in.reportPlan(err)
		if !setAside(&spec, path) {
			return nil
		}
	}
	return nil
}

func (in *inspector) reportPlan(err error) (path string) {
	var pe *plan.Error
	if errors.As(err, &pe) {
		in.error(fieldPath(pe.Field), pe.Reason, pe.Hint)
		return fieldPath(pe.Field)
	}
	path, message := place(err.Error())
	in.error(path, message, "")
	return path
}

// setAside replaces a part of the configuration that was refused by one that isn't.
func setAside(spec *specs.Spec, path string) bool {
	switch {
	case path == "process.selinuxLabel":
		spec.Process.SelinuxLabel = ""
		return true
	case path == "linux.mountLabel":
		spec.Linux.MountLabel = ""
		return true
	}
	i, ok := mountIndex(path)
	if !ok || i >= len(spec.Mounts) || spec.Mounts[i].Type == "tmpfs" && spec.Mounts[i].Options == nil {
		return false
	}
	spec.Mounts[i] = specs.Mount{Destination: spec.Mounts[i].Destination, Type: "tmpfs", Source: "tmpfs"}
	return true
}

// sources looks for the files of the host that the container is built from.
func (in *inspector) sources(e *libcontainer.Explanation) {
	for _, i := range e.World {
		path := fieldPath(i.Field)
		switch op := i.Op.(type) {
		case nsenter.Bind:
			if op.Source != "" && in.isBind(path) {
				in.source(path, op.Source)
			}
		case nsenter.BindDevice:
			in.source(path, op.Source)
		}
	}
}

// isBind leaves out binds that davit makes by itself, such as those of the container's own cgroup.
func (in *inspector) isBind(path string) bool {
	i, ok := mountIndex(path)
	return !ok || i < len(in.spec.Mounts) && slices.ContainsFunc(in.spec.Mounts[i].Options, func(o string) bool { return o == "bind" || o == "rbind" })
}

// mountIndex is the i of mounts[i], or of a member of it.
func mountIndex(path string) (int, bool) {
	rest, ok := strings.CutPrefix(path, "mounts[")
	number, _, closed := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	return i, ok && closed && err == nil && i >= 0
}

func (in *inspector) source(path, file string) {
	if strings.HasPrefix(path, "mounts[") && !strings.Contains(path, ".") {
		path += ".source"
	}
	var st unix.Stat_t
	switch err := unix.Stat(file, &st); err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		in.error(path, file+": "+err.Error(), "make it, or correct the path; a relative one starts at the bundle")
	default:
		in.note(path, file+" can't be looked at: "+err.Error(), "")
	}
}

// files looks at what is opened for the stage: namespaces, and mounts to be cloned.
func (in *inspector) files(e *libcontainer.Explanation) {
	for i := range e.Files {
		f := &e.Files[i]
		switch f.Kind {
		case plan.MountClone:
			in.source(fieldPath(f.Field), f.Path)
		case plan.Namespace:
			in.namespace(fieldPath(f.Field), f)
		}
	}
}

func (in *inspector) namespace(path string, f *plan.FileRef) {
	fd, err := unix.Open(f.Path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err == unix.EACCES || err == unix.EPERM {
		in.note(path, f.Path+" can't be looked at: "+err.Error(), "")
		return
	}
	if err != nil {
		in.error(path, f.Path+": "+err.Error(), "the process or the bind mount that keeps the namespace has to be there first")
		return
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.NSFS_MAGIC {
		in.error(path, f.Path+" is not a namespace", "")
		return
	}
	if typ, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err == nil && uint64(typ) != f.Type {
		in.error(path, f.Path+" is a namespace of another type", "")
	}
}

// cgroups looks for the controllers that the limits need.
func (in *inspector) cgroups() {
	l := in.spec.Linux
	if l == nil || l.Resources == nil {
		return
	}
	in.limits()
	layout, err := cgroups.Detect()
	if err != nil {
		in.note("linux.resources", err.Error(), "")
		return
	}
	resources := *l.Resources
	if in.opts.Runtime.NoCgroups {
		layout, resources.Devices = &cgroups.Layout{}, nil
	}
	writes, warnings, err := cgroups.Batch(&resources, layout, in.spec.Version)
	if err != nil {
		in.report(err)
		return
	}
	for _, w := range warnings {
		path, message := place(w.String())
		in.warning(path, message, "")
	}
	data, _ := os.ReadFile(layout.Unified + "/cgroup.controllers")
	has := strings.Fields(string(data))
	told := make(map[string]bool)
	for _, w := range writes {
		if !w.Unified || w.Controller == "" || w.Default || w.Optional || told[w.Field] || slices.Contains(has, w.Controller) {
			continue
		}
		told[w.Field] = true
		in.error(fieldPath(w.Field), "needs the cgroup controller "+w.Controller+", which this host doesn't have", `"davit doctor" tells what mends it`)
	}
}

// profile compiles the seccomp profile.
func (in *inspector) profile() {
	if in.spec.Linux == nil || in.spec.Linux.Seccomp == nil || in.spec.Process == nil {
		return
	}
	f, err := seccomp.Compile(in.spec.Linux.Seccomp, seccomp.Options{FailUnknownSyscalls: in.spec.Annotations["run.oci.seccomp_fail_unknown_syscall"] != ""})
	if err == nil {
		for _, w := range f.Warnings {
			path, message := place(w)
			in.note(path, message, "")
		}
		err = f.CheckKernel()
	}
	if err != nil {
		path, message := place(err.Error())
		if path == "$" {
			path = "linux.seccomp"
		}
		in.error(path, message, "")
		return
	}
	if socket := in.spec.Linux.Seccomp.ListenerPath; socket != "" && f.Notify {
		if st, err := os.Stat(socket); err != nil {
			in.warning("linux.seccomp.listenerPath", err.Error(), "the agent has to listen there when the container is created")
		} else if st.Mode()&os.ModeSocket == 0 {
			in.error("linux.seccomp.listenerPath", socket+" is not a socket", "")
		}
	}
}

// security looks for the AppArmor profile. That SELinux is missing the compiler has said.
func (in *inspector) security() {
	if p := in.spec.Process; p != nil && p.ApparmorProfile != "" {
		if err := apparmor.CheckProfile(p.ApparmorProfile); err != nil {
			_, message := place(err.Error())
			if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
				in.note("process.apparmorProfile", message, "")
				return
			}
			in.error("process.apparmorProfile", message, "load it by apparmor_parser, or leave it out")
		}
	}
}

// hooks looks for the hooks' programs on the host. Those of startContainer are the container's.
func (in *inspector) hooks() {
	h := in.spec.Hooks
	if h == nil {
		return
	}
	for _, point := range [...]struct {
		name string
		list []specs.Hook
	}{
		//lint:ignore SA1019 deprecated for authors of configurations, required of runtimes
		{"prestart", h.Prestart}, {"createRuntime", h.CreateRuntime}, {"createContainer", h.CreateContainer}, {"poststart", h.Poststart}, {"poststop", h.Poststop},
	} {
		for i := range point.list {
			path := fmt.Sprintf("hooks.%s[%d].path", point.name, i)
			var st unix.Stat_t
			file := point.list[i].Path
			switch err := unix.Stat(file, &st); {
			case err == unix.EACCES:
				in.note(path, file+" can't be looked at: "+err.Error(), "")
			case err != nil:
				in.error(path, file+": "+err.Error(), "")
			case st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0:
				in.error(path, file+" is not an executable file", "chmod +x "+file)
			}
		}
	}
}

// network looks for the devices that are to be moved.
func (in *inspector) network() {
	if in.spec.Linux == nil {
		return
	}
	for name := range in.spec.Linux.NetDevices {
		path := fmt.Sprintf("linux.netDevices[%q]", name)
		ifreq, err := unix.NewIfreq(name)
		if err != nil {
			continue // no device's name: said already
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifreq)
		unix.Close(fd)
		switch {
		case err == unix.ENODEV:
			in.error(path, "there is no network device of that name", `"ip link" lists them`)
		case err == nil && ifreq.Uint16()&unix.IFF_LOOPBACK != 0:
			in.error(path, "is a loopback device, which can't leave its network namespace", "the container has one of its own")
		}
	}
}

func (in *inspector) resctrl() {
	if in.spec.Linux == nil || in.spec.Linux.IntelRdt == nil {
		return
	}
	if table, err := os.ReadFile("/proc/self/mountinfo"); err == nil && !strings.Contains(string(table), " - resctrl ") {
		in.error("linux.intelRdt", "no resctrl filesystem is mounted", "mount -t resctrl resctrl /sys/fs/resctrl")
	}
}
