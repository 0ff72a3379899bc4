package systemdtest

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"davit/cgroups/systemd/dbus"
)

// set keeps properties. An empty list takes back what was there, a longer one adds to it.
func (u *unit) set(properties []any) {
	for _, p := range properties {
		p := p.([]any)
		key, value := p[0].(string), p[1].(dbus.Variant).Value
		if list, ok := value.([]any); ok && len(list) > 0 {
			before, _ := u.properties[key].([]any)
			value = append(slices.Clip(before), list...)
		}
		u.properties[key] = value
	}
}

// start makes a unit and its cgroups, with the limits and the processes.
func (d *Double) start(name string, properties []any) error {
	if u := d.units[name]; u != nil {
		return refusal("org.freedesktop.systemd1.UnitExists")
	}
	u := &unit{state: "active", properties: map[string]any{}}
	u.set(properties)
	pids, _ := u.properties["PIDs"].([]any)
	if strings.HasSuffix(name, ".scope") && len(pids) == 0 {
		return fmt.Errorf("%s has no PIDs, refusing", name)
	}
	slice, _ := u.properties["Slice"].(string)
	u.group = d.group + slicePath(slice) + "/" + name
	if strings.HasSuffix(name, ".slice") {
		u.group = d.group + slicePath(name)
	}
	for _, h := range d.hierarchies {
		if err := os.MkdirAll(h+u.group, 0o755); err != nil {
			return err
		}
	}
	if err := d.apply(u); err != nil {
		return err
	}
	d.units[name] = u
	return d.attach(u.group, pids)
}

// slicePath is where a slice is: a-b.slice in a.slice.
func slicePath(slice string) string {
	base, at := strings.TrimSuffix(slice, ".slice"), ""
	for i := range base {
		if base[i] == '-' {
			at += "/" + base[:i] + ".slice"
		}
	}
	return at + "/" + slice
}

// files are some of those that systemd writes, with the property that it takes for it.
var files = map[string]string{
	"memory.max": "MemoryMax", "memory.limit_in_bytes": "MemoryLimit", "pids.max": "TasksMax", "cpu.weight": "CPUWeight", "cpu.shares": "CPUShares",
}

// apply writes properties as systemd does: what isn't set has its default.
func (d *Double) apply(u *unit) error {
	for _, h := range d.hierarchies {
		if err := applyDevices(h+u.group, u); err != nil {
			return err
		}
	}
	for file, property := range files {
		value, set := u.properties[property].(uint64)
		text := "max"
		switch {
		case set && value != 1<<64-1:
			text = strconv.FormatUint(value, 10)
		case file == "memory.limit_in_bytes":
			text = "-1"
		case file == "cpu.weight":
			text = "100"
		case file == "cpu.shares":
			text = "1024"
		}
		for _, h := range d.hierarchies {
			f, err := os.OpenFile(h+u.group+"/"+file, os.O_WRONLY, 0)
			if err != nil {
				continue
			}
			// systemd only warns of what the kernel refuses, as it does a version 1 memory limit above that with swap.
			_, _ = f.WriteString(text)
			f.Close()
		}
	}
	return nil
}

// applyDevices writes a version 1 list anew, which by default allows everything.
func applyDevices(dir string, u *unit) error {
	if _, err := os.Stat(dir + "/devices.deny"); err != nil {
		return nil
	}
	if policy := u.properties["DevicePolicy"]; policy == nil || policy == "auto" {
		return os.WriteFile(dir+"/devices.allow", []byte("a"), 0)
	}
	lines := []string{}
	drivers, err := os.ReadFile("/proc/devices")
	if err != nil {
		return err
	}
	list, _ := u.properties["DeviceAllow"].([]any)
	for _, d := range list {
		d := d.([]any)
		name, access := d[0].(string), d[1].(string)
		kind := "c"
		if strings.HasPrefix(name, "block-") || strings.HasPrefix(name, "/dev/block/") {
			kind = "b"
		}
		number := path.Base(name)
		switch {
		case name == "char-*" || name == "block-*":
			number = "*:*"
		case name[0] != '/':
			_, driver, _ := strings.Cut(name, "-")
			number = ""
			for line := range strings.Lines(string(drivers)) {
				if f := strings.Fields(line); len(f) == 2 && f[1] == driver {
					number = f[0] + ":*"
				}
			}
		}
		lines = append(lines, kind+" "+number+" "+access)
	}
	if err := os.WriteFile(dir+"/devices.deny", []byte("a"), 0); err != nil {
		return err
	}
	for _, l := range lines {
		if err := os.WriteFile(dir+"/devices.allow", []byte(l), 0); err != nil {
			return fmt.Errorf("%s: %w", l, err)
		}
	}
	return nil
}

func (d *Double) attach(group string, pids []any) error {
	for _, h := range d.hierarchies {
		for _, pid := range pids {
			if err := os.WriteFile(h+group+"/cgroup.procs", []byte(fmt.Sprint(pid)), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop ends a unit: its processes, its cgroups with all below, and slices that are empty then.
func (d *Double) stop(name string) error {
	u := d.units[name]
	if u == nil {
		return refusal("org.freedesktop.systemd1.NoSuchUnit")
	}
	delete(d.units, name)
	for _, h := range d.hierarchies {
		for range 100 {
			kill(h + u.group)
			removeAll(h + u.group)
			if _, err := os.Stat(h + u.group); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		for dir := path.Dir(u.group); strings.HasSuffix(dir, ".slice"); dir = path.Dir(dir) {
			if unix.Rmdir(h+dir) != nil {
				break
			}
		}
	}
	return nil
}

func kill(dir string) {
	list, _ := os.ReadFile(dir + "/cgroup.procs")
	for pid := range strings.FieldsSeq(string(list)) {
		if n, err := strconv.Atoi(pid); err == nil && n > 0 {
			_ = unix.Kill(n, unix.SIGKILL)
		}
	}
}

func removeAll(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeAll(dir + "/" + e.Name())
		}
	}
	_ = unix.Rmdir(dir)
}

// Reload writes all units' cgroups anew, as `systemctl daemon-reload` does.
func (d *Double) Reload() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.units {
		if err := d.apply(u); err != nil {
			return err
		}
	}
	return nil
}
