package nsenter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stage is a running stage. It belongs to the goroutine that started it.
type Stage struct {
	pid      int // the process that enters; it ends when it has cloned the container's
	sock     int
	programs []Program // the one being executed and those behind it
	clone    int       // index of the Clone that the stage hasn't reported yet, -1 for none
	timed    bool
	early    []message // what the clone said before its parent reported it
}

// message is a report as it came in.
type message struct {
	data []byte
	fd   int // -1 for none
}

// Start runs a stage. files become its descriptors 0, 1, 2, …, and those of
// the container's process; no other descriptor is inherited. There are at
// least three. The stage then waits for [Stage.Send], and ends when the caller
// does.
func Start(files []uintptr) (*Stage, error) {
	if len(files) < 3 {
		return nil, errors.New("start the stage: it needs standard input, output and error")
	}
	for i, f := range files {
		// A hole would be filled by descriptors of the stage's own.
		if int(f) < 0 {
			return nil, fmt.Errorf("start the stage: descriptor %d is missing", i)
		}
	}
	code, err := stageBinary()
	if err != nil {
		return nil, err
	}
	exe, err := sealed(stageName, code, true)
	if err != nil {
		return nil, fmt.Errorf("start the stage: %w", err)
	}
	defer unix.Close(exe)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start the stage: socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	// The memfd is handed over like the others, for only then its number in the
	// child is certain. The stage begins with closing what is behind the socket.
	all := append(append(make([]uintptr, 0, len(files)+2), files...), uintptr(pair[1]), uintptr(exe))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	CallersTimers()
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(len(files)+1), []string{stageName, strconv.Itoa(len(files))},
		&syscall.ProcAttr{Env: []string{}, Files: all})
	if err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start the stage: %w", err)
	}
	return &Stage{pid: pid, sock: pair[0], clone: -1}, nil
}

// Messages to the stage, see stage/talk.c.
const (
	messagePlan  = 1
	messageToken = 2
	messageAhead = 3
)

// Send hands the next program to the stage. fds fill the slots behind those
// that earlier programs filled; the caller keeps and closes its own copies.
func (s *Stage) Send(p Program, fds []int) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	if s.timed {
		binary.NativeEndian.PutUint32(data[headerTimed:], 1)
	}
	plan, err := sealed("davit-plan", data, false)
	if err != nil {
		return err
	}
	defer unix.Close(plan)
	if len(s.programs) == 0 {
		s.clone = slices.IndexFunc(p, func(in Instr) bool { _, ok := in.Op.(Clone); return ok })
	}
	s.programs = append(s.programs, p)
	return s.send(messagePlan, 0, append([]int{plan}, fds...))
}

// Ahead lets the stage make namespaces while the first program is still being
// compiled: the CLONE_NEW* flags have to be among those of its [Clone], which
// then makes the others. What can't be made ahead is left to the Clone, too, so
// that a failure is reported there. It comes before the first Send.
func (s *Stage) Ahead(flags uint64) error { return s.send(messageAhead, uint32(flags), nil) }

// Time makes the stage tell when each instruction of the programs that are sent
// from now on ended, see [Times].
func (s *Stage) Time() { s.timed = true }

// Release tells the stage that davit has done its part named t.
func (s *Stage) Release(t Token) error { return s.send(messageToken, uint32(t), nil) }

func (s *Stage) send(kind, value uint32, fds []int) error {
	msg := [2]uint32{kind, value}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(s.sock, bytesOf(&msg), rights, nil, unix.MSG_NOSIGNAL)
		if err == nil || err != unix.EINTR {
			// A stage that is gone has said why: the next Receive tells.
			if err == unix.EPIPE || err == unix.ECONNRESET {
				return nil
			}
			return err
		}
	}
}

// wireReport is struct report of stage/stage.h, wireExecReport struct exec_report.
type wireReport struct {
	Type, Index uint32
	Err, Value  int32
	Call        [callSize]byte
	Detail      [detailSize]byte
}

type wireExecReport struct {
	Type, Index uint32
	Err         int32
	HeadLen     uint32
	Path        [pathSize]byte
	Head        [headSize]byte
}

// reportHead is what every report begins with.
const reportHead = int(unsafe.Offsetof(wireReport{}.Call))

func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// Report is what a stage says; one of [Cloned], [File], [Waiting], [PhaseDone], [Listener], [Times], [Ready].
type Report any

// Cloned tells that the container's process exists. It is a child of the caller.
type Cloned struct{ PID int }

// File is a descriptor from inside the container, or the reason why there is
// none. The receiver owns it.
type File struct {
	Kind FileKind
	Fd   int // -1 with Err
	Err  error
}

// Waiting tells that the stage does nothing until davit releases Token.
type Waiting struct{ Token Token }

// PhaseDone tells that a program ended and the stage takes the next.
type PhaseDone struct{}

// Listener tells the number of the seccomp listener in the container's process.
type Listener struct{ Fd int }

// Times tells when things happened, in ns of CLOCK_MONOTONIC: for each program
// when the stage had it, and then when each of its instructions ended. It comes
// before [Ready], in parts.
type Times []uint64

// Ready tells that the next step is the exec.
type Ready struct{}

// ErrSilent is a stage that said nothing for as long as [Stage.Patience] allows.
var ErrSilent = errors.New("the stage doesn't go on")

// Patience bounds every later [Stage.Receive]. It is for a stage whose system
// calls a third party may keep waiting; 0 waits without end.
func (s *Stage) Patience(d time.Duration) error {
	limit := unix.NsecToTimeval(d.Nanoseconds())
	if err := unix.SetsockoptTimeval(s.sock, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return fmt.Errorf("bound the wait for the stage: %w", err)
	}
	return nil
}

// Receive waits for the stage's next report. A failed instruction is an
// [*InstrError], a failed exec an [*ExecError], and the end of the
// conversation io.EOF: the process was executed or parked, or it died.
//
// [Cloned] comes before whatever the clone says itself.
func (s *Stage) Receive() (Report, error) {
	if s.clone < 0 && len(s.early) > 0 {
		m := s.early[0]
		s.early = s.early[1:]
		return s.interpret(m)
	}
	for {
		m, err := s.receive()
		switch {
		case err == io.EOF && len(s.early) > 0:
			// Its parent died before it could report the clone.
			s.clone = -1
			return s.Receive()
		case err != nil:
			return nil, err
		case s.isEarly(&m):
			s.early = append(s.early, m)
		default:
			return s.interpret(m)
		}
	}
}

// isEarly tells whether a message is from the clone, which runs beside the parent that has yet to report it.
func (s *Stage) isEarly(m *message) bool {
	if s.clone < 0 || len(m.data) < reportHead {
		return false
	}
	var r wireReport
	copy(bytesOf(&r), m.data)
	return reportType(r.Type) != reportCloned && (len(s.early) > 0 || int64(r.Index) > int64(s.clone))
}

// receive takes one message off the socket.
func (s *Stage) receive() (message, error) {
	var w wireExecReport // the larger of the two
	control := make([]byte, unix.CmsgSpace(4))
	for {
		n, cn, flags, _, err := unix.Recvmsg(s.sock, bytesOf(&w), control, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR || err == unix.ECONNRESET:
			// Reset: the stage ended without reading all that was sent to it. The
			// kernel says so once, before it gives out what the stage said last.
			continue
		case err == unix.EAGAIN:
			return message{}, ErrSilent
		case err == nil && n == 0:
			return message{}, io.EOF
		case err != nil:
			return message{}, fmt.Errorf("receive from the stage: %w", err)
		}
		m := message{data: bytesOf(&w)[:n], fd: -1}
		if cn > 0 {
			m.fd, err = receivedFd(control[:cn])
		}
		if err == nil && flags&unix.MSG_CTRUNC != 0 {
			err = errors.New("receive from the stage: a descriptor was lost (is the limit of open files reached?)")
		}
		if err != nil && m.fd >= 0 {
			unix.Close(m.fd)
		}
		return m, err
	}
}

func receivedFd(control []byte) (int, error) {
	msgs, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(msgs) != 1 {
		return -1, errors.New("receive from the stage: malformed control message")
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return -1, errors.New("receive from the stage: expected one descriptor")
	}
	return fds[0], nil
}

func (s *Stage) interpret(m message) (Report, error) {
	report, err := s.report(m)
	if f, ok := report.(File); m.fd >= 0 && (!ok || f.Err != nil) {
		unix.Close(m.fd)
	}
	return report, err
}

func (s *Stage) report(m message) (Report, error) {
	var program Program
	if len(s.programs) > 0 {
		program = s.programs[0]
	}
	if err := decodeFailure(m.data, program); err != nil {
		return nil, err
	}
	var r wireReport
	copy(bytesOf(&r), m.data)
	switch reportType(r.Type) {
	case reportCloned:
		s.clone = -1
		return Cloned{PID: int(r.Value)}, nil
	case reportFile:
		f := File{Kind: FileKind(r.Value), Fd: m.fd}
		switch {
		case r.Err != 0:
			f.Fd, f.Err = -1, unix.Errno(r.Err)
		case m.fd < 0:
			return nil, fmt.Errorf("the stage reports a file (%s) without a descriptor", f.Kind)
		}
		return f, nil
	case reportWaiting:
		return Waiting{Token: Token(r.Value)}, nil
	case reportPhaseDone:
		if len(s.programs) > 0 {
			s.programs = s.programs[1:]
		}
		return PhaseDone{}, nil
	case reportListener:
		return Listener{Fd: int(r.Value)}, nil
	case reportTimes:
		return decodeTimes(m.data, int(r.Value))
	case reportReady:
		return Ready{}, nil
	}
	return nil, fmt.Errorf("the stage reports something unknown (%d)", r.Type)
}

func decodeTimes(data []byte, n int) (Report, error) {
	data = data[reportHead:]
	if n < 0 || len(data) != 8*n {
		return nil, fmt.Errorf("the stage reports %d times in %d bytes", n, len(data))
	}
	times := make(Times, n)
	for i := range times {
		times[i] = binary.NativeEndian.Uint64(data[8*i:])
	}
	return times, nil
}

// PID is the process that enters; once it has cloned the container's, it ends.
func (s *Stage) PID() int { return s.pid }

// Close ends the conversation and reaps the entering process. A stage that
// hasn't come to its exec, or parked, gives up. A program without Clone makes
// the entering process itself the one that is executed: Close waits for its end.
func (s *Stage) Close() {
	if s == nil {
		return
	}
	for _, m := range s.early {
		if m.fd >= 0 {
			unix.Close(m.fd)
		}
	}
	s.early = nil
	if s.sock >= 0 {
		unix.Close(s.sock)
		s.sock = -1
	}
	s.Reap()
}

// Reap waits for the entering process, which ends with its clone.
func (s *Stage) Reap() {
	for s.pid > 0 {
		if _, err := unix.Wait4(s.pid, nil, 0, nil); err != unix.EINTR {
			s.pid = 0
		}
	}
}
