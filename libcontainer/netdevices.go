package libcontainer

import (
	"errors"
	"io"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"davit/libcontainer/netdevice"
	"davit/nsenter"
)

// moveDevices moves the configuration's network devices beside the stage. The
// process, which waits for the next phase, keeps their namespace alive.
func (b *boot) moveDevices() error {
	if b.spec.Linux == nil || len(b.spec.Linux.NetDevices) == 0 {
		return nil
	}
	var list []netdevice.Device
	for _, name := range slices.Sorted(maps.Keys(b.spec.Linux.NetDevices)) {
		d := netdevice.Device{Name: name, To: b.spec.Linux.NetDevices[name].Name}
		if d.To == "" {
			d.To = name
		}
		list = append(list, d)
	}
	var err error
	b.devices, err = netdevice.Move(list, b.pid)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		// The process has ended: the stage says why.
		if _, told := b.stage.Receive(); told != nil && told != io.EOF {
			return told
		}
	}
	if err != nil {
		return err
	}
	return b.stage.Release(nsenter.TokenDevicesMoved)
}

// keepDevices gives the devices to the container: they stay in its namespace,
// whatever becomes of it (config-linux.md, Namespace Lifecycle and Container Termination).
func (b *boot) keepDevices() {
	if b.devices != nil {
		b.devices.Close()
		b.devices = nil
	}
}

// returnDevices takes the devices of a container that isn't made after all back to the host.
func (b *boot) returnDevices() {
	if b.devices == nil {
		return
	}
	if err := b.devices.Undo(); err != nil {
		b.rt.log.Warn("clean up: " + err.Error())
	}
	b.keepDevices()
}
