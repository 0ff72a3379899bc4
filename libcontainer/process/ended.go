package process

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// endedPoll bounds how long the watch of Ended outlives its context.
const endedPoll = time.Second

// Ended returns a channel that is closed when the process has ended. Once ctx is
// done it may never be.
func (id ID) Ended(ctx context.Context) (<-chan struct{}, error) {
	ended := make(chan struct{})
	pidfd, err := id.Open()
	if errors.Is(err, ErrGone) {
		close(ended)
		return ended, nil
	}
	if err != nil {
		return nil, err
	}
	go func() {
		defer unix.Close(pidfd)
		for ctx.Err() == nil {
			if over, err := Exited(pidfd, endedPoll); over {
				close(ended)
				return
			} else if err != nil {
				return
			}
		}
	}()
	return ended, nil
}
