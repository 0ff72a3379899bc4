package devices

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// programName marks davit's programs among those that systemd or an administrator attach
// to the same cgroup (at most 15 bytes).
const programName = "davit_devices"

// programLicense is what the kernel is told; no helper is called that it would matter for.
const programLicense = "Apache-2.0"

// Attach makes the kernel enforce the policy in a cgroup of the unified hierarchy, open as
// dirfd (not O_PATH), and in all below it. fresh says that no program of davit's can be
// there yet. Otherwise the one there is replaced in one step: at no time does the cgroup
// have no policy or two, whatever its processes do (BPF_F_REPLACE, since Linux 5.6).
// Programs that others attached stay, and have to agree (BPF_F_ALLOW_MULTI).
func (p *Policy) Attach(dirfd int, fresh bool) error {
	code, err := p.Program()
	if err != nil {
		return err
	}
	prog, err := load(programName, code)
	if errors.Is(err, unix.EPERM) && raiseMemlock() {
		prog, err = load(programName, code)
	}
	if err != nil {
		return attachError("load", err)
	}
	defer prog.close()
	var old []program
	if !fresh {
		if old, err = ours(dirfd); err != nil {
			return attachError("query", err)
		}
	}
	defer func() {
		for _, o := range old {
			o.close()
		}
	}()
	if len(old) == 0 {
		err = attach(dirfd, prog, nil)
	} else {
		err = attach(dirfd, prog, &old[0])
	}
	if err != nil {
		return attachError("attach", err)
	}
	for _, o := range old[min(len(old), 1):] {
		if err := detach(dirfd, o); err != nil {
			return attachError("detach an older", err)
		}
	}
	return nil
}

func attachError(op string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EPERM):
		hint = " (it takes CAP_BPF and CAP_NET_ADMIN in the initial user namespace, or CAP_SYS_ADMIN; a parent cgroup's program that forbids others has the same effect)"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		hint = " (the kernel may be built without CONFIG_CGROUP_BPF)"
	}
	return fmt.Errorf("linux.resources.devices: %s the eBPF program of the cgroup: %w%s", op, err, hint)
}

// raiseMemlock lifts the limit that kernels before 5.11 charge programs to, as far as the
// hard limit or CAP_SYS_RESOURCE lets it, and tells whether there is more room now.
func raiseMemlock() bool {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &now) != nil {
		return false
	}
	for _, want := range [...]uint64{unix.RLIM_INFINITY, now.Max} {
		if now.Cur < want && unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: want, Max: max(want, now.Max)}) == nil {
			return true
		}
	}
	return false
}

// ours returns davit's programs in the cgroup itself, not those of its parents.
func ours(dirfd int) ([]program, error) {
	ids, err := attached(dirfd)
	if err != nil {
		return nil, err
	}
	var list []program
	for _, id := range ids {
		p, name, err := open(id)
		if errors.Is(err, unix.ENOENT) {
			continue // detached and gone meanwhile
		}
		if err != nil {
			return list, err
		}
		if name != programName {
			p.close()
			continue
		}
		list = append(list, p)
	}
	return list, nil
}

// Probe loads a policy's program and attaches it nowhere: it finds out whether
// the kernel has such programs and lets the caller load them.
func Probe() error {
	p, err := NewPolicy(nil)
	if err != nil {
		return err
	}
	code, err := p.Program()
	if err != nil {
		return err
	}
	prog, err := load(programName, code)
	if err != nil {
		return err
	}
	prog.close()
	return nil
}
