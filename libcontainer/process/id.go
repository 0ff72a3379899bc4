// Package process names processes so that a name never comes to mean another
// process. A pid alone is reused by the kernel; a pid together with the time
// its process was started is not.
//
// Everything here works from outside the process, by /proc/PID/stat, pidfds
// (Linux 5.4) and nothing else, and starts no process of its own.
package process

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone reports that the process an ID names does not exist any more: it was
// reaped, and its pid is free or belongs to another process.
var ErrGone = errors.New("process does not exist any more")

// ErrHidden reports that a process exists but its /proc entry cannot be seen:
// procfs is not mounted, is another pid namespace's, or has hidepid= (proc(5)).
var ErrHidden = errors.New("process is not visible in /proc (is procfs mounted, without hidepid=, for this pid namespace?)")

// Error says which process an operation failed for. It unwraps to ErrGone,
// ErrHidden or the kernel's error number.
type Error struct {
	Op  string // what was tried: "identify", "open", "signal", "find the inner pid of"
	PID int
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%s process %d: %v", e.Op, e.PID, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// ID is the identity of a process.
//
// The zero ID names no process; its operations report ErrGone.
type ID struct {
	// PID is the process's number in the pid namespace of the caller.
	PID int `json:"pid"`
	// StartTime is when the process was started, in clock ticks (1/100 s) since
	// boot: field 22 of /proc/PID/stat. The kernel shows it through the time
	// namespace of the reader (time_namespaces(7)), so an ID means the same only
	// to readers whose boot clocks agree.
	StartTime uint64 `json:"startTime"`
}

// Identify returns the identity of the process that has the pid now. A zombie
// has one still. The caller must know by other means, such as being its parent,
// that the pid has not been reused before the call.
func Identify(pid int) (ID, error) {
	st, err := readStat(pid)
	if err != nil {
		return ID{}, &Error{"identify", pid, err}
	}
	return ID{PID: pid, StartTime: st.startTime}, nil
}

// Open returns a pidfd, close-on-exec, of exactly the process that id names, or
// an error that wraps ErrGone. The caller closes it. The process may be a
// zombie, and may end at any time; the pidfd goes on to mean it.
func (id ID) Open() (pidfd int, err error) {
	pidfd, err = id.open()
	if err != nil {
		return -1, &Error{"open", id.PID, err}
	}
	return pidfd, nil
}

func (id ID) open() (int, error) {
	if id.PID <= 0 {
		return -1, ErrGone
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err == unix.ESRCH {
		return -1, ErrGone
	}
	if err != nil {
		// Newer kernels and older ones differ in what they say (EINVAL, ENOENT)
		// when the number has become a thread's. The start time tells.
		if _, gone := id.stat(); errors.Is(gone, ErrGone) {
			return -1, ErrGone
		}
		return -1, fmt.Errorf("pidfd_open: %w", err)
	}
	// The start time is read after the pidfd was opened. If it is the right one,
	// the process was there before and is there still, hence also in between.
	if _, err := id.stat(); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// stat reads the process's state, and reports ErrGone if the pid is another's.
func (id ID) stat() (stat, error) {
	st, err := readStat(id.PID)
	if err == nil && st.startTime != id.StartTime {
		err = ErrGone
	}
	return st, err
}

// Alive reports whether the process still runs: it exists and is not a zombie
// waiting to be reaped. A process whose first thread has ended while others go
// on runs, although the kernel shows it as a zombie.
//
// When the kernel's answer cannot be had (ErrHidden, out of descriptors), Alive
// is true: what a caller would do to a dead process, such as removing its
// state, must not be done on a guess.
func (id ID) Alive() bool {
	st, err := id.stat()
	if err != nil {
		return !errors.Is(err, ErrGone)
	}
	return !st.dead()
}

// Signal sends sig to the process through a pidfd. It returns an error that
// wraps ErrGone if the process does not exist any more. As with kill(2), a
// zombie takes every signal without effect, and signal 0 only asks whether one
// could be sent.
func (id ID) Signal(sig unix.Signal) error {
	fd, err := id.open()
	if err == nil {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
		unix.Close(fd)
	}
	if err == unix.ESRCH {
		err = ErrGone
	}
	if err != nil {
		return &Error{"signal", id.PID, err}
	}
	return nil
}

// Exited waits until the process of a pidfd has ended, with all its threads, for
// at most the given time: 0 only looks, a negative one waits without end. It
// does not reap.
func Exited(pidfd int, wait time.Duration) (bool, error) {
	deadline := time.Now().Add(wait)
	for {
		ms := -1
		if wait >= 0 {
			// Rounded up: poll(2) counts in milliseconds, and must not spin
			// through the last one.
			ms = int((max(time.Until(deadline), 0) + time.Millisecond - 1) / time.Millisecond)
		}
		fds := [1]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds[:], ms)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, fmt.Errorf("poll pidfd %d: %w", pidfd, err)
		case n > 0 && fds[0].Revents&unix.POLLNVAL != 0:
			return false, fmt.Errorf("poll pidfd %d: %w", pidfd, unix.EBADF)
		}
		return n > 0, nil
	}
}
