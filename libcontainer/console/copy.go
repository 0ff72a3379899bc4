package console

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// chunk is what is written to Out at a time. A pipe that polls as writable
	// takes as much without blocking (PIPE_BUF, pipe(7)), so that a stalled
	// reader stalls poll, which can be ended, and not write, which cannot.
	chunk = 4096
	// reopenPause is between two looks at a terminal that no process has open.
	// Programs such as login(1) and init systems close theirs and open it again;
	// until then the master only says EIO, and polls as ready.
	reopenPause = 50 * time.Millisecond
	// maxLeftover is how much is shown after the process's end. What it had
	// written by then is in the kernel's buffers, which hold less (64 KiB and the
	// line discipline's 4); what comes later is another process's.
	maxLeftover = 256 << 10
)

// copyOut shows what the container prints, until there is no more after the
// process's end.
func (r *Relay) copyOut() {
	defer close(r.outDone)
	buf := make([]byte, 4*chunk)
	for left := maxLeftover; left > 0; {
		// Asked before reading: it is the read after the end that proves that
		// nothing is left. The kernel moves all that was written to the slave
		// within reach before it says that there is none.
		ended := r.ended.Load()
		n, err := unix.Read(r.pty, buf)
		switch {
		case n > 0:
			if !r.show(buf[:n]) {
				return
			}
			if ended {
				left -= n
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN && !ended:
			if r.pause(r.pty, unix.POLLIN) {
				return
			}
		case (err == unix.EIO || err == nil) && !ended:
			if r.pause(-1, 0) {
				return
			}
		default:
			return
		}
	}
}

// pause waits until fd has one of the events, or, for no fd, a short while; in
// any case no longer than until the process's end. It returns true if the relay
// was told to abort.
func (r *Relay) pause(fd int, events int16) (abort bool) {
	timeout := -1
	if fd < 0 {
		timeout = int(reopenPause / time.Millisecond)
	}
	fds := [3]unix.PollFd{
		{Fd: int32(fd), Events: events}, // poll(2) ignores a negative one
		{Fd: r.draining.fd, Events: unix.POLLIN},
		{Fd: r.aborting.fd, Events: unix.POLLIN},
	}
	poll(fds[:], timeout)
	return fds[2].Revents != 0
}

// show writes to Out, and drops what it does not take any more. It returns false
// if the relay was told to abort.
func (r *Relay) show(p []byte) bool {
	for len(p) > 0 {
		fds := [2]unix.PollFd{
			{Fd: r.aborting.fd, Events: unix.POLLIN},
			{Fd: int32(r.outFD), Events: unix.POLLOUT},
		}
		if r.outErr != nil {
			poll(fds[:1], 0)
			return fds[0].Revents == 0
		}
		poll(fds[:], -1)
		if fds[0].Revents != 0 {
			return false
		}
		n, err := unix.Write(r.outFD, p[:min(len(p), chunk)])
		switch err {
		case nil:
			p = p[n:]
		case unix.EINTR, unix.EAGAIN: // others may have made it non-blocking
		default:
			r.outErr = err
		}
	}
	return true
}

// copyIn types what the caller types, until In or the process ends.
func (r *Relay) copyIn() {
	buf := make([]byte, chunk)
	for r.await(r.inFD, unix.POLLIN) {
		n, err := unix.Read(r.inFD, buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n == 0 || !r.enter(buf[:n]) {
			return
		}
	}
}

// enter writes to the container's terminal. It returns false if there is no more
// use in that.
func (r *Relay) enter(p []byte) bool {
	for len(p) > 0 {
		n, err := unix.Write(r.pty, p)
		ok := true
		switch err {
		case nil:
			p = p[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			ok = r.await(r.pty, unix.POLLOUT)
		case unix.EIO: // no process has it open, not yet or for the moment
			ok = r.await(-1, 0)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// await is pause for who has nothing to do any more after the process's end: it
// returns false then.
func (r *Relay) await(fd int, events int16) bool {
	return !r.pause(fd, events) && !r.ended.Load()
}

// poll is poll(2), in milliseconds, restarted after signals. It does not fail
// with arguments such as ours.
func poll(fds []unix.PollFd, timeout int) {
	for {
		if _, err := unix.Poll(fds, timeout); err != unix.EINTR {
			return
		}
	}
}
