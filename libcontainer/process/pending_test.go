package process

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKilled(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if id.Killed() {
		t.Error("a process that runs is called killed")
	}
	if err := id.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !id.Killed() {
		t.Error("a process that was killed isn't called so")
	}
	const status = "Name:\tsleep\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\nSigBlk:\t0000000000000000\n"
	if !hasSignal([]byte(status), "\nShdPnd:\t", unix.SIGKILL) || hasSignal([]byte(status), "\nSigPnd:\t", unix.SIGKILL) || hasSignal([]byte(status), "\nShdPnd:\t", unix.SIGTERM) {
		t.Error("the masks are misread")
	}
}

func TestEnded(t *testing.T) {
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	ended, err := id.Ended(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Fatal("a process that runs has ended")
	case <-time.After(20 * time.Millisecond):
	}
	_ = cmd.Process.Kill()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("its end isn't told")
	}
	_ = cmd.Wait()
	if ended, err = id.Ended(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ended
}
