package cgroups

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups/devices"
)

const (
	devicesController = "devices"
	devicesField      = fieldRoot + "devices"
)

// devices adds the lines for a version 1 hierarchy. An empty list asks for nothing: the
// cgroup has what its parent has.
func (b *batch) devices(list []specs.LinuxDeviceCgroup) {
	if len(list) == 0 || b.err != nil {
		return
	}
	policy, err := devices.NewPolicy(list)
	if err != nil {
		b.err = err
		return
	}
	switch {
	case b.layout.V1Controller(devicesController) != nil:
		plan, err := policy.V1()
		if err != nil {
			b.err = err
			return
		}
		if plan.WithoutMknod {
			b.warn("devices", "cgroup v1 can't deny to make some device nodes and allow all others, so only those of devices that the list allows something of can be made")
		}
		b.writes = append(b.writes, deviceWrites(plan.Lines())...)
		if policy.Unrestricted() {
			b.writes[len(b.writes)-1].Default = true
		}
	case b.layout.Unified == "":
		b.err = &ControllerError{Controller: devicesController, Field: devicesField, Reason: controllerFiles{b: b}.absence()}
	}
}

func deviceWrites(lines []devices.Line) []Write {
	writes := make([]Write, 0, len(lines))
	for _, l := range lines {
		w := Write{Controller: devicesController, File: "devices.deny", Value: l.Value, Field: l.Field}
		if l.Allow {
			w.File = "devices.allow"
		}
		if w.Field == "" {
			w.Field = devicesField
		}
		writes = append(writes, w)
	}
	return writes
}

// attachDevices enforces a list in the unified hierarchy, where that is in charge of it.
func (m *manager) attachDevices(list []specs.LinuxDeviceCgroup, fresh bool) error {
	g := m.unified()
	if len(list) == 0 || g == nil || m.v1(devicesController) != nil {
		return nil
	}
	policy, err := devices.NewPolicy(list)
	if err != nil {
		return err
	}
	if fresh && policy.Unrestricted() {
		return nil
	}
	if err := g.open(); err != nil {
		return err
	}
	err = policy.Attach(g.fd, fresh)
	if err != nil && m.toleratesDevices(err) {
		return nil
	}
	return err
}

// toleratesDevices lets a rootless container do without device rules, with a warning: a
// user namespace can't make device nodes, and those it is given have their own modes.
func (m *manager) toleratesDevices(err error) bool {
	if !m.cfg.Rootless || !isPermission(err) {
		return false
	}
	m.warn([]Warning{{Field: devicesField, Text: fmt.Sprintf("not enforced, as the caller isn't permitted to: %v", err)}})
	return true
}

// withoutDevices is the same for a container that has no cgroup at all.
func (m *manager) withoutDevices(res *specs.LinuxResources) *specs.LinuxResources {
	if len(res.Devices) == 0 {
		return res
	}
	m.warn([]Warning{{Field: devicesField, Text: "not enforced, as the container has no cgroup"}})
	rest := *res
	rest.Devices = nil
	return &rest
}

// deviceUpdate is a change of a version 1 devices cgroup whose processes run. Its zero
// value changes nothing.
type deviceUpdate struct {
	m      *manager
	change devices.Change
	before string // devices.list
}

// planDevices takes a batch's version 1 device lines out and plans those that lead from
// what the running container has now.
func (m *manager) planDevices(writes []Write, list []specs.LinuxDeviceCgroup) ([]Write, *deviceUpdate, error) {
	u := &deviceUpdate{m: m}
	g := m.v1(devicesController)
	if g == nil || len(list) == 0 {
		return writes, u, nil
	}
	policy, err := devices.NewPolicy(list)
	if err != nil {
		return nil, nil, err
	}
	plan, err := policy.V1()
	if err != nil {
		return nil, nil, err
	}
	if u.before, err = g.read("devices.list"); err != nil {
		return nil, nil, err
	}
	u.change = plan.Change(u.before)
	isDevice := func(w Write) bool { return w.Controller == devicesController }
	return slices.DeleteFunc(writes, isDevice), u, nil
}

// apply makes the change. One that has a moment of neither the old rules nor the new is
// made while the processes are stopped; where they can't be, it is made all the same.
func (u *deviceUpdate) apply() error {
	if len(u.change.Lines) == 0 {
		return nil
	}
	err := u.write(u.change)
	if err != nil {
		u.undo()
	}
	return err
}

func (u *deviceUpdate) write(c devices.Change) error {
	if c.Abrupt {
		if state, err := u.m.State(); err == nil && state == Thawed && u.m.freeze(killFreezeWait) == nil {
			defer func() { _ = u.m.Thaw() }()
		}
	}
	_, err := u.m.apply(deviceWrites(c.Lines))
	return err
}

// undo brings the rules from before back, as far as they are known.
func (u *deviceUpdate) undo() {
	g := u.m.v1(devicesController)
	if g == nil || len(u.change.Lines) == 0 {
		return
	}
	if now, err := g.read("devices.list"); err == nil {
		_ = u.write(devices.Back(u.before, now))
	}
}

// beyondParent tells a default device that the parent cgroup doesn't allow: the container
// has it denied as everything else the parent denies.
func beyondParent(w Write, err error) bool {
	return err == unix.EPERM && w.Controller == devicesController && w.Field == devicesField && w.Value != "a"
}
