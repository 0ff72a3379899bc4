package systemd

import (
	"errors"
	"strings"
	"time"

	"davit/cgroups/systemd/dbus"
)

// Property of a unit.
type Property struct {
	Name  string
	Value dbus.Variant
}

// existsWait bounds how long a unit of the same name that is ending is waited for.
const existsWait = 2 * time.Second

const (
	unitExists = busName + ".UnitExists"
	noSuchUnit = busName + ".NoSuchUnit"
)

// StartTransient has the manager make a unit and start it, and returns when it runs. A unit
// of that name which has failed or ended is out of the way afterwards; for one that runs the
// error is a [*UnitExistsError].
func (c *Client) StartTransient(unit string, properties []Property) error {
	giveUp := time.Now().Add(min(existsWait, c.timeout))
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		start := manager("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", encodable(properties), []any{})
		err := c.job(start, unit)
		if !isCall(err, unitExists) {
			return err
		}
		state, failed := c.state(unit)
		if failed != nil {
			return failed
		}
		switch state {
		case "failed":
			if err := c.reset(unit); err != nil {
				return err
			}
		case "inactive", "deactivating": // the manager is about to forget it
		default:
			return &UnitExistsError{unit, state}
		}
		if time.Now().After(giveUp) {
			return &UnitExistsError{unit, state}
		}
		time.Sleep(pause)
	}
}

// job calls a method that returns a job, and waits for its end.
func (c *Client) job(call *dbus.Message, unit string) error {
	c.removed = nil
	replies, err := c.call(call)
	if err != nil {
		return err
	}
	return c.awaitJob(call.Member, unit, replies[0].String(0))
}

func (c *Client) state(unit string) (string, error) {
	replies, err := c.call(c.get(unitPath(unit), unitIf, "ActiveState"))
	if err != nil {
		return "", err
	}
	return replies[0].String(0), nil
}

func (c *Client) reset(unit string) error {
	_, err := c.call(manager("ResetFailedUnit", "s", unit))
	if isCall(err, noSuchUnit) {
		return nil
	}
	return err
}

// SetProperties changes a running unit's properties until it ends, and returns when the manager
// has brought its cgroup in line.
func (c *Client) SetProperties(unit string, properties []Property) error {
	// Cgroups are written between two messages: the second answer says that it is done.
	_, err := c.call(manager("SetUnitProperties", "sba(sv)", unit, true, encodable(properties)),
		&dbus.Message{Path: objectPath, Interface: "org.freedesktop.DBus.Peer", Member: "Ping"})
	return err
}

// Stop ends a unit and has the manager forget it, if dir is the directory of its cgroup: a unit
// of that name may be somebody else's by now. That there is none is no error.
func (c *Client) Stop(unit, dir string) error {
	replies, err := c.call(c.get(unitPath(unit), unitInterface(unit), "ControlGroup"))
	if isCall(err, noSuchUnit) {
		return nil
	}
	if err != nil {
		return err
	}
	if group := replies[0].String(0); group == "" || !strings.HasSuffix(dir, group) {
		return nil
	}
	err = c.job(manager("StopUnit", "ss", unit, "replace"), unit)
	if isCall(err, noSuchUnit) {
		return nil
	}
	var failed *JobError
	if err != nil && !errors.As(err, &failed) {
		return err
	}
	if err := c.reset(unit); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return nil
}

// Attach moves a process into a unit's cgroup, or into sub below it ("/" is the unit's own). A
// user manager has the system's do what it may not itself.
func (c *Client) Attach(unit, sub string, pid int) error {
	_, err := c.call(manager("AttachProcessesToUnit", "ssau", unit, sub, []uint32{uint32(pid)}))
	return err
}

func encodable(properties []Property) []any {
	list := make([]any, len(properties))
	for i, p := range properties {
		list[i] = []any{p.Name, p.Value}
	}
	return list
}
