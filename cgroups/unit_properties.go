package cgroups

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"davit/cgroups/systemd"
	"davit/cgroups/systemd/dbus"
)

// properties are those of a new unit with the process pid. What annotations say has the last
// word.
func (m *unitManager) properties(pid int, writes []Write) ([]systemd.Property, error) {
	var list []systemd.Property
	put := func(name, sig string, value any) {
		list = append(list, systemd.Property{Name: name, Value: dbus.Variant{Sig: sig, Value: value}})
	}
	put("Description", "s", "container "+m.cfg.ID)
	if !m.unit.IsSlice() {
		put("Slice", "s", m.unit.Slice)
		put("Delegate", "b", true) // what is below the cgroup is the container's
		put("PIDs", "au", []uint32{uint32(pid)})
	}
	put("DefaultDependencies", "b", false)                       // it ends when it is told to, not with the host's shutdown.target
	put("CollectMode", "s", "inactive-or-failed")                // a failed one doesn't keep its name
	for _, name := range [...]string{"CPU", "Memory", "Tasks"} { // their controllers are enabled
		put(name+"Accounting", "b", true)
	}
	if m.v1("blkio") != nil {
		put("BlockIOAccounting", "b", true)
	} else {
		put("IOAccounting", "b", true)
	}
	limits, err := m.derived(writes, systemd.Bandwidth{})
	if err != nil {
		return nil, err
	}
	devices, err := deviceProperties(deviceLines(writes))
	if err != nil {
		return nil, err
	}
	annotated, err := systemd.Annotated(m.cfg.Annotations)
	return append(append(append(list, limits...), devices...), annotated...), err
}

// derived translates a batch for systemd.
func (m *unitManager) derived(writes []Write, now systemd.Bandwidth) ([]systemd.Property, error) {
	version, err := m.client.Version()
	if err != nil {
		return nil, err
	}
	var settings []systemd.Setting
	for i := range writes {
		for w := &writes[i]; w != nil; w = w.Else {
			settings = append(settings, systemd.Setting{File: w.File, Value: w.Value})
		}
	}
	return systemd.Properties(settings, now, version), nil
}

// bandwidth reads the CPU time that an update of only its quota, or its period, stands beside.
func (m *unitManager) bandwidth() (b systemd.Bandwidth) {
	quota, period := "", ""
	if g := m.v1("cpu"); g != nil {
		quota, _ = g.read("cpu.cfs_quota_us")
		period, _ = g.read("cpu.cfs_period_us")
	} else if g := m.unified(); g != nil {
		now, _ := g.read("cpu.max")
		quota, period, _ = strings.Cut(now, " ")
	}
	b.Quota, _ = strconv.ParseInt(strings.TrimSpace(quota), 10, 64) // "max" is none
	b.Period, _ = strconv.ParseUint(strings.TrimSpace(period), 10, 64)
	return b
}

// deviceLines picks the lines for a version 1 devices cgroup out of a batch.
func deviceLines(writes []Write) []Write {
	var lines []Write
	for _, w := range writes {
		if w.Controller == devicesController {
			lines = append(lines, w)
		}
	}
	return lines
}

func deviceProperties(lines []Write) ([]systemd.Property, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	drivers, err := os.ReadFile("/proc/devices")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", devicesField, err)
	}
	rules := make([]systemd.DeviceRule, 0, len(lines))
	for _, w := range lines {
		rules = append(rules, systemd.DeviceRule{Allow: w.File == "devices.allow", Value: w.Value, Field: w.Field})
	}
	return systemd.DeviceProperties(rules, string(drivers))
}
