package libcontainer

import (
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/cgroups/systemd"
	"davit/libcontainer/bundle"
	"davit/libcontainer/process"
	"davit/libcontainer/state"
)

// endTimeout bounds the wait for a killed process: one in an uninterruptible wait takes its time.
const endTimeout = 10 * time.Second

// Delete removes a stopped container, and with force any, whatever became of
// it: after a crash of davit at any point nothing of the container is left
// (runtime.md, Delete). A container that is created but not started is
// deleted too, as other runtimes do. One that is being created can be deleted with
// force only, and its creator then fails. Deleting with force what doesn't exist
// is no error.
func (rt *Runtime) Delete(id string, force bool) error {
	if err := state.ValidateID(id); err != nil {
		return err
	}
	dir, err := rt.store.Get(id)
	if force && errors.Is(err, state.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err = dir.TryLock(); errors.Is(err, state.ErrLocked) {
		if err = rt.interrupt(dir, force); err == nil {
			err = lock(dir)
		}
	}
	if err != nil {
		if force && errors.Is(err, state.ErrNotExist) {
			return nil
		}
		return err
	}
	record, err := dir.Load()
	switch {
	case err == nil:
		return (&container{rt, dir, record}).delete(force)
	case !force:
		return err
	}
	return rt.deleteRemains(dir, !errors.Is(err, state.ErrNotExist))
}

// interrupt comes before the wait for somebody who changes the container: it may be
// one who makes or starts it, and waits for a hook. A forced delete makes him give up.
func (rt *Runtime) interrupt(dir *state.Dir, force bool) error {
	record, err := dir.Load()
	if err != nil {
		return nil // with the lock there is more to know
	}
	c := &container{rt, dir, record}
	if force {
		_ = c.signal(unix.SIGKILL) // what he waits for; gone is as well
		return nil
	}
	if c.dir.Unfinished() && c.status() == specs.StateCreating {
		return c.notStopped(specs.StateCreating)
	}
	return nil
}

func (c *container) notStopped(st specs.ContainerState) error {
	return &StatusError{Text: fmt.Sprintf("cannot delete container %s that is not stopped: %s", c.record.ID, st), Err: ErrNotStopped}
}

func (c *container) delete(force bool) error {
	orphan := c.dir.Unfinished() // of a creator who was killed: its process may be about to end
	switch st := c.status(); {
	case st == specs.StateStopped && !orphan:
	case st == specs.StateStopped || st == specs.StateCreated || force:
		if err := c.end(); err != nil {
			return err
		}
	default:
		return c.notStopped(st)
	}
	m, err := c.cgroup()
	if err != nil {
		return err
	}
	defer m.Close()
	if c.record.SharedPID || orphan || force {
		_ = m.Kill(unix.SIGKILL)
	}
	if err := m.Destroy(); err != nil {
		return err
	}
	c.rt.debugf("cgroups of container %s removed", c.record.ID)
	if err := c.removeRdt(); err != nil {
		return err
	}
	spec, err := c.spec()
	if err != nil {
		c.rt.log.Warn("poststop hooks: " + err.Error())
	}
	c.rt.poststop(spec, c.record)
	return c.dir.Remove()
}

// end kills the container's processes and waits for the first one's end.
func (c *container) end() error {
	pidfd, err := c.record.Init.Open()
	if errors.Is(err, process.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	c.rt.debugf("SIGKILL to process %d", c.record.Init.PID)
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill the container's process: %w", err)
	}
	c.releaseKilled()
	ended, err := process.Exited(pidfd, endTimeout)
	if err != nil {
		return err
	}
	if !ended {
		return fmt.Errorf("container init still running: process %d did not end within %s of SIGKILL", c.record.Init.PID, endTimeout)
	}
	return nil
}

// deleteRemains removes a container without a readable record. Where a create
// died before it was recorded its process has ended with it; where the record is
// damaged its process is whoever is in its cgroups, which follow from the
// configuration.
func (rt *Runtime) deleteRemains(dir *state.Dir, recorded bool) error {
	raw, err := dir.LoadConfig()
	if err == nil {
		if spec, err := bundle.Parse(raw); err == nil {
			if err := rt.removeCgroups(dir.ID(), spec, recorded); err != nil {
				return err
			}
			if err := rt.removeCgroupBeside(dir, recorded); err != nil {
				return err
			}
			if err := rt.removeUnrecordedRdt(dir.ID(), spec); err != nil {
				return err
			}
		}
	}
	return dir.Remove()
}

func (rt *Runtime) removeCgroups(id string, spec *specs.Spec, kill bool) error {
	layout, err := cgroups.Detect()
	if err != nil {
		return err
	}
	cfg := cgroupConfig(rt, id, spec)
	if cfg.Systemd == nil {
		if err := rt.removeCgroup(layout, cfg, kill); err != nil || !systemd.IsPath(cfg.Path) {
			return err
		}
		cfg.Systemd = systemd.New(rt.opts.SystemdUser) // not every engine says so at delete
	}
	return rt.removeCgroup(layout, cfg, kill)
}

// removeCgroupBeside removes the one that was made beside the caller of create, if there is one.
func (rt *Runtime) removeCgroupBeside(dir *state.Dir, kill bool) error {
	beside, err := dir.LoadCgroup()
	if err != nil || beside == "" {
		return err
	}
	m, err := cgroups.Open(map[string]string{"": beside}, &cgroups.Config{})
	if err != nil {
		return err
	}
	return rt.clear(m, kill)
}

func (rt *Runtime) removeCgroup(layout *cgroups.Layout, cfg *cgroups.Config, kill bool) error {
	m, err := cgroups.New(layout, cfg)
	if err != nil && cfg.Systemd != nil {
		rt.log.Warn("clean up: " + err.Error())
		cfg.Systemd = systemd.Offline() // without it there are the files
		m, err = cgroups.New(layout, cfg)
	}
	if err != nil {
		return nil // a path that was refused at create, too
	}
	return rt.clear(m, kill)
}

// clear removes cgroups whose container has no record.
func (rt *Runtime) clear(m cgroups.Manager, kill bool) error {
	defer m.Close()
	if kill {
		if err := m.Kill(unix.SIGKILL); err != nil && !errors.Is(err, cgroups.ErrNotExist) {
			return err
		}
	}
	err := m.Destroy()
	var busy *cgroups.BusyError
	if !kill && errors.As(err, &busy) && len(busy.Pids) > 0 {
		// Another container's: the create that died had found the cgroup taken.
		rt.log.Warn(err.Error())
		return nil
	}
	return err
}
