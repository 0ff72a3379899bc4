package systemd

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ConnectError is a manager that can't be reached.
type ConnectError struct {
	User     bool
	Failures []string // one for each address
}

func (e *ConnectError) Error() string {
	s := "connect to systemd: " + strings.Join(e.Failures, "; ")
	if e.User {
		return s + " (a user's manager is started by a login or by `loginctl enable-linger`, and found by XDG_RUNTIME_DIR or DBUS_SESSION_BUS_ADDRESS; without one, leave out --systemd-cgroup)"
	}
	return s + " (where no systemd runs, leave out --systemd-cgroup)"
}

// TimeoutError is a manager that didn't answer, or didn't come to an end, in time.
type TimeoutError struct {
	What    string // a method, or its job
	Address string
	After   time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("systemd at %s did not finish %s within %v: it hangs or is overloaded; see `systemctl list-jobs` and `journalctl -b _PID=1`, try again, or leave out --systemd-cgroup",
		e.Address, e.What, e.After)
}

// Timeout is true, as for the errors of other packages that know deadlines.
func (e *TimeoutError) Timeout() bool { return true }

// CallError is a manager's refusal.
type CallError struct {
	Method  string
	Name    string // such as org.freedesktop.systemd1.UnitExists
	Message string
}

func (e *CallError) Error() string {
	s := fmt.Sprintf("systemd refuses %s: %s", e.Method, e.Message)
	if e.Message == "" {
		s += e.Name
	}
	switch {
	case e.Name == "org.freedesktop.DBus.Error.ServiceUnknown", e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner",
		strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Spawn."):
		s += " (no systemd manager is on this bus; a user's needs a login session or `loginctl enable-linger`)"
	case e.Name == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", e.Name == "org.freedesktop.DBus.Error.AccessDenied":
		s += " (without privilege, use the user's manager: it is found by XDG_RUNTIME_DIR or DBUS_SESSION_BUS_ADDRESS)"
	}
	return s
}

func isCall(err error, name string) bool {
	var c *CallError
	return errors.As(err, &c) && c.Name == name
}

// JobError is a job that didn't end well.
type JobError struct {
	Method string
	Unit   string
	Result string // such as "failed", "timeout", "canceled", "dependency"
}

func (e *JobError) Error() string {
	return fmt.Sprintf("systemd: %s of %s ended with result %q; see `systemctl status %s` and `journalctl -u %s`", e.Method, e.Unit, e.Result, e.Unit, e.Unit)
}

// UnitExistsError is a unit that can't be made because another one has its name.
type UnitExistsError struct{ Unit, State string }

func (e *UnitExistsError) Error() string {
	return fmt.Sprintf("unit %s exists already (it is %s): another container has it; choose another id or linux.cgroupsPath, or see `systemctl status %s`", e.Unit, e.State, e.Unit)
}
