// Package signals catches the signals that a foreground command passes on to
// its container.
//
// It is not os/signal because of what that costs at the start: each signal is
// several switches between threads, and a container that lives for a
// millisecond would wait for sixty of them. Here one handler writes the
// signal's number to a pipe, and catching is one system call for each signal.
package signals

import (
	"golang.org/x/sys/unix"
)

// Last is the highest signal number.
const Last = 64

// Forwarded tells whether a signal that a runtime in the foreground gets is meant
// for its container: not what is about the runtime's own children and pipes, nor
// what stops it at a terminal while it is a job in the background (caught, the
// kernel would restart and refuse the same call for ever), nor faults of its process, nor what the Go runtime (SIGURG, SIGPROF) and the C library
// (32 to 34) use themselves.
func Forwarded(sig unix.Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGURG, unix.SIGPROF, unix.SIGKILL, unix.SIGSTOP, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE,
		unix.SIGILL, unix.SIGTRAP, unix.SIGSYS, unix.SIGABRT, 32, 33, 34:
		return false
	}
	return sig > 0 && sig <= Last
}

// Pipe is where caught signals arrive. There can be one in a process.
type Pipe struct {
	fd   int
	stop func()
}

// FD is readable, and non-blocking, when a signal has arrived.
func (p *Pipe) FD() int { return p.fd }

// Next returns a signal that has arrived, or 0 if there is none.
func (p *Pipe) Next() unix.Signal {
	var b [1]byte
	for {
		n, err := unix.Read(p.fd, b[:])
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			return 0
		}
		return unix.Signal(b[0])
	}
}

// Close gives the signals back to the Go runtime.
func (p *Pipe) Close() { p.stop() }
