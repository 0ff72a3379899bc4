package nsenter

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is made ahead and what the clone makes are one set of new namespaces.
func TestAhead(t *testing.T) {
	needRoot(t)
	ahead := uint64(unix.CLONE_NEWNET | unix.CLONE_NEWUTS)
	names := []string{"net", "uts", "ipc", "mnt"}
	p := program(Clone{Flags: ahead | unix.CLONE_NEWIPC, Cgroup: None}, Hostname{Name: "inside"}, Loopback{},
		shell("for n in "+strings.Join(names, " ")+"; do readlink /proc/self/ns/$n; done"))
	o := (&call{ahead: ahead, programs: []Program{p}}).run(t).succeeded(t)
	inside := strings.Fields(o.out)
	if len(inside) != len(names) {
		t.Fatalf("inside: %q", o.out)
	}
	for i, name := range names {
		here, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if shared := inside[i] == here; shared != (name == "mnt") {
			t.Errorf("%s: inside %s, here %s", name, inside[i], here)
		}
	}
}

// A namespace that the clone doesn't ask for, or that a user namespace would have to own, must not be made ahead.
func TestAheadHasToBeWanted(t *testing.T) {
	needRoot(t)
	for _, flags := range []uint64{0, unix.CLONE_NEWIPC, unix.CLONE_NEWNET | unix.CLONE_NEWUSER} {
		c := &call{ahead: unix.CLONE_NEWNET, programs: []Program{program(Clone{Flags: flags, Cgroup: None}, exec("/bin/true"))}}
		c.run(t).failed(t, "namespaces made ahead", unix.EPROTO)
	}
}

// What can't be made ahead is left to the clone, which says why.
func TestAheadThatFails(t *testing.T) {
	needRoot(t)
	c := &call{ahead: unix.CLONE_PARENT, programs: []Program{program(Clone{Flags: unix.CLONE_NEWUTS, Cgroup: None}, exec("/bin/true"))}}
	c.run(t).succeeded(t) // unshare(2) doesn't know CLONE_PARENT
}

// Once a program is there nothing is ahead of it any more.
func TestAheadComesFirst(t *testing.T) {
	needStage(t)
	s, err := Start([]uintptr{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if err := s.Ahead(unix.CLONE_NEWUTS); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Receive(); os.Geteuid() == 0 && (err == nil || !strings.Contains(fmt.Sprint(err), "receive plan")) {
		t.Errorf("a second time: %v", err)
	}
}
