package libcontainer

import (
	"errors"
	"fmt"
	"path/filepath"

	"davit/libcontainer/process"
	"davit/libcontainer/state"
)

// parkedDir is where the processes of a container are kept that wait for their
// start: each in a folder like a container's own, which goes with the container.
const parkedDir = "exec"

func (c *container) parked() (*state.Store, error) {
	return state.Open(filepath.Join(c.dir.Path(), parkedDir))
}

// claim takes the name of a process that is to wait for its start.
func (e *join) claim() error {
	if e.opts.Park == "" {
		return nil
	}
	store, err := e.container.parked()
	if err != nil {
		return err
	}
	defer store.Close()
	e.parked, err = store.Create(e.opts.Park)
	if errors.Is(err, state.ErrExist) && abandoned(store, e.opts.Park) {
		e.parked, err = store.Create(e.opts.Park)
	}
	if err != nil {
		return fmt.Errorf("process %s: %w", e.opts.Park, err)
	}
	return e.parked.TryLock()
}

// abandoned removes what is left under a name by one who was killed before its
// process was recorded, or by a process that was killed before its start. It
// tells whether there was such a thing.
func abandoned(store *state.Store, name string) bool {
	dir, err := store.Get(name)
	if err != nil {
		return false
	}
	defer dir.Close()
	if dir.TryLock() != nil {
		return false // it is being made or started
	}
	if r, err := dir.Load(); err == nil && r.Init.Alive() || err != nil && !errors.Is(err, state.ErrNotExist) {
		return false
	}
	return dir.Remove() == nil
}

// save records a process that is to wait for its start, before it does.
func (e *join) save() error {
	if e.parked == nil {
		return nil
	}
	id, err := process.Identify(e.pid)
	if err != nil {
		return err
	}
	r := *e.record
	r.ID, r.Init, r.StartHooks = e.opts.Park, id, false
	return e.parked.Save(&r)
}

// StartProcess executes a process that [Runtime.Exec] parked under a name. The
// name is free again afterwards.
func (rt *Runtime) StartProcess(id, name string) error {
	c, err := rt.open(id)
	if err != nil {
		return err
	}
	defer c.close()
	store, err := c.parked()
	if err != nil {
		return err
	}
	defer store.Close()
	dir, err := store.Get(name)
	if errors.Is(err, state.ErrNotExist) || errors.Is(err, state.ErrInvalidID) {
		return fmt.Errorf("container %s has no process %q that waits for its start", id, name)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := lock(dir); err != nil {
		return err
	}
	record, err := dir.Load()
	if errors.Is(err, state.ErrNotExist) {
		return fmt.Errorf("container %s has no process %q that waits for its start: it was never finished", id, name)
	}
	if err != nil {
		return err
	}
	err = (&container{rt, dir, record}).unpark()
	if rerr := dir.Remove(); err == nil {
		err = rerr
	}
	return err
}
