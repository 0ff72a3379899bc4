package cgroups

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	freezeWait     = 5 * time.Second
	killFreezeWait = 200 * time.Millisecond
	// lookAgain is how often a freeze that takes its time is checked to be wanted still.
	lookAgain = 20 * time.Millisecond
)

// freezers returns the groups that can be frozen, the one to use first: that of the
// unified hierarchy, where there is one, as its freezer stops processes in system calls
// and lets killed ones die (cgroup-v2.rst, cgroup.freeze; since Linux 5.2).
func (m *manager) freezers() ([]*group, error) {
	var list []*group
	if g := m.unified(); g != nil {
		list = append(list, g)
	}
	if g := m.v1("freezer"); g != nil {
		list = append(list, g)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: the container is in no cgroup that can be frozen", ErrNotExist)
	}
	return list, nil
}

func (m *manager) Freeze() error { return m.freeze(freezeWait) }

func (m *manager) freeze(wait time.Duration) error {
	list, err := m.freezers()
	if err != nil {
		return err
	}
	g, deadline := list[0], time.Now().Add(wait)
	if g.unified {
		err = g.freezeV2(deadline)
	} else {
		err = g.freezeV1(deadline)
	}
	if err != nil {
		_ = m.Thaw() // half-frozen is worse than running
	}
	return err
}

// Thaw thaws every freezer: others than davit may have used the one it doesn't.
func (m *manager) Thaw() error {
	list, err := m.freezers()
	if err != nil {
		return err
	}
	var failed error
	for _, g := range list {
		if g.unified {
			err = g.write("cgroup.freeze", "0")
		} else {
			err = g.write("freezer.state", "THAWED")
		}
		if err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// Release has nothing to do in the unified hierarchy, where frozen processes can be killed.
func (m *manager) Release() error {
	g := m.v1("freezer")
	if g == nil {
		return nil
	}
	if err := g.open(); err != nil {
		return err
	}
	return walk(g.fd, g.dir, func(fd int, _ string) error {
		return writeAt(fd, "freezer.state", "THAWED")
	})
}

func (m *manager) State() (FreezerState, error) {
	list, err := m.freezers()
	if err != nil {
		return Thawed, err
	}
	state := Thawed
	for _, g := range list {
		s, err := g.state()
		if err != nil {
			return Thawed, err
		}
		state = max(state, s)
	}
	return state, nil
}

func (g *group) state() (FreezerState, error) {
	if g.unified {
		s, err := g.read("cgroup.events")
		if err != nil {
			return Thawed, err
		}
		if eventValue(s, "frozen") == "1" {
			return Frozen, nil
		}
		// A process that joins a frozen cgroup runs for a moment before it stops, too.
		if s, err = g.read("cgroup.freeze"); err == nil && strings.TrimSpace(s) == "1" {
			return Freezing, nil
		}
		return Thawed, err
	}
	s, err := g.read("freezer.state")
	if err != nil {
		return Thawed, err
	}
	switch strings.TrimSpace(s) {
	case "FROZEN":
		return Frozen, nil
	case "FREEZING":
		return Freezing, nil
	}
	return Thawed, nil
}

// Paused tells whether the container with the cgroups of [Manager.Paths] was told to
// freeze. It is [Manager.State] for those who ask of many containers: it reads only
// what was written to the freezers, in one read of one file each, and doesn't see that
// a cgroup above is frozen. What can't be read isn't frozen.
func Paused(paths map[string]string) bool {
	if dir, ok := paths[""]; ok && firstWord(dir+"/cgroup.freeze") == "1" {
		return true
	}
	if dir, ok := paths["freezer"]; ok {
		word := firstWord(dir + "/freezer.state")
		return word == "FROZEN" || word == "FREEZING"
	}
	return false
}

// firstWord reads a file of at most one short line; "" if it can't.
func firstWord(file string) string {
	fd, err := openRetry(unix.AT_FDCWD, file, unix.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var buf [16]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(buf[:n]))
}

// freezeV2 asks for the freeze and sleeps until cgroup.events tells that it is complete.
func (g *group) freezeV2(deadline time.Time) error {
	if err := g.open(); err != nil {
		return err
	}
	if err := g.write("cgroup.freeze", "1"); err != nil {
		return err
	}
	fd, err := openRetry(g.fd, "cgroup.events", unix.O_RDONLY)
	if err != nil {
		return &os.PathError{Op: "open", Path: g.file("cgroup.events"), Err: err}
	}
	defer unix.Close(fd)
	for {
		s, err := rewindRead(fd)
		if err != nil {
			return &os.PathError{Op: "read", Path: g.file("cgroup.events"), Err: err}
		}
		// One that empties while it freezes is never called frozen.
		if eventValue(s, "frozen") == "1" || eventValue(s, "populated") == "0" {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return g.freezeTimeout()
		}
		if s, err := g.read("cgroup.freeze"); err != nil {
			return err
		} else if strings.TrimSpace(s) == "0" {
			return fmt.Errorf("freeze %s: somebody thawed it meanwhile", g.dir)
		}
		// A change of cgroup.events is reported as POLLPRI (cgroup-v2.rst).
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		if _, err := unix.Poll(poll, int(min(left, lookAgain)/time.Millisecond)+1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

// freezeV1 repeats the request: a version 1 cgroup in which a task forks can stay FREEZING
// until it is asked again (cgroup-v1/freezer-subsystem.rst), and a task that sleeps
// uninterruptibly, or is stopped halfway, is let go by thawing now and then.
func (g *group) freezeV1(deadline time.Time) error {
	for round, pause := 1, firstPause; ; round, pause = round+1, min(2*pause, longPause) {
		if err := g.write("freezer.state", "FROZEN"); err != nil {
			return err
		}
		state, err := g.state()
		if err != nil {
			return err
		}
		if state == Frozen {
			return nil
		}
		if time.Now().After(deadline) {
			return g.freezeTimeout()
		}
		if round%25 == 0 {
			if err := g.write("freezer.state", "THAWED"); err != nil {
				return err
			}
		}
		time.Sleep(pause)
	}
}

func (g *group) freezeTimeout() error {
	return fmt.Errorf("freeze %s: not all processes stopped in time (one may be in an uninterruptible sleep); it was thawed", g.dir)
}
