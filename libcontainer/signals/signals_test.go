package signals

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCatchAll(t *testing.T) {
	p, err := Catch(Forwarded)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	want := map[unix.Signal]bool{}
	for sig := unix.Signal(1); sig <= Last; sig++ {
		if Forwarded(sig) {
			want[sig] = true
			if err := unix.Kill(unix.Getpid(), sig); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !want[unix.SIGTERM] || !want[64] || want[unix.SIGCHLD] || want[unix.SIGURG] {
		t.Fatalf("wrong set of signals: %v", want)
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(want) > 0 && time.Now().Before(deadline) {
		if sig := p.Next(); sig != 0 {
			if !want[sig] {
				t.Errorf("signal %d arrived twice or unasked", sig)
			}
			delete(want, sig)
			continue
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}, 100)
	}
	if len(want) > 0 {
		t.Fatalf("signals that never arrived: %v", want)
	}
}
