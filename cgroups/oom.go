package cgroups

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func (m *manager) OOM(ctx context.Context) (<-chan struct{}, error) {
	if len(m.groups) == 0 {
		return nil, ErrNotExist
	}
	w := &oomWatch{stop: -1, kills: -1, events: -1, memory: -1}
	if err := w.prepare(m); err != nil {
		w.close()
		return nil, err
	}
	out := make(chan struct{}, 16)
	woken := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(w.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	go func() {
		defer close(out)
		w.run(ctx, out)
		if !forget() {
			<-woken // or it would write to a closed descriptor
		}
		w.close()
	}()
	return out, nil
}

// oomWatch holds what an OOM channel sleeps on; -1 is not in use.
type oomWatch struct {
	stop   int    // eventfd that wakes up for the context's end
	kills  int    // version 1: eventfd that the kernel signals for an OOM, and on removal
	dir    string // version 1: the memory cgroup
	memory int    // version 2: memory.events
	events int    // unified hierarchy: cgroup.events
	lived  bool   // unified hierarchy: it had processes
	seen   uint64 // version 2: kills already reported
}

func (w *oomWatch) prepare(m *manager) (err error) {
	if w.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if g := m.v1("memory"); g != nil {
		if err := w.register(g); err != nil {
			return err
		}
	}
	g := m.unified()
	if g == nil {
		if w.kills < 0 {
			return fmt.Errorf("watch for OOM kills: %w", &ControllerError{Controller: "memory", Field: "events", Reason: ": the container has no cgroup in its hierarchy"})
		}
		return nil
	}
	if err := g.open(); err != nil {
		return err
	}
	if w.events, err = openRetry(g.fd, "cgroup.events", unix.O_RDONLY); err != nil {
		return &os.PathError{Op: "open", Path: g.file("cgroup.events"), Err: err}
	}
	if w.kills >= 0 {
		return nil
	}
	// Without the memory controller nothing can be killed for a limit of its.
	w.memory, err = openRetry(g.fd, "memory.events", unix.O_RDONLY)
	if err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "open", Path: g.file("memory.events"), Err: err}
	}
	if w.memory < 0 {
		return nil
	}
	w.seen, err = oomKills(w.memory)
	return err
}

// register has a version 1 memory cgroup signal an eventfd (cgroup-v1/memory.rst, 10).
func (w *oomWatch) register(g *group) (err error) {
	if err := g.open(); err != nil {
		return err
	}
	if w.kills, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	const file = "memory.oom_control"
	control, err := openRetry(g.fd, file, unix.O_RDONLY)
	if err != nil {
		return &os.PathError{Op: "open", Path: g.file(file), Err: err}
	}
	defer unix.Close(control)
	w.dir = g.dir
	return g.write("cgroup.event_control", fmt.Sprintf("%d %d", w.kills, control))
}

func (w *oomWatch) close() {
	for _, fd := range [...]int{w.stop, w.kills, w.events, w.memory} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// run reports kills until the context ends or nobody is left to be killed.
func (w *oomWatch) run(ctx context.Context, out chan<- struct{}) {
	// Cgroup files report a change as POLLPRI until they are read (cgroup-v2.rst); a
	// negative descriptor is passed over (poll(2)).
	fds := []unix.PollFd{
		{Fd: int32(w.stop), Events: unix.POLLIN},
		{Fd: int32(w.kills), Events: unix.POLLIN},
		{Fd: int32(w.memory), Events: unix.POLLPRI},
		{Fd: int32(w.events), Events: unix.POLLPRI},
	}
	for {
		kills, over := w.look()
		for range kills {
			select {
			case out <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		if over || ctx.Err() != nil {
			return
		}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
	}
}

// look returns the kills since it was last called, and whether there can be no more.
func (w *oomWatch) look() (kills uint64, over bool) {
	if w.events >= 0 {
		s, err := rewindRead(w.events)
		populated := err == nil && eventValue(s, "populated") == "1"
		over = err != nil || w.lived && !populated
		w.lived = populated
	}
	if w.memory >= 0 {
		if n, err := oomKills(w.memory); err == nil && n > w.seen {
			kills, w.seen = n-w.seen, n
		}
	}
	if w.kills >= 0 {
		var buf [8]byte
		if n, err := unix.Read(w.kills, buf[:]); err == nil && n == len(buf) {
			// Removal of the cgroup signals as well.
			if unix.Access(w.dir+"/cgroup.event_control", unix.F_OK) != nil {
				return kills, true
			}
			kills += binary.NativeEndian.Uint64(buf[:])
		}
	}
	return kills, over
}

// oomKills reads memory.events: a kill in the cgroup or below.
func oomKills(fd int) (uint64, error) {
	s, err := rewindRead(fd)
	if err != nil {
		return 0, os.NewSyscallError("read memory.events", err)
	}
	return parseUint(eventValue(s, "oom_kill"))
}
