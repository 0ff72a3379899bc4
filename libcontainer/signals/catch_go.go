//go:build !cgo

package signals

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Catch catches the signals for which want is true.
func Catch(want func(unix.Signal) bool) (*Pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("catch signals: %w", err)
	}
	ch := make(chan os.Signal, 256)
	for sig := unix.Signal(1); sig <= Last; sig++ {
		if want(sig) {
			signal.Notify(ch, sig)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range ch {
			if sig, ok := s.(unix.Signal); ok {
				_, _ = unix.Write(fds[1], []byte{byte(sig)})
			}
		}
	}()
	return &Pipe{fd: fds[0], stop: func() {
		signal.Stop(ch)
		close(ch)
		<-done
		unix.Close(fds[0])
		unix.Close(fds[1])
	}}, nil
}
