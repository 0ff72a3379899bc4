package hooks

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// keepOutput is how much of a hook's output an error can show.
	keepOutput = 4 << 10
	// maxLeftover is how much is read after a hook's end: more than a pipe holds
	// was not written by then (pipe(7): 64 KiB unless it is enlarged, up to
	// 1 MiB for the unprivileged).
	maxLeftover = 1 << 20
)

// streams are the pipes of one hook: standard input, and one for both outputs,
// so that what is said on them stays in order.
type streams struct {
	childIn, childOut *os.File
	in, out           *os.File
	tail              ring
	serving           sync.WaitGroup
}

func newStreams() (*streams, error) {
	var s streams
	var err error
	if s.childIn, s.in, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("make its standard input: %w", err)
	}
	if s.out, s.childOut, err = os.Pipe(); err != nil {
		s.childIn.Close()
		s.in.Close()
		return nil, fmt.Errorf("make its standard output: %w", err)
	}
	// Without deadlines, end could not end. The runtime's poller refuses a file
	// when the user has too many watched (epoll(7), max_user_watches).
	if err := errors.Join(s.in.SetWriteDeadline(time.Time{}), s.out.SetReadDeadline(time.Time{})); err != nil {
		s.closeChild()
		s.in.Close()
		s.out.Close()
		return nil, fmt.Errorf("make its standard streams: %w", err)
	}
	return &s, nil
}

// closeChild closes the hook's ends, for it has them now.
func (s *streams) closeChild() {
	s.childIn.Close()
	s.childOut.Close()
}

// serve feeds the hook and listens to it until end.
func (s *streams) serve(state []byte) {
	s.serving.Go(func() {
		// A hook need not read its input: EPIPE is no error, nor is the deadline
		// by which end ends this.
		s.in.Write(state)
		s.in.Close()
	})
	s.serving.Go(func() {
		buf := make([]byte, keepOutput)
		for {
			n, err := s.out.Read(buf)
			s.tail.write(buf[:n])
			if err != nil {
				return // end of file, or end's deadline
			}
		}
	})
}

// end stops serving and returns the output. The hook's process has ended, hence
// all that it wrote is in the pipe by now; others may hold the pipe open, and
// are not waited for.
func (s *streams) end() (output []byte, omitted int64) {
	past := time.Unix(1, 0)
	s.in.SetWriteDeadline(past)
	s.out.SetReadDeadline(past)
	s.serving.Wait()
	s.drain()
	s.in.Close()
	s.out.Close()
	return s.tail.bytes()
}

// drain reads what is in the output pipe without waiting for more.
func (s *streams) drain() {
	raw, err := s.out.SyscallConn()
	if err != nil {
		return
	}
	// Control, because Read does nothing once the deadline has passed.
	raw.Control(func(fd uintptr) {
		buf := make([]byte, keepOutput)
		for left := maxLeftover; left > 0; {
			n, err := unix.Read(int(fd), buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n <= 0 {
				return // EAGAIN: empty; 0: empty, and nobody writes any more
			}
			s.tail.write(buf[:n])
			left -= n
		}
	})
}

// ring keeps the last keepOutput bytes written to it.
type ring struct {
	buf   []byte
	next  int // where the next byte goes once buf is full
	total int64
}

func (r *ring) write(p []byte) {
	r.total += int64(len(p))
	if len(p) > keepOutput {
		p = p[len(p)-keepOutput:]
	}
	if room := keepOutput - len(r.buf); room > 0 {
		n := min(room, len(p))
		r.buf = append(r.buf, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := copy(r.buf[r.next:], p)
		r.next = (r.next + n) % keepOutput
		p = p[n:]
	}
}

// bytes returns what is kept, and how much was not.
func (r *ring) bytes() ([]byte, int64) {
	out := append(append([]byte(nil), r.buf[r.next:]...), r.buf[:r.next]...)
	return out, r.total - int64(len(out))
}
