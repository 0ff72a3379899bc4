package plan

import (
	"bytes"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// CompileExec compiles the way of another process into a running container.
// in.Spec is the container's configuration with that process in the place of
// its own. World ends where a new container's does, and [Plan.Process] goes on
// from there: the process itself is made as the container's first one was.
func CompileExec(in *Input) (*Plan, error) {
	c := newCompiler(in)
	var err error
	if c.ns, err = sortNamespaces(c.linux.Namespaces); err != nil {
		return nil, err
	}
	p := c.spec.Process
	if p == nil {
		return nil, fail("process", "is required")
	}
	c.plan.userns = c.ns.has(unix.CLONE_NEWUSER)
	c.plan.exec = true
	c.oomScore(p)
	if err := c.raiseLimits(p); err != nil {
		return nil, err
	}
	if err := c.initialAffinity(p.ExecCPUAffinity); err != nil {
		return nil, err
	}
	flags := c.ns.created | c.ns.joined
	init := nsenter.None
	if flags != 0 {
		init = c.file(FileRef{Kind: InitPidfd})
	}
	clone := nsenter.Clone{Cgroup: nsenter.None}
	first := flags
	if in.Facts.IntoCgroup {
		clone.Cgroup = c.file(FileRef{Kind: CgroupDir, Field: "linux.cgroupsPath"})
		first &^= unix.CLONE_NEWCGROUP // as in joinCgroup
		if in.Facts.EUID == 0 {
			// From inside of the user namespace there would be no right to a cgroup that was given to its root.
			first &^= unix.CLONE_NEWUSER
		}
	}
	if first != 0 {
		// All at once: the kernel sorts out which one grants the rights to the others (setns(2), Linux 5.8).
		c.add("linux.namespaces", nsenter.Join{Fd: init, Type: first})
	}
	c.add("", clone)
	if later := flags &^ first; later != 0 {
		c.add("linux.namespaces", nsenter.Join{Fd: init, Type: later})
	}
	if c.plan.userns {
		c.add(c.ns.field(unix.CLONE_NEWUSER), c.becomeRoot())
	}
	if flags&unix.CLONE_NEWNS != 0 {
		c.add("root.path", nsenter.EnterRoot{})
	} else {
		c.add("root.path", nsenter.Rootfs{Path: in.Rootfs})
		c.add("root.path", nsenter.Chroot{})
	}
	c.keyring()
	if p.Terminal {
		op := nsenter.Pty{UID: uint64(p.User.UID)}
		if p.ConsoleSize != nil {
			op.Rows, op.Columns = uint64(p.ConsoleSize.Height), uint64(p.ConsoleSize.Width)
		}
		c.plan.Terminal = true
		c.add("process.terminal", op)
	}
	c.homeDirectory()
	return c.plan, c.finish()
}

// initialAffinity is where the process may run until it is in the container's
// cgroup (config.md, execCPUAffinity).
func (c *compiler) initialAffinity(a *specs.CPUAffinity) error {
	if a == nil || a.Initial == "" {
		return nil
	}
	mask, err := bitmap("process.execCPUAffinity.initial", a.Initial, maxCPU)
	if err == nil {
		c.add("process.execCPUAffinity.initial", nsenter.Affinity{Mask: mask})
	}
	return err
}

// maxCPU bounds CPU numbers; kernels are built for at most 8192.
const maxCPU = 8191

// affinity compiles where the process may run from now on. What the caller
// itself was bound to is undone, because it is the container's cpuset that
// decides; a process that joins gets what the config says instead.
func (b *process) affinity() error {
	field, mask := "", bytes.Repeat([]byte{0xff}, (maxCPU+1)/8) // the kernel takes what there is of it, sched_setaffinity(2)
	if a := b.proc.ExecCPUAffinity; b.plan.exec && a != nil {
		if a.Final == "" {
			return nil // config.md, execCPUAffinity: not to be changed after the move
		}
		var err error
		field = "process.execCPUAffinity.final"
		if mask, err = bitmap(field, a.Final, maxCPU); err != nil {
			return err
		}
	}
	b.add(field, nsenter.Affinity{Mask: mask})
	return nil
}
