package cgroups

import (
	"errors"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// destroyWait bounds how long ending processes are waited for: a killed process
	// leaves its cgroup when it has given back its memory, and has had its I/O.
	destroyWait = 2 * time.Second
	// The first pause is about the time a small process needs to end.
	firstPause = 100 * time.Microsecond
	longPause  = 20 * time.Millisecond
)

func (m *manager) Destroy() error {
	var failed []error
	deadline := time.Now().Add(destroyWait)
	for _, g := range m.groups {
		g.close()
		if err := g.remove(deadline); err != nil {
			failed = append(failed, err)
			continue
		}
		for dir, n := path.Dir(g.dir), m.parents; n > 0; dir, n = path.Dir(dir), n-1 {
			if unix.Rmdir(dir) != nil {
				break // another container's as well
			}
		}
	}
	return errors.Join(failed...)
}

// remove removes the directory and all below it.
func (g *group) remove(deadline time.Time) error {
	if g.mount == "" { // recorded: open checks that it is a cgroup
		if err := g.open(); err != nil {
			if errors.Is(err, ErrNotExist) {
				return nil
			}
			return err
		}
		g.close()
	}
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := unix.Rmdir(g.dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY && err != unix.EINTR {
			return &BusyError{Path: g.dir, Err: err}
		}
		held, err := g.removeChildren()
		if err != nil {
			return &BusyError{Path: g.dir, Err: err}
		}
		if len(held) == 0 {
			// The children went; or what held it went meanwhile; or the kernel still
			// takes the last child or zombie apart.
			if unix.Rmdir(g.dir) == nil {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return &BusyError{Path: g.dir, Pids: held, Err: unix.EBUSY}
		}
		time.Sleep(pause)
	}
}

// removeChildren removes what it can below the directory and returns the processes that
// are in the way.
func (g *group) removeChildren() (held []int, err error) {
	if err := g.open(); err != nil {
		if errors.Is(err, ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	defer g.close()
	err = walk(g.fd, g.dir, func(fd int, dir string) (err error) {
		if dir != g.dir && unix.Rmdir(dir) == nil {
			return nil
		}
		held, err = pids(fd, held)
		return err
	})
	return held, err
}
