// Package notify stands between a container and the service manager that
// started its runtime: what the container's process says by sd_notify(3) is
// passed on, with the pid that the manager knows (MAINPID), as if it came from
// the runtime itself.
//
// The container sees a socket of its own, because the manager's is outside of
// its file tree and takes messages of the service's processes only.
package notify

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Where the socket is inside the container, and in the folder that is bound there.
const (
	Dir    = "/run/notify"
	Socket = Dir + "/" + name
	name   = "notify.sock"
)

// barrierTimeout bounds the wait for the manager to have read the messages (sd_notify_barrier(3)).
const barrierTimeout = 30 * time.Second

// Proxy is the container's socket, listened on.
type Proxy struct {
	host string // the manager's socket
	fd   int
}

// MakeDir makes the folder that is to be bound to [Dir].
func MakeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	// Whatever the umask: the container's user has to get through.
	return os.Chmod(dir, 0o755)
}

// Listen makes the socket in dir. host is NOTIFY_SOCKET as the manager set it.
func Listen(dir, host string) (*Proxy, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	path := dir + "/" + name
	_ = os.Remove(path)
	err = withShortPath(dir, func(short string) error {
		return unix.Bind(fd, &unix.SockaddrUnix{Name: short + "/" + name})
	})
	if err == nil {
		err = os.Chmod(path, 0o777)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("notify socket %s: %w", path, err)
	}
	return &Proxy{host: host, fd: fd}, nil
}

// withShortPath gives a name for dir that fits into the 108 bytes of unix(7).
func withShortPath(dir string, do func(string) error) error {
	if len(dir) < 80 {
		return do(dir)
	}
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(d)
	return do("/proc/self/fd/" + strconv.Itoa(d))
}

// FD is readable when the container has said something.
func (p *Proxy) FD() int { return p.fd }

// Close ends the proxy.
func (p *Proxy) Close() { unix.Close(p.fd) }

// Relay passes on what has arrived, if it says that the container is ready, and
// then reports true: there is nothing more to wait for. pid is the container's
// process as the manager sees it.
func (p *Proxy) Relay(pid int) (ready bool, err error) {
	buf := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(p.fd, buf, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("notify socket: %w", err)
		}
		if line := readyLine(buf[:n]); line != nil {
			return true, p.tell(pid, line)
		}
	}
}

// readyLine finds what a message says of readiness. It is one line and nothing
// else: what more the container would tell the manager (MAINPID, FDSTORE) isn't for it to say.
func readyLine(msg []byte) []byte {
	for line := range bytes.Lines(msg) {
		if bytes.HasPrefix(line, []byte("READY=")) {
			return bytes.TrimRight(line, "\n")
		}
	}
	return nil
}

// Wait relays until the container is ready or its process, named by pidfd, has
// ended. That it ended early is no error here: it did run, how it ended is for
// its parent to see, and the service manager itself misses the message.
func (p *Proxy) Wait(pid, pidfd int) error {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return err
		}
		if fds[0].Revents != 0 {
			if ready, err := p.Relay(pid); ready || err != nil {
				return err
			}
		}
		if fds[1].Revents != 0 {
			return nil
		}
	}
}

// tell sends the ready line, the pid, and a barrier, so that the manager has
// taken them in before we are gone: it can't tell whose message it was then.
func (p *Proxy) tell(pid int, ready []byte) error {
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer unix.Close(sock)
	// A leading @ names an abstract socket, for the manager and for SockaddrUnix alike.
	if err := unix.Connect(sock, &unix.SockaddrUnix{Name: p.host}); err != nil {
		return fmt.Errorf("NOTIFY_SOCKET %s: %w", p.host, err)
	}
	for _, msg := range [][]byte{ready, []byte("MAINPID=" + strconv.Itoa(pid))} {
		if _, err := unix.Write(sock, msg); err != nil {
			return fmt.Errorf("NOTIFY_SOCKET %s: %w", p.host, err)
		}
	}
	return barrier(sock)
}

// barrier sends one end of a pipe, which the manager closes when it has come to the message.
func barrier(sock int) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[0])
	err := unix.Sendmsg(sock, []byte("BARRIER=1"), unix.UnixRights(pipe[1]), nil, 0)
	unix.Close(pipe[1])
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: barrier: %w", err)
	}
	deadline := time.Now().Add(barrierTimeout)
	fds := []unix.PollFd{{Fd: int32(pipe[0])}}
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return nil // a manager that knows no barriers just ignores it
		}
		if n, err := unix.Poll(fds, int(left.Milliseconds())+1); n > 0 || (err != nil && err != unix.EINTR) {
			return nil
		}
	}
}
