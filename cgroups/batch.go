package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Write is one value for one file in a container's cgroup.
type Write struct {
	// Controller owns the file; "" for the core files of the unified hierarchy.
	Controller string
	// Unified is set if the file is in the unified hierarchy.
	Unified bool
	File    string
	Value   string
	// Field is the JSON path in config.json that asked for it.
	Field string
	// Default marks the value that a new cgroup has anyway. It needs no write there, and
	// no file, and so no controller.
	Default bool
	// Optional marks a value that a kernel without the file has in effect.
	Optional bool
	// Else is what to write instead where the kernel has no such file.
	Else *Write
}

// Batch translates linux.resources to the files of the hierarchies that the layout has,
// each controller's to version 1 where it is mounted there, else to the unified hierarchy.
// It is pure: whether the kernel offers a controller there shows when it is written.
// Writes come in an order that suits a new cgroup.
//
// ociVersion is the config's: since 1.3 a pids.limit of 0 is a limit, before it is none.
// Device rules for the unified hierarchy are checked but are no files: package devices attaches
// them.
func Batch(res *specs.LinuxResources, layout *Layout, ociVersion string) ([]Write, []Warning, error) {
	b := &batch{layout: layout}
	if res == nil {
		return nil, nil, nil
	}
	if res.CPU != nil {
		b.cpu(res.CPU)
	}
	if res.Memory != nil {
		b.memory(res.Memory)
	}
	if res.Pids != nil && res.Pids.Limit != nil {
		b.pids(*res.Pids.Limit, ociVersion)
	}
	if res.BlockIO != nil {
		b.blockIO(res.BlockIO)
	}
	b.hugepages(res.HugepageLimits)
	if res.Network != nil {
		b.network(res.Network)
	}
	b.rdma(res.Rdma)
	b.unified(res.Unified)
	b.devices(res.Devices)
	if b.err != nil {
		return nil, nil, b.err
	}
	return b.writes, b.warnings, nil
}

// batch collects writes; after the first error it collects nothing.
type batch struct {
	layout   *Layout
	writes   []Write
	warnings []Warning
	err      error
}

const fieldRoot = "linux.resources."

// controllerFiles adds writes to the files of one controller.
type controllerFiles struct {
	b     *batch
	name  string
	v2    bool
	known bool // mounted in version 1, or possibly in the unified hierarchy
}

// on picks the hierarchy for a controller, which has the name v1 in version 1 and v2 in the
// unified hierarchy; "" says that the version doesn't have it.
func (b *batch) on(v1, v2 string) controllerFiles {
	if v1 != "" && b.layout.V1Controller(v1) != nil {
		return controllerFiles{b: b, name: v1, known: true}
	}
	if b.layout.Unified != "" && v2 != "" {
		return controllerFiles{b: b, name: v2, v2: true, known: true}
	}
	name := v1
	if name == "" {
		name = v2
	}
	return controllerFiles{b: b, name: name, v2: b.layout.Unified != ""}
}

// put adds a write.
func (c controllerFiles) put(field, file, value string) {
	c.add(Write{File: file, Value: value, Field: field})
}

// putDefault adds a write of what a new cgroup has anyway.
func (c controllerFiles) putDefault(field, file, value string) {
	c.add(Write{File: file, Value: value, Field: field, Default: true})
}

// either picks a file name by version.
func (c controllerFiles) either(v1, v2 string) string {
	if c.v2 {
		return v2
	}
	return v1
}

func (c controllerFiles) add(w Write) {
	w.Field = fieldRoot + w.Field
	w.Controller, w.Unified = c.name, c.v2
	for e := w.Else; e != nil; e = e.Else {
		e.Field, e.Controller, e.Unified = w.Field, w.Controller, w.Unified
	}
	switch {
	case c.b.err != nil:
	case c.known:
		c.b.writes = append(c.b.writes, w)
	case w.Default:
	default:
		c.b.err = &ControllerError{Controller: c.name, Field: w.Field, Reason: c.absence()}
	}
}

// absence says why a controller has no hierarchy here, and what to do.
func (c controllerFiles) absence() string {
	switch c.b.layout.Mode {
	case None:
		return ": the container has no cgroup; mount a cgroup filesystem, give the container a cgroup that the caller may create, or remove the limit"
	case V2:
		return " on cgroup v2; remove the setting"
	}
	return ": no mounted cgroup hierarchy has it; mount one, or remove the setting"
}

// fail records that a field's value can't be had.
func (b *batch) fail(field, format string, args ...any) {
	if b.err == nil {
		b.err = &ResourceError{Field: fieldRoot + field, Reason: fmt.Sprintf(format, args...)}
	}
}

func (b *batch) warn(field, text string) {
	b.warnings = append(b.warnings, Warning{Field: fieldRoot + field, Text: text})
}

// pids: the smallest limit that lets a container's init run is 1, so that is what a limit
// of 0 comes to (the kernel counts the init itself).
func (b *batch) pids(limit int64, ociVersion string) {
	c := b.on("pids", "pids")
	const field, file = "pids.limit", "pids.max"
	switch {
	case limit > 0:
		c.put(field, file, strconv.FormatInt(limit, 10))
	case limit == 0 && atLeast13(ociVersion):
		c.put(field, file, "1")
	default:
		c.putDefault(field, file, "max")
	}
}

// atLeast13 tells whether a config is written against runtime-spec 1.3 or later.
func atLeast13(ociVersion string) bool {
	major, rest, _ := strings.Cut(ociVersion, ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, err1 := strconv.Atoi(major)
	y, err2 := strconv.Atoi(minor)
	return err1 == nil && err2 == nil && (x > 1 || x == 1 && y >= 3)
}

// hugepages limits reservations, which the kernel enforces at mmap(2), and page faults,
// which are bounded by them anyway: a payload that looks finds its limit in either file.
func (b *batch) hugepages(limits []specs.LinuxHugepageLimit) {
	c := b.on("hugetlb", "hugetlb")
	for i, l := range limits {
		field := fmt.Sprintf("hugepageLimits[%d]", i)
		if !isPageSize(l.Pagesize) {
			b.fail(field+".pageSize", "%q is not of the form <size>KB, <size>MB or <size>GB", l.Pagesize)
			return
		}
		value := strconv.FormatUint(l.Limit, 10)
		prefix := "hugetlb." + l.Pagesize
		c.put(field, prefix+c.either(".rsvd.limit_in_bytes", ".rsvd.max"), value)
		c.put(field, prefix+c.either(".limit_in_bytes", ".max"), value)
	}
}

func isPageSize(s string) bool {
	n := len(s) - 2
	if n < 1 || s[n+1] != 'B' || strings.IndexByte("KMG", s[n]) < 0 || s[0] == '0' {
		return false
	}
	for _, c := range s[:n] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// network: both controllers exist in version 1 only. A class of 0 is none, which needs no
// controller; where there is one it is written, as a new cgroup has its parent's.
func (b *batch) network(n *specs.LinuxNetwork) {
	if n.ClassID != nil {
		c := b.on("net_cls", "")
		c.add(Write{File: "net_cls.classid", Value: strconv.FormatUint(uint64(*n.ClassID), 10), Field: "network.classID",
			Default: *n.ClassID == 0 && !c.known})
	}
	for i, p := range n.Priorities {
		field := fmt.Sprintf("network.priorities[%d]", i)
		if p.Name == "" || strings.ContainsAny(p.Name, " \t\n/\x00") {
			b.fail(field+".name", "%q is not the name of a network interface", p.Name)
			return
		}
		b.on("net_prio", "").put(field, "net_prio.ifpriomap", p.Name+" "+strconv.FormatUint(uint64(p.Priority), 10))
	}
}

func (b *batch) rdma(devices map[string]specs.LinuxRdma) {
	c := b.on("rdma", "rdma")
	for _, name := range sortedKeys(devices) {
		d, field := devices[name], "rdma."+name
		if name == "" || strings.ContainsAny(name, " \t\n\x00") {
			b.fail("rdma", "%q is not the name of a device", name)
			return
		}
		if d.HcaHandles == nil && d.HcaObjects == nil {
			b.fail(field, "needs hcaHandles or hcaObjects")
			return
		}
		value := name
		if d.HcaHandles != nil {
			value += " hca_handle=" + strconv.FormatUint(uint64(*d.HcaHandles), 10)
		}
		if d.HcaObjects != nil {
			value += " hca_object=" + strconv.FormatUint(uint64(*d.HcaObjects), 10)
		}
		c.put(field, "rdma.max", value)
	}
}

// unified passes files of the unified hierarchy through, in sorted order and after all
// else. The kernel takes one line a write, so a value of several lines becomes several.
func (b *batch) unified(files map[string]string) {
	for _, file := range sortedKeys(files) {
		field := "unified." + file
		controller, _, ok := strings.Cut(file, ".")
		if !ok || controller == "" || strings.ContainsAny(file, "/\n\x00") {
			b.fail("unified", "%q is not the name of a file in a cgroup, <controller>.<setting>", file)
			return
		}
		switch file {
		case "cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze":
			b.fail(field, "acts on processes, it is not a resource")
			return
		}
		if b.layout.Unified == "" {
			b.fail(field, "needs cgroup v2, which is not mounted on this host")
			return
		}
		if controller == "cgroup" {
			controller = ""
		} else if h := b.layout.V1Controller(controller); h != nil {
			b.err = &ControllerError{Controller: controller, Field: fieldRoot + field,
				Reason: " on this host's cgroup v2 (it is bound to cgroup v1, mounted at " + h.Mountpoint + "); use the setting's version 1 equivalent, or boot with cgroup_no_v1=" + controller}
			return
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(files[file], "\n"), "\n") {
			controllerFiles{b: b, name: controller, v2: true, known: true}.put(field, file, line)
		}
	}
}
