package process

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// Killed reports whether a SIGKILL waits for the process to run again, as it
// does while a version 1 freezer holds it, or the process has ended. Like Alive
// it doesn't guess: what can't be read is not killed.
func (id ID) Killed() bool {
	if !id.Alive() {
		return true
	}
	text, err := readProc(id.PID, "/status", make([]byte, 8192))
	return err == nil && (hasSignal(text, "\nSigPnd:\t", unix.SIGKILL) || hasSignal(text, "\nShdPnd:\t", unix.SIGKILL))
}

// hasSignal looks for a signal in a mask of proc_pid_status(5).
func hasSignal(status []byte, line string, sig unix.Signal) bool {
	_, rest, _ := bytes.Cut(status, []byte(line))
	value, _, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return false
	}
	mask, err := strconv.ParseUint(string(value), 16, 64)
	return err == nil && mask&(1<<(sig-1)) != 0
}
