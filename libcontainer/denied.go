package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"davit/libcontainer/plan"
	"davit/nsenter"
)

// DeniedError is something that the kernel refuses for a reason that lies with
// the host or the caller, and what to do about it.
type DeniedError struct {
	Err  error
	Hint string
}

func (e *DeniedError) Error() string { return e.Err.Error() + " (" + e.Hint + ")" }
func (e *DeniedError) Unwrap() error { return e.Err }

// denial is an instruction that failed, and what its failure may be due to.
type denial struct {
	in     *nsenter.InstrError
	plan   *plan.Plan
	euid   int
	sysctl func(name string) string // a value, "" where the kernel doesn't have it
}

// explainDenied adds to a refusal of the kernel's what is to be done, where that is known.
func explainDenied(err error, p *plan.Plan) error {
	d := denial{plan: p, euid: unix.Geteuid(), sysctl: readSysctl}
	if p == nil || !errors.As(err, &d.in) {
		return err
	}
	if hint := d.hint(); hint != "" {
		return &DeniedError{Err: err, Hint: hint}
	}
	return err
}

func readSysctl(name string) string {
	data, _ := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(data))
}

// forbiddenMemfd is the reason why a stage that didn't come to life couldn't; nil if it isn't this one.
func forbiddenMemfd() error {
	const sysctl = "vm/memfd_noexec"
	if readSysctl(sysctl) != "2" {
		return nil
	}
	return &DeniedError{
		Err:  fmt.Errorf("start the stage: execute a sealed memfd: %w", unix.EACCES),
		Hint: "sysctl " + dotted(sysctl) + " is 2, which forbids it in this PID namespace: sysctl -w " + dotted(sysctl) + "=1",
	}
}

func (d *denial) hint() string {
	switch op := d.in.Instr.Op.(type) {
	case nsenter.Clone:
		if hint := d.clone(op.Flags); hint != "" {
			return hint
		}
	case nsenter.User:
		if d.in.Errno == unix.EINVAL && d.plan.UserNamespace() {
			return fmt.Sprintf("%d:%d and the additional groups have to be ids that the user namespace maps, see linux.uidMappings and linux.gidMappings", op.UID, op.GID)
		}
	case nsenter.Mount:
		if hint := d.mount(&op); hint != "" {
			return hint
		}
	}
	if d.in.Errno == unix.ENOSYS {
		return "the kernel doesn't have this call, or a seccomp profile that doesn't know it is around davit: inside another container, give that one a newer profile"
	}
	if d.refused() && d.euid != 0 && d.plan.UserNamespace() && d.sysctl(appArmorRestricts) == "1" {
		return "AppArmor restricts what unprivileged users do in user namespaces: load a profile for davit that has the rule userns, or sysctl -w " + dotted(appArmorRestricts) + "=0"
	}
	return ""
}

func (d *denial) refused() bool { return d.in.Errno == unix.EPERM || d.in.Errno == unix.EACCES }

// The parameters that decide whether an unprivileged user can have a user namespace.
const (
	debianAllows      = "kernel/unprivileged_userns_clone" // Debian's and Arch's kernels
	appArmorRestricts = "kernel/apparmor_restrict_unprivileged_userns"
)

func dotted(sysctl string) string { return strings.ReplaceAll(sysctl, "/", ".") }

// limits are the parameters that bound the number of namespaces, namespaces(7).
var limits = [...]struct {
	flag uint64
	name string
}{
	{unix.CLONE_NEWUSER, "user/max_user_namespaces"}, {unix.CLONE_NEWNS, "user/max_mnt_namespaces"}, {unix.CLONE_NEWPID, "user/max_pid_namespaces"},
	{unix.CLONE_NEWNET, "user/max_net_namespaces"}, {unix.CLONE_NEWIPC, "user/max_ipc_namespaces"}, {unix.CLONE_NEWUTS, "user/max_uts_namespaces"},
}

// clone explains why there are no new namespaces, clone(2).
func (d *denial) clone(flags uint64) string {
	user := flags&unix.CLONE_NEWUSER != 0
	switch d.in.Errno {
	case unix.ENOSPC, unix.EUSERS:
		var have []string
		for _, l := range limits {
			v := d.sysctl(l.name)
			if flags&l.flag == 0 || v == "" {
				continue
			}
			if v == "0" {
				return fmt.Sprintf("sysctl %s is 0, which forbids them: sysctl -w %s=15000", dotted(l.name), dotted(l.name))
			}
			have = append(have, dotted(l.name)+" = "+v)
		}
		return "a limit is reached: namespaces nest 32 deep, and of each kind there may be " + strings.Join(have, ", ") + ", here and in every user namespace above"
	case unix.EPERM:
		switch {
		case user && d.euid != 0 && d.sysctl(debianAllows) == "0":
			return "unprivileged users may not make user namespaces here: sysctl -w " + dotted(debianAllows) + "=1"
		case user:
			return "nobody may make a user namespace in a chroot, or with ids that aren't mapped in his own; inside a container its seccomp profile may forbid it as well"
		}
		return "CAP_SYS_ADMIN is missing: inside another container that one needs the capability, and a seccomp profile that allows clone3 and unshare; an ordinary user needs a user namespace"
	case unix.EOPNOTSUPP:
		return "the container's cgroup is below one that is threaded, or has processes of its own and gives controllers to its children (cgroups(7)): move those processes to a cgroup below it"
	case unix.EACCES:
		if user && d.sysctl(appArmorRestricts) != "1" {
			return "a security module forbids it: does the AppArmor profile that davit runs under lack the rule userns, or SELinux's policy the permission user_namespace create?"
		}
	case unix.EINVAL:
		if user {
			return "is the kernel built without user namespaces, CONFIG_USER_NS?"
		}
	}
	return ""
}

// mount explains why a user namespace doesn't get a filesystem, user_namespaces(7) and mount_namespaces(7).
func (d *denial) mount(op *nsenter.Mount) string {
	if d.in.Errno == unix.EINVAL && d.plan.UserNamespace() {
		if i := slices.IndexFunc(op.Options, func(o string) bool { return strings.HasPrefix(o, "gid=") || strings.HasPrefix(o, "uid=") }); i >= 0 {
			return fmt.Sprintf("%s has to be an id that the user namespace maps: map it, or leave the option out", op.Options[i])
		}
	}
	if !d.refused() {
		return ""
	}
	// That the new one would show more than is in view is fsmount(2)'s to say; older kernels log the words only.
	revealing := strings.Contains(d.in.Detail, "revealing") || d.in.Call == "fsmount"
	const bound = `{"destination": %q, "type": "bind", "source": %q, "options": ["rbind", "nosuid", "noexec", "nodev"]}`
	switch {
	case op.Type == "proc" && revealing:
		return "a user namespace gets a new procfs only where one is in view that nothing is mounted over: run the container around davit with its /proc unmasked" +
			" (docker: --security-opt systempaths=unconfined, Kubernetes: procMount: Unmasked), or bind that one: " + fmt.Sprintf(bound, op.Target, "/proc")
	case op.Type == "proc":
		return `it shows a pid namespace, which has to be the user namespace's own: add {"type": "pid"} to linux.namespaces, or bind the caller's: ` + fmt.Sprintf(bound, op.Target, "/proc")
	case op.Type == "sysfs" && revealing:
		return "a user namespace gets a new sysfs only where one is in view that nothing is mounted over; bind that one: " + fmt.Sprintf(bound, op.Target, "/sys")
	case op.Type == "sysfs":
		return `it shows a network namespace, which has to be the user namespace's own: add {"type": "network"} to linux.namespaces, or bind the caller's: ` + fmt.Sprintf(bound, op.Target, "/sys")
	case op.Type == "mqueue":
		return `it shows an ipc namespace, which has to be the user namespace's own: add {"type": "ipc"} to linux.namespaces`
	}
	return ""
}
