package libcontainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/cgroups"
	"davit/cgroups/systemd"
	"davit/libcontainer/bundle"
	"davit/libcontainer/state"
	"davit/nsenter"
)

// lockTimeout bounds how long a command waits for another one that changes the
// same container; none takes that long unless it is stuck in a hook or a filesystem.
const lockTimeout = 30 * time.Second

// container is an existing one, opened.
type container struct {
	rt     *Runtime
	dir    *state.Dir
	record *state.Record
}

func (rt *Runtime) open(id string) (*container, error) {
	if err := state.ValidateID(id); err != nil {
		return nil, err
	}
	dir, err := rt.store.Get(id)
	if err != nil {
		return nil, err
	}
	r, err := dir.Load()
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &container{rt, dir, r}, nil
}

// lockAndLoad opens a container to change it. One that is being made isn't waited
// for: it may be in a hook that has asked for the change, and waits for the answer.
func (rt *Runtime) lockAndLoad(id, change string) (*container, error) {
	c, err := rt.open(id)
	if err != nil {
		return nil, err
	}
	if err := c.refuseCreating(change); err != nil {
		c.close()
		return nil, err
	}
	if err := lock(c.dir); err != nil {
		c.close()
		return nil, err
	}
	// What was read before the lock may be old.
	if c.record, err = c.dir.Load(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func lock(d *state.Dir) error {
	if d.TryLock() == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	return d.Lock(ctx)
}

func (c *container) close() { c.dir.Close() }

// cgroup opens the container's control groups. The caller closes it.
func (c *container) cgroup() (cgroups.Manager, error) {
	return c.cgroupAt(c.record.CgroupPaths)
}

// cgroupAt opens the container's control groups or others below them.
func (c *container) cgroupAt(paths map[string]string) (cgroups.Manager, error) {
	cfg := &cgroups.Config{OCIVersion: c.record.OCIVersion, Warn: func(w cgroups.Warning) { c.rt.log.Warn(w.String()) }}
	if c.record.SystemdCgroup {
		cfg.Systemd, cfg.UnitPaths = systemd.New(c.rt.opts.SystemdUser), c.record.CgroupPaths
	}
	return cgroups.Open(paths, cfg)
}

// status derives the container's status from what exists.
func (c *container) status() specs.ContainerState {
	if c.dir.Unfinished() {
		if s := c.unfinished(); s != "" {
			return s
		}
	}
	alive := c.record.Init.Alive()
	return c.record.Status(c.dir.HasFifo(), alive && cgroups.Paused(c.record.CgroupPaths), alive)
}

// unfinished tells the status of a container that somebody is making, or was
// killed while he made it; "" for one that is like others: it is made by now, or
// its process was executed, because it didn't wait for its creator to say so.
func (c *container) unfinished() specs.ContainerState {
	stage, err := nsenter.IsStage(c.record.Init.PID)
	if !c.record.Init.Alive() {
		return specs.StateStopped
	}
	if err == nil && !stage && !c.record.Restored {
		return ""
	}
	if c.dir.Busy() {
		return specs.StateCreating
	}
	if r, err := c.dir.Load(); err == nil {
		c.record = r
	}
	if c.dir.Unfinished() {
		return specs.StateStopped // a process that has no creator any more ends, or waits in vain
	}
	return ""
}

// refuseCreating refuses what can't be done while the container is being made:
// its process may still have the host's root, and less than its confinement.
func (c *container) refuseCreating(what string) error {
	if c.dir.Unfinished() && c.status() == specs.StateCreating {
		return &StatusError{Text: "cannot " + what + ": container is being created", Err: ErrCreating}
	}
	return nil
}

// over tells whether the container has ended, or will because its creator was killed.
func (c *container) over() bool {
	return c.dir.Unfinished() && c.status() == specs.StateStopped || !c.record.Init.Alive()
}

// frozen tells whether a process that joined the container would stop: unlike a paused
// container's, its cgroup may be frozen by one above.
func (c *container) frozen() bool {
	m, err := c.cgroup()
	if err != nil {
		return false
	}
	defer m.Close()
	s, err := m.State()
	return err == nil && s != cgroups.Thawed
}

// spec loads the configuration that the container was created with.
func (c *container) spec() (*specs.Spec, error) {
	raw, err := c.dir.LoadConfig()
	if err != nil {
		return nil, err
	}
	return bundle.Parse(raw)
}

// State is what `state` and `list` tell of a container, in runc's format.
type State struct {
	OCIVersion  string               `json:"ociVersion"`
	ID          string               `json:"id"`
	PID         int                  `json:"pid"` // 0 when stopped
	Status      specs.ContainerState `json:"status"`
	Bundle      string               `json:"bundle"`
	Rootfs      string               `json:"rootfs"`
	Created     time.Time            `json:"created"`
	Annotations map[string]string    `json:"annotations,omitempty"`
	Owner       string               `json:"owner"` // filled by whoever needs it, from OwnerUID
	OwnerUID    int                  `json:"-"`
}

func (c *container) state() *State {
	r := c.record
	s := &State{OCIVersion: r.OCIVersion, ID: r.ID, PID: r.Init.PID, Status: c.status(), Bundle: r.Bundle, Rootfs: r.Rootfs,
		Created: r.Created, Annotations: r.Annotations, OwnerUID: c.dir.Owner()}
	if s.Status == specs.StateStopped {
		s.PID = 0
	}
	return s
}

// State tells what is known of a container (runtime.md, Query State).
func (rt *Runtime) State(id string) (*State, error) {
	c, err := rt.open(id)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.state(), nil
}

// IDs lists the ids of all containers, sorted, be they just being made or removed.
func (rt *Runtime) IDs() ([]string, error) { return rt.store.List() }

// List tells of all containers, sorted by id. Containers that are being made or
// removed are left out; one whose state can't be read is warned of.
func (rt *Runtime) List() ([]*State, error) {
	ids, err := rt.store.List()
	if err != nil {
		return nil, err
	}
	var all []*State
	for _, id := range ids {
		s, err := rt.State(id)
		switch {
		case errors.Is(err, state.ErrNotExist):
		case err != nil:
			rt.log.Warn(fmt.Sprintf("container %s: %s", id, err))
		default:
			all = append(all, s)
		}
	}
	return all, nil
}
