package process

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Signals that have no names, by the numbers the C library gives them: it keeps
// the first two of the kernel's real-time signals, 32 and 33, for its threads
// (signal(7)), and SIGRTMIN is counted after them.
const (
	sigRTMin = 34
	sigRTMax = 64 // _NSIG on amd64 and arm64
)

var errSignal = errors.New("want a name such as TERM, SIGTERM or RTMIN+3, or a number from 0 to 64")

// SignalError reports a text that names no signal.
type SignalError struct {
	Text string
	Err  error
}

func (e *SignalError) Error() string {
	return "unknown signal " + strconv.Quote(e.Text) + ": " + e.Err.Error()
}
func (e *SignalError) Unwrap() error { return e.Err }

// ParseSignal reads a signal as kill(1) takes it: a name in any case with or
// without SIG, a real-time signal counted from RTMIN or back from RTMAX, or a
// decimal number. 0 is a number like another: sending it asks whether the
// process is there.
func ParseSignal(text string) (unix.Signal, error) {
	if n, ok := number(text); ok {
		if n > sigRTMax {
			return 0, &SignalError{text, errSignal}
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if sig, ok := realTime(name); ok {
		return sig, nil
	}
	if sig := byName(name); sig != 0 {
		return sig, nil
	}
	return 0, &SignalError{text, errSignal}
}

// number reads plain decimal digits; strconv would also take a sign.
func number(s string) (int, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	if s == "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		n = sigRTMax + 1 // digits, but out of every range
	}
	return n, true
}

func realTime(name string) (unix.Signal, bool) {
	base, sign := sigRTMin, 1
	rest, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = sigRTMax, -1
		if rest, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if rest == "" {
		return unix.Signal(base), true
	}
	n, ok := number(rest[1:])
	if !ok || n > sigRTMax-sigRTMin || (rest[0] == '+') != (sign > 0) || rest[0] != '+' && rest[0] != '-' {
		return 0, false
	}
	return unix.Signal(base + sign*n), true
}

func byName(name string) unix.Signal {
	// Second names of signal(7).
	switch name {
	case "IOT":
		return unix.SIGABRT
	case "CLD":
		return unix.SIGCHLD
	case "POLL":
		return unix.SIGIO
	}
	return unix.SignalNum("SIG" + name)
}

// ExitCode returns the code by which a shell, and a foreground run, tell how a
// process ended: its exit status, or 128 plus the signal that killed it. For a
// status that is not an end (stopped, continued) it is -1.
func ExitCode(ws unix.WaitStatus) int {
	switch {
	case ws.Exited():
		return ws.ExitStatus()
	case ws.Signaled():
		return 128 + int(ws.Signal())
	}
	return -1
}
