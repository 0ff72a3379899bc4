package vm

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// On cgroup v2 devices are granted by a BPF program on the cgroup.
func TestDevices(t *testing.T) {
	kmsg := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: harness.Pointer(int64(1)), Minor: harness.Pointer(int64(11)), Access: "rwm"}
	deny := specs.LinuxDeviceCgroup{Access: "rwm"}
	s := running(t, harness.AllCapabilities(), resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{deny, kmsg}}))
	// Making a node is always allowed, opening it is not.
	execute(s, "mknod /kmsg c 1 11 && mknod /disk b 254 0")
	open := "for d in /dev/null /dev/zero /dev/random /kmsg /disk; do (exec 3<$d) 2>/dev/null && echo -n $d; done; true"
	if out := execute(s, open); out != "/dev/null/dev/zero/dev/random/kmsg" {
		t.Errorf("allowed are the defaults and kmsg, these can be opened: %s", out)
	}
	// A running container's rules change at once.
	update := s.Command("update", "--resources", "-", s.ID).In(`{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":254,"minor":0,"access":"r"}]}`)
	update.Do().Succeeds()
	if out := execute(s, open); out != "/dev/null/dev/zero/dev/random/disk" {
		t.Errorf("after the update, these can be opened: %s", out)
	}
}
