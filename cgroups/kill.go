package cgroups

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	killFile   = "cgroup.kill" // since Linux 5.14
	killRounds = 100
)

func (m *manager) Kill(sig unix.Signal) error {
	if len(m.groups) == 0 {
		return ErrNotExist
	}
	if sig != unix.SIGKILL {
		return m.signalFrozen(sig)
	}
	g := m.unified()
	if g == nil {
		return m.killFrozen()
	}
	err := g.write(killFile, "1")
	switch {
	case err == nil && len(m.groups) > 1:
		// In hybrid mode a process of the version 1 groups may have been moved
		// elsewhere in the unified hierarchy; and one frozen there can't die.
		if err = m.killRounds(); err != nil {
			return err
		}
		if err = errors.Join(m.Thaw(), m.Release()); isGone(err) {
			return nil
		}
		return err
	case errors.Is(err, unix.ENOENT):
		return m.killFrozen()
	}
	return err
}

// killFrozen kills what can't fork away, being frozen. Where freezing doesn't come
// through, rounds have to do. Either way all is thawed in the end, as a frozen version 1
// task doesn't die.
func (m *manager) killFrozen() error {
	if m.freeze(killFreezeWait) == nil {
		defer func() { _ = m.Thaw() }()
	}
	defer func() { _ = m.Release() }()
	return m.killRounds()
}

// killRounds kills until nobody new is found: a process that is forking when it is hit
// leaves at most children that the next round finds.
func (m *manager) killRounds() error {
	g, err := m.main()
	if err != nil {
		return err
	}
	seen := make(map[int]bool)
	for range killRounds {
		list, err := g.pids(true)
		if errors.Is(err, ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		fresh := false
		for _, pid := range list {
			fresh = fresh || !seen[pid]
			seen[pid] = true
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return fmt.Errorf("kill process %d in %s: %w", pid, g.dir, err)
			}
		}
		if !fresh {
			return nil
		}
	}
	return fmt.Errorf("kill the processes in %s: new ones kept appearing", g.dir)
}

// signalFrozen sends a signal to all while none can fork, then restores the state.
func (m *manager) signalFrozen(sig unix.Signal) error {
	before, err := m.State()
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	if err == nil && before == Thawed && m.freeze(killFreezeWait) == nil {
		defer func() { _ = m.Thaw() }()
	}
	list, err := m.Pids(true)
	if err != nil {
		return err
	}
	for _, pid := range list {
		if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
			return fmt.Errorf("send %v to process %d: %w", sig, pid, err)
		}
	}
	return nil
}

// isGone tells an error that comes of a cgroup's removal.
func isGone(err error) bool {
	return errors.Is(err, ErrNotExist) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}

// eventValue returns a value of a flat-keyed file such as cgroup.events.
func eventValue(content, key string) string {
	for line := range strings.Lines(content) {
		if rest, ok := strings.CutPrefix(line, key+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}
