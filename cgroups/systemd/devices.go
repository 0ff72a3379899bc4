package systemd

import (
	"fmt"
	"strings"

	"davit/cgroups/systemd/dbus"
)

// DeviceRule is a line for a version 1 devices cgroup, "a" or like "c 1:3 rwm".
type DeviceRule struct {
	Allow bool
	Value string
	Field string // JSON path in config.json that asked for it
}

// DeviceError is a rule that systemd has no words for.
type DeviceError struct{ Field, Rule, Reason string }

func (e *DeviceError) Error() string {
	return fmt.Sprintf("%s: %q %s; use cgroup v2, or leave out --systemd-cgroup", e.Field, e.Rule, e.Reason)
}

// DeviceProperties returns what a unit is told on a host whose devices controller is version 1.
// There systemd owns the list and writes its own at every daemon-reload, so that what it isn't
// told would be lost, and a container without a list would be free to use all devices. In
// the unified hierarchy nothing is told, and systemd leaves the container's own program alone.
//
// The lines are those of a new cgroup, in order. drivers is the content of /proc/devices:
// systemd takes all devices of a major number by their driver's name. It is pure.
func DeviceProperties(rules []DeviceRule, drivers string) ([]Property, error) {
	policy, allowed := "auto", []any{}
	for _, r := range rules {
		switch {
		case r.Value == "a" && r.Allow:
			policy, allowed = "auto", []any{}
		case r.Value == "a":
			policy, allowed = "strict", []any{}
		case !r.Allow:
			return nil, &DeviceError{r.Field, r.Value, "denies what is allowed otherwise, which systemd can't keep on cgroup v1"}
		case policy == "auto":
			// all is allowed anyway
		default:
			name, access, err := deviceName(r, drivers)
			if err != nil {
				return nil, err
			}
			if name != "" {
				allowed = append(allowed, []any{name, access})
			}
		}
	}
	return []Property{
		{"DevicePolicy", dbus.Variant{Sig: "s", Value: policy}},
		{"DeviceAllow", dbus.Variant{Sig: "a(ss)", Value: []any{}}}, // what was there goes
		{"DeviceAllow", dbus.Variant{Sig: "a(ss)", Value: allowed}},
	}, nil
}

// deviceName translates "c 1:3 rwm" to "/dev/char/1:3", which needn't exist, "c 136:* rw" to
// "char-pts" and "b *:* m" to "block-*". A driver that isn't loaded has no devices: that is
// no rule at all.
func deviceName(r DeviceRule, drivers string) (name, access string, err error) {
	f := strings.Fields(r.Value)
	if len(f) != 3 || f[0] != "c" && f[0] != "b" {
		return "", "", &DeviceError{r.Field, r.Value, "is not a rule about devices"}
	}
	kind := "char"
	if f[0] == "b" {
		kind = "block"
	}
	major, minor, _ := strings.Cut(f[1], ":")
	switch {
	case major == "*" && minor == "*":
		return kind + "-*", f[2], nil
	case major == "*":
		return "", "", &DeviceError{r.Field, r.Value, "is about one minor number of every major one, which systemd can't express"}
	case minor != "*":
		return "/dev/" + kind + "/" + f[1], f[2], nil
	}
	if driver := driverOf(drivers, kind, major); driver != "" {
		return kind + "-" + driver, f[2], nil
	}
	return "", "", nil
}

// driverOf looks a major number up in /proc/devices (proc(5)).
func driverOf(table, kind, major string) string {
	section := ""
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[1] == "devices:":
			section = strings.ToLower(f[0])
			if section == "character" {
				section = "char"
			}
		case len(f) == 2 && section == kind && f[0] == major:
			return f[1]
		}
	}
	return ""
}
