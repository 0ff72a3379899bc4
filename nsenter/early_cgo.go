//go:build cgo

package nsenter

/*
extern unsigned long long davit_began;
extern int davit_stage_pid, davit_stage_sock, davit_gomaxprocs_set;
extern long davit_timer_slack;
extern const char *davit_gomaxprocs;
*/
import "C"

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Early returns the stage that davit's main function started before the Go
// runtime, for the descriptors 0, 1 and 2, or nil if it started none. The
// first call returns it; it belongs to the caller.
//
// It also makes the environment the caller's again.
func Early() *Stage {
	if C.davit_gomaxprocs_set != 0 {
		C.davit_gomaxprocs_set = 0
		if C.davit_gomaxprocs == nil {
			os.Unsetenv("GOMAXPROCS")
		} else {
			os.Setenv("GOMAXPROCS", C.GoString(C.davit_gomaxprocs))
		}
	}
	if C.davit_stage_pid <= 0 {
		return nil
	}
	s := &Stage{pid: int(C.davit_stage_pid), sock: int(C.davit_stage_sock), clone: -1}
	C.davit_stage_pid = 0
	return s
}

// Concurrent gives the Go runtime the processors that davit's main function kept
// from it, for goroutines that block in system calls beside each other: on a
// single processor one would have to wait until the other is noticed to be blocked.
func Concurrent() {
	if C.davit_timer_slack >= 0 {
		runtime.GOMAXPROCS(max(4, runtime.NumCPU()))
	}
}

// Began is when davit's main function was called, before the Go runtime
// started, in ns of CLOCK_MONOTONIC; 0 in a program that isn't davit.
func Began() uint64 { return uint64(C.davit_began) }

// CallersTimers gives the calling thread the timer slack of davit's caller
// (PR_SET_TIMERSLACK(2const)): a process that is started from it inherits that,
// and the thread may have one that suits nobody but the Go runtime. The
// calling goroutine must be locked to its thread.
func CallersTimers() {
	if C.davit_timer_slack > 0 {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(C.davit_timer_slack), 0, 0, 0)
	}
}
