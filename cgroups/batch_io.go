package cgroups

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (b *batch) blockIO(r *specs.LinuxBlockIO) {
	c := b.on("blkio", "io")
	if w := deref(r.Weight); w != 0 {
		c.ioWeight("blockIO.weight", "", w)
	}
	if w := deref(r.LeafWeight); w != 0 {
		c.leafWeight("blockIO.leafWeight", "", w)
	}
	for i, d := range r.WeightDevice {
		field := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if d.Weight == nil && d.LeafWeight == nil {
			b.fail(field, "needs weight or leafWeight")
			return
		}
		device := deviceNumber(d.Major, d.Minor)
		if w := deref(d.Weight); w != 0 {
			c.ioWeight(field+".weight", device, w)
		}
		if w := deref(d.LeafWeight); w != 0 {
			c.leafWeight(field+".leafWeight", device, w)
		}
	}
	throttles := [...]throttle{
		{"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", r.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", r.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", r.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", r.ThrottleWriteIOPSDevice},
	}
	if c.v2 {
		c.ioMax(throttles[:])
		return
	}
	for _, t := range throttles {
		for i, d := range t.devices {
			c.put(fmt.Sprintf("blockIO.%s[%d]", t.field, i), t.v1, deviceNumber(d.Major, d.Minor)+" "+strconv.FormatUint(d.Rate, 10))
		}
	}
}

// throttle is one of the four kinds of bandwidth limits.
type throttle struct {
	field, v1, v2 string
	devices       []specs.LinuxThrottleDevice
}

// ioMax merges the four lists to one line a device, as io.max takes them. There 0 is no
// number, where in version 1 it takes a limit away: that is "max".
func (c controllerFiles) ioMax(throttles []throttle) {
	var lines []Write
	for _, t := range throttles {
		for i, d := range t.devices {
			device := deviceNumber(d.Major, d.Minor)
			at := slices.IndexFunc(lines, func(w Write) bool { return w.Value[:min(len(w.Value), len(device)+1)] == device+" " })
			if at < 0 {
				at = len(lines)
				lines = append(lines, Write{File: "io.max", Value: device, Field: fmt.Sprintf("blockIO.%s[%d]", t.field, i)})
			}
			rate := "max"
			if d.Rate != 0 {
				rate = strconv.FormatUint(d.Rate, 10)
			}
			lines[at].Value += " " + t.v2 + "=" + rate
		}
	}
	for _, w := range lines {
		c.add(w)
	}
}

// ioWeight sets the weight for one device, or for all without one. The file is named after
// the scheduler that serves it: CFQ's went with Linux 5.0, BFQ's are 1 to 1000 in both
// versions, and cost-based weights of version 2 are 1 to 10000.
func (c controllerFiles) ioWeight(field, device string, weight uint16) {
	if weight < 10 || weight > 1000 {
		c.b.fail(field, "%d is not in the range 10 to 1000", weight)
		return
	}
	bfq, suffix := strconv.Itoa(int(weight)), ""
	other := bfq
	if c.v2 {
		other = strconv.Itoa(1 + (int(weight)-10)*9999/990)
	}
	if device != "" {
		bfq, other, suffix = device+" "+bfq, device+" "+other, "_device"
	}
	if c.v2 {
		c.add(Write{File: "io.bfq.weight", Value: bfq, Field: field, Else: &Write{File: "io.weight", Value: other}})
		return
	}
	c.add(Write{File: "blkio.weight" + suffix, Value: other, Field: field, Else: &Write{File: "blkio.bfq.weight" + suffix, Value: bfq}})
}

// leafWeight is a property of the CFQ scheduler, which version 2 never had.
func (c controllerFiles) leafWeight(field, device string, weight uint16) {
	switch {
	case c.v2:
		c.b.fail(field, "cgroup v2 has no leaf weights; remove the setting")
	case weight < 10 || weight > 1000:
		c.b.fail(field, "%d is not in the range 10 to 1000", weight)
	case device != "":
		c.put(field, "blkio.leaf_weight_device", device+" "+strconv.Itoa(int(weight)))
	default:
		c.put(field, "blkio.leaf_weight", strconv.Itoa(int(weight)))
	}
}

func deviceNumber(major, minor int64) string {
	return strconv.FormatInt(major, 10) + ":" + strconv.FormatInt(minor, 10)
}
