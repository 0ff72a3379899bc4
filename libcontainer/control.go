package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/cgroups"
	"davit/libcontainer/process"
	"davit/libcontainer/state"
)

// Errors of pause and resume; the phrases are what engines look for.
var (
	ErrNotPaused = errors.New("container not paused")
	ErrPaused    = errors.New("container paused")
)

// Pause stops all processes of a container until [Runtime.Resume].
func (rt *Runtime) Pause(id string) error {
	c, err := rt.lockAndLoad(id, "pause")
	if err != nil {
		return err
	}
	defer c.close()
	switch st := c.status(); st {
	case specs.StateRunning, specs.StateCreated:
	case state.StatePaused:
		return ErrPaused
	default:
		return &StatusError{Text: fmt.Sprintf("container not running or created: %s", st), Err: ErrNotRunning}
	}
	err = c.withCgroup(cgroups.Manager.Freeze)
	// Whoever kills thaws what he finds frozen. A kill that came between the check above
	// and the freeze found it running: in a version 1 cgroup it would wait until a resume.
	if c.record.Init.Killed() {
		_ = c.withCgroup(cgroups.Manager.Thaw)
		return &StatusError{Text: "container not running or created: stopped", Err: ErrNotRunning}
	}
	return err
}

// Resume lets the processes of a paused container go on.
func (rt *Runtime) Resume(id string) error {
	c, err := rt.lockAndLoad(id, "resume")
	if err != nil {
		return err
	}
	defer c.close()
	if c.status() != state.StatePaused {
		return ErrNotPaused
	}
	return c.withCgroup(cgroups.Manager.Thaw)
}

// withCgroup does something with the container's control groups.
func (c *container) withCgroup(do func(cgroups.Manager) error) error {
	m, err := c.cgroup()
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// Processes lists the pids of all processes in a container, as the caller's PID namespace numbers them.
func (rt *Runtime) Processes(id string) ([]int, error) {
	c, err := rt.open(id)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var pids []int
	err = c.withCgroup(func(m cgroups.Manager) error {
		pids, err = m.Pids(true)
		return err
	})
	if !errors.Is(err, cgroups.ErrNotExist) {
		return pids, err
	}
	if !c.record.SharedPID {
		pids, err = process.Members(c.record.Init.PID) // rootless, without a cgroup
	}
	if !c.record.Init.Alive() {
		return nil, nil // it is being deleted
	}
	return pids, err
}

// Update changes limits of a container that isn't stopped, and with rdt, which
// may be nil, the share of its class. Fields that aren't set stay as they are.
func (rt *Runtime) Update(id string, res *specs.LinuxResources, rdt *specs.LinuxIntelRdt) error {
	c, err := rt.lockAndLoad(id, "update")
	if err != nil {
		return err
	}
	defer c.close()
	if c.over() {
		return ErrNotRunning
	}
	undo, err := c.updateRdt(rdt)
	if err != nil {
		return err
	}
	if err := c.withCgroup(func(m cgroups.Manager) error { return m.Set(res) }); err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

// Stats reads what the container's control groups count.
func (rt *Runtime) Stats(id string) (*cgroups.Stats, error) {
	c, err := rt.open(id)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if c.over() {
		return nil, &StatusError{Text: fmt.Sprintf("container with id %s is not running", id), Err: ErrNotRunning}
	}
	var stats *cgroups.Stats
	err = c.withCgroup(func(m cgroups.Manager) error {
		stats, err = m.Stats()
		return err
	})
	if err == nil {
		c.addRdtStats(stats)
	}
	return stats, err
}

// Event is something that happens to a container: an out-of-memory kill if Stats is nil.
type Event struct{ Stats *cgroups.Stats }

// Events calls report for every out-of-memory kill, and with statistics every
// interval, until the container has ended, ctx is done, or report fails.
func (rt *Runtime) Events(ctx context.Context, id string, interval time.Duration, report func(Event) error) error {
	c, err := rt.open(id)
	if err != nil {
		return err
	}
	defer c.close()
	if c.over() {
		return &StatusError{Text: fmt.Sprintf("container with id %s is not running", id), Err: ErrNotRunning}
	}
	return c.withCgroup(func(m cgroups.Manager) error { return c.watch(ctx, m, interval, report) })
}

func (c *container) watch(ctx context.Context, m cgroups.Manager, interval time.Duration, report func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	oom, err := m.OOM(ctx)
	if err != nil {
		return err
	}
	ended, err := c.record.Init.Ended(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last <-chan time.Time
	for {
		var e Event
		select {
		case _, ok := <-oom:
			if !ok {
				return nil // the cgroup is gone or empty
			}
		case <-ended: // a version 1 cgroup doesn't tell when it becomes empty
			ended, last = nil, time.After(lastEvents)
			tick.Stop()
			continue
		case <-last:
			return nil
		case <-tick.C:
			if e.Stats, err = m.Stats(); err != nil {
				if errors.Is(err, cgroups.ErrNotExist) {
					return nil
				}
				return err
			}
			c.addRdtStats(e.Stats)
		}
		if err := report(e); err != nil {
			return err
		}
	}
}

// lastEvents is how long after the container's end an out-of-memory kill, which may have
// been its end, is waited for.
const lastEvents = 100 * time.Millisecond
