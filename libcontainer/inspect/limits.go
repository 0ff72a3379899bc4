package inspect

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"davit/cgroups/cpuset"
)

// limits holds sizes and numbers against what the machine has.
func (in *inspector) limits() {
	r := in.spec.Linux.Resources
	for i, h := range r.HugepageLimits {
		if size, ok := hugepageDir(h.Pagesize); ok {
			if _, err := os.Stat("/sys/kernel/mm/hugepages/" + size); err != nil {
				in.error(fmt.Sprintf("linux.resources.hugepageLimits[%d].pageSize", i), "this machine has no huge pages of "+h.Pagesize, "/sys/kernel/mm/hugepages lists the sizes")
			}
		}
	}
	if r.CPU == nil {
		return
	}
	for _, set := range [...]struct{ field, list, possible, what string }{
		{"cpus", r.CPU.Cpus, "/sys/devices/system/cpu/possible", "CPU"}, {"mems", r.CPU.Mems, "/sys/devices/system/node/possible", "memory node"},
	} {
		possible, err := os.ReadFile(set.possible)
		if err != nil {
			continue
		}
		if top, limit := highest(set.list), highest(strings.TrimSpace(string(possible))); top > limit {
			in.error("linux.resources.cpu."+set.field, fmt.Sprintf("this machine has no %s %d: the last one is %d", set.what, top, limit), "")
		}
	}
}

// hugepageDir names the directory of a size such as 2MB.
func hugepageDir(size string) (string, bool) {
	for i, unit := range [...]string{"KB", "MB", "GB"} {
		if number, ok := strings.CutSuffix(size, unit); ok {
			n, err := strconv.ParseUint(number, 10, 32)
			return fmt.Sprintf("hugepages-%dkB", n<<(10*i)), err == nil
		}
	}
	return "", false
}

// highest is the last number of a list such as 0-3,7; -1 of an empty one.
func highest(list string) int {
	top := -1
	_ = cpuset.Each(list, func(_, last int) { top = max(top, last) }) // a malformed one is an error already
	return top
}
