//go:build cgo

package signals

/*
#include <errno.h>
#include <signal.h>
#include <unistd.h>

// A signal handler has no other way to know where to write.
static volatile int davit_signal_pipe = -1;

static void davit_on_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	unsigned char b = (unsigned char)sig;

	(void)info;
	(void)context;
	// The pipe doesn't block; with 65,536 signals waiting one more is lost.
	if (write(davit_signal_pipe, &b, 1) < 0)
		errno = saved;
	errno = saved;
}

// SA_ONSTACK as the Go runtime demands of every handler: the stacks of goroutines are small.
static int davit_catch(int sig)
{
	struct sigaction action = { .sa_sigaction = davit_on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	sigfillset(&action.sa_mask);
	return sigaction(sig, &action, NULL);
}

static void davit_catch_to(int fd) { davit_signal_pipe = fd; }
*/
import "C"

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Catch catches the signals for which want is true.
func Catch(want func(unix.Signal) bool) (*Pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("catch signals: %w", err)
	}
	C.davit_catch_to(C.int(fds[1]))
	for sig := unix.Signal(1); sig <= Last; sig++ {
		if want(sig) {
			C.davit_catch(C.int(sig)) // what can't be caught keeps its default
		}
	}
	return &Pipe{fd: fds[0], stop: func() {
		// The handlers stay: what arrives from now on is nobody's, and goes nowhere.
		C.davit_catch_to(-1)
		unix.Close(fds[0])
		unix.Close(fds[1])
	}}, nil
}
