package nsenter

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stage is a running stage. It belongs to the goroutine that started it.
type Stage struct {
	pid     int // the process that enters; it ends when it has cloned the container's
	sock    int
	program Program // the one being executed
	queued  Program // the one behind it
}

// Start runs a stage. files become its descriptors 0, 1, 2, …, and those of
// the container's process; no other descriptor is inherited. The stage then
// waits for [Stage.Send], and ends when the caller does.
func Start(files []uintptr) (*Stage, error) {
	code, err := stageBinary()
	if err != nil {
		return nil, err
	}
	exe, err := sealed("davit-stage", code, true)
	if err != nil {
		return nil, fmt.Errorf("start the stage: %w", err)
	}
	defer func() { unix.Close(exe) }()
	// The child finds the memfd by its number, so it must be behind those that the child rearranges.
	if exe <= len(files)+1 {
		high, err := unix.FcntlInt(uintptr(exe), unix.F_DUPFD_CLOEXEC, len(files)+2)
		if err != nil {
			return nil, fmt.Errorf("start the stage: %w", err)
		}
		unix.Close(exe)
		exe = high
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start the stage: socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(exe), []string{"davit-stage", strconv.Itoa(len(files))}, &syscall.ProcAttr{
		Env:   []string{},
		Files: append(append(make([]uintptr, 0, len(files)+1), files...), uintptr(pair[1])),
	})
	if err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start the stage: %w", err)
	}
	return &Stage{pid: pid, sock: pair[0]}, nil
}

// Messages to the stage, see stage/talk.c.
const (
	messagePlan  = 1
	messageToken = 2
)

// Send hands the next program to the stage. fds fill the slots behind those
// that earlier programs filled; the caller keeps and closes its own copies.
func (s *Stage) Send(p Program, fds []int) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	plan, err := sealed("davit-plan", data, false)
	if err != nil {
		return err
	}
	defer unix.Close(plan)
	if s.program == nil {
		s.program = p
	} else {
		s.queued = p
	}
	return s.send(messagePlan, 0, append([]int{plan}, fds...))
}

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
	Call        [32]byte
	Detail      [480]byte
}

type wireExecReport struct {
	Type, Index uint32
	Err         int32
	HeadLen     uint32
	Path        [512]byte
	Head        [2048]byte
}

func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// Report is what a stage says; one of [Cloned], [File], [Waiting], [PhaseDone], [Listener], [Ready].
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

// Ready tells that the next step is the exec.
type Ready struct{}

// Receive waits for the stage's next report. A failed instruction is an
// [*InstrError], a failed exec an [*ExecError], and the end of the
// conversation io.EOF: the process was executed or parked, or it died.
func (s *Stage) Receive() (Report, error) {
	var w wireExecReport // the larger of the two
	buf := bytesOf(&w)
	control := make([]byte, unix.CmsgSpace(4))
	var n, cn int
	var err error
	for {
		n, cn, _, _, err = unix.Recvmsg(s.sock, buf, control, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err == unix.ECONNRESET || (err == nil && n == 0) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("receive from the stage: %w", err)
	}
	fd := -1
	if cn > 0 {
		if fd, err = receivedFd(control[:cn]); err != nil {
			return nil, err
		}
	}
	return s.interpret(buf[:n], fd)
}

func receivedFd(control []byte) (int, error) {
	msgs, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(msgs) != 1 {
		return -1, errors.New("receive from the stage: malformed control message")
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("receive from the stage: expected one descriptor")
	}
	return fds[0], nil
}

func (s *Stage) interpret(msg []byte, fd int) (Report, error) {
	if err := decodeFailure(msg, s.program); err != nil {
		return nil, err
	}
	var r wireReport
	copy(bytesOf(&r), msg)
	switch reportType(r.Type) {
	case reportCloned:
		return Cloned{PID: int(r.Value)}, nil
	case reportFile:
		f := File{Kind: FileKind(r.Value), Fd: fd}
		if r.Err != 0 {
			f.Err = unix.Errno(r.Err)
		}
		return f, nil
	case reportWaiting:
		return Waiting{Token: Token(r.Value)}, nil
	case reportPhaseDone:
		s.program, s.queued = s.queued, nil
		return PhaseDone{}, nil
	case reportListener:
		return Listener{Fd: int(r.Value)}, nil
	case reportReady:
		return Ready{}, nil
	}
	return nil, fmt.Errorf("the stage reports something unknown (%d)", r.Type)
}

// PID is the process that enters; once it has cloned the container's, it ends.
func (s *Stage) PID() int { return s.pid }

// Close ends the conversation and reaps the entering process. A stage that
// hasn't come to its exec, or parked, gives up.
func (s *Stage) Close() {
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
