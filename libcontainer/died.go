package libcontainer

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"davit/libcontainer/process"
)

// died explains why the conversation ended too early.
func (l *launch) died() error {
	l.stage.Reap()
	if l.pid == 0 {
		if err := forbiddenMemfd(); err != nil {
			return err
		}
		return errors.New("the stage ended before it made the container's process (is its memory limited, or a security module in the way?)")
	}
	ws, err := reap(l.pid)
	l.pid = 0
	if err == nil && ws.Signaled() {
		return l.killed(ws.Signal())
	}
	return fmt.Errorf("the container's process ended before its exec, with status %d", process.ExitCode(ws))
}

// killed tells an out-of-memory kill, whose phrases engines know, from anybody else's: the
// kernel counts the former, be they for the container's limit or for the host's want.
func (l *launch) killed(sig unix.Signal) error {
	kills, counted := uint64(0), true
	if sig == unix.SIGKILL {
		stats, err := l.cgroup.Stats()
		if counted = err == nil; counted {
			kills, counted = stats.Memory.Events["oom_kill"]
		}
	}
	switch {
	case kills > 0 && l.kind == "setns":
		return errors.New("the process was killed before its exec (possibly OOM-killed)") // or others were, earlier
	case kills > 0:
		return errors.New("container init was OOM-killed (memory limit too low?)")
	case !counted:
		return errors.New("the container's process was killed before its exec, by SIGKILL from outside or for want of memory (its cgroup has no count of that)")
	}
	return fmt.Errorf("the container's process was killed before its exec, by %s from outside", unix.SignalName(sig))
}
