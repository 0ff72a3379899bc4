package nsenter

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// InstrError is an instruction that failed.
type InstrError struct {
	Instr  Instr      // what was to be done; its Op is nil if the stage failed outside of a program
	Call   string     // the system call or step that failed
	Errno  unix.Errno // the reason
	Detail string     // what the kernel or the stage says besides, possibly empty
}

func (e *InstrError) Error() string {
	var b strings.Builder
	if e.Instr.Field != "" {
		b.WriteString(e.Instr.Field)
		b.WriteString(": ")
	}
	b.WriteString(e.Call)
	if e.Detail != "" {
		b.WriteString(" (" + e.Detail + ")")
	}
	b.WriteString(": " + e.Errno.Error())
	return b.String()
}

func (e *InstrError) Unwrap() error { return e.Errno }

// ExecError is an execve(2) that failed, with what is needed to find out why.
type ExecError struct {
	Path  string     // the path that was tried
	Errno unix.Errno // the kernel's reason
	Head  []byte     // the beginning of the file, if it could be read
}

func (e *ExecError) Error() string { return fmt.Sprintf("exec %s: %s", e.Path, e.Errno.Error()) }
func (e *ExecError) Unwrap() error { return e.Errno }

// DecodeFailure interprets what a parked stage wrote to its exec FIFO. It
// returns nil for nothing, that is, for an exec that worked. program is the
// one that the stage was parked in, nil where it isn't known any more.
func DecodeFailure(msg []byte, program Program) error {
	if len(msg) == 0 {
		return nil
	}
	if err := decodeFailure(msg, program); err != nil {
		return err
	}
	return fmt.Errorf("the stage wrote %d bytes that are no report", len(msg))
}

// DecodeParked decodes what a parked process wrote into its FIFO before it
// closed it: nothing if it ended while it waited, which woke tells, and
// otherwise the reason of a failed exec, if it failed.
func DecodeParked(msg []byte) (woke bool, err error) {
	var r wireReport
	if len(msg) >= reportHead {
		copy(bytesOf(&r), msg[:reportHead])
	}
	if woke = reportType(r.Type) == reportReady; woke {
		msg = msg[reportHead:]
	}
	return woke, DecodeFailure(msg, nil)
}

func decodeFailure(msg []byte, program Program) error {
	var r wireReport
	if len(msg) < reportHead {
		return fmt.Errorf("the stage sent a report of %d bytes", len(msg))
	}
	copy(bytesOf(&r), msg)
	switch reportType(r.Type) {
	case reportFailed:
		e := &InstrError{Call: cString(r.Call[:]), Errno: unix.Errno(r.Err), Detail: cString(r.Detail[:])}
		if uint64(r.Index) < uint64(len(program)) {
			e.Instr = program[r.Index]
		}
		return e
	case reportExecFailed:
		var x wireExecReport
		copy(bytesOf(&x), msg)
		head := x.Head[:min(uint64(x.HeadLen), uint64(len(x.Head)))]
		return &ExecError{Path: cString(x.Path[:]), Errno: unix.Errno(x.Err), Head: bytes.Clone(head)}
	}
	return nil
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
