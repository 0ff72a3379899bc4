package libcontainer

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/libcontainer/process"
)

// Kill sends a signal to the container's process, with all to every process in
// it (runtime.md, Kill). For a stopped container it is [ErrNotRunning].
func (rt *Runtime) Kill(id string, sig unix.Signal, all bool) error {
	c, err := rt.open(id)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.refuseCreating("kill"); err != nil {
		return err
	}
	// Without a PID namespace the others would survive the first process.
	if all || (sig == unix.SIGKILL && c.record.SharedPID) {
		return c.killAll(sig, all)
	}
	if c.status() == specs.StateStopped {
		return ErrNotRunning
	}
	return c.signal(sig)
}

func (c *container) signal(sig unix.Signal) error {
	c.rt.debugf("%s to process %d", unix.SignalName(sig), c.record.Init.PID)
	err := c.record.Init.Signal(sig)
	if errors.Is(err, process.ErrGone) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("unable to signal init: %w", err)
	}
	if sig == unix.SIGKILL {
		c.releaseKilled()
	}
	return nil
}

// releaseKilled lets killed processes die that a version 1 freezer holds, whoever froze them.
func (c *container) releaseKilled() {
	if _, v1 := c.record.CgroupPaths["freezer"]; v1 {
		_ = c.withCgroup(cgroups.Manager.Release)
	}
}

// killAll reaches every process of the container's cgroups. Engines ask for it
// after the first process's end, too, and take an empty container as success.
func (c *container) killAll(sig unix.Signal, asked bool) error {
	if !asked && c.status() == specs.StateStopped {
		return ErrNotRunning
	}
	m, err := c.cgroup()
	if err != nil {
		return err
	}
	defer m.Close()
	c.rt.debugf("%s to every process in its cgroups", unix.SignalName(sig))
	if err := m.Kill(sig); err != nil {
		if asked && !c.record.Init.Alive() {
			return nil
		}
		// Rootless there may be no cgroup; SIGKILL of the first process ends a PID namespace's others.
		if errors.Is(err, cgroups.ErrNotExist) && !c.record.SharedPID && sig != unix.SIGKILL {
			return process.SignalMembers(c.record.Init.PID, sig)
		}
		if signaled := c.signal(sig); signaled != nil || !asked || !c.record.SharedPID {
			return signaled // of a PID namespace the first process's end is everybody's
		}
		return fmt.Errorf("only the first process was sent the signal, the others can't be told: %w", err)
	}
	return nil
}
