package intelrdt

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"davit/cgroups"
)

// maxDomains bounds the numbers of caches that are looked for in mon_data.
const maxDomains = 64

// Stats reads what resctrl tells of the group, and of the machine it is on.
func (g *Group) Stats(t Tree) cgroups.IntelRdt {
	var s cgroups.IntelRdt
	number := func(file string) uint64 {
		n, _ := strconv.ParseUint(word(t, file), 10, 64) // 0 where there is none
		return n
	}
	s.L3CacheSchemaRoot, s.L3CacheSchema = line(t, schemata, "L3"), line(t, path.Join(g.Class, schemata), "L3")
	s.MemBwSchemaRoot, s.MemBwSchema = line(t, schemata, "MB"), line(t, path.Join(g.Class, schemata), "MB")
	if s.L3CacheSchemaRoot != "" {
		s.L3CacheInfo = &cgroups.L3CacheInfo{CbmMask: word(t, "info/L3/cbm_mask"), MinCbmBits: number("info/L3/min_cbm_bits"), NumClosids: number("info/L3/num_closids")}
	}
	if s.MemBwSchemaRoot != "" {
		s.MemBwInfo = &cgroups.MemBwInfo{BandwidthGran: number("info/MB/bandwidth_gran"), DelayLinear: number("info/MB/delay_linear"),
			MinBandwidth: number("info/MB/min_bandwidth"), NumClosids: number("info/MB/num_closids")}
	}
	dir := g.Class
	if g.Monitored {
		dir = g.monitor()
	}
	var traffic []cgroups.MBMStats
	var occupancy []cgroups.CMTStats
	for i := range maxDomains {
		at := path.Join(dir, "mon_data", fmt.Sprintf("mon_L3_%02d", i))
		if !t.Exists(at) {
			continue
		}
		if word(t, at+"/mbm_total_bytes") != "" {
			traffic = append(traffic, cgroups.MBMStats{MBMTotalBytes: number(at + "/mbm_total_bytes"), MBMLocalBytes: number(at + "/mbm_local_bytes")})
		}
		if word(t, at+"/llc_occupancy") != "" {
			occupancy = append(occupancy, cgroups.CMTStats{LLCOccupancy: number(at + "/llc_occupancy")})
		}
	}
	if traffic != nil {
		s.MBMStats = &traffic
	}
	if occupancy != nil {
		s.CMTStats = &occupancy
	}
	return s
}

// word is what a file of one line says, or "".
func word(t Tree, file string) string {
	text, err := t.Read(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// line is that of a resource in a file of schemata.
func line(t Tree, file, resource string) string {
	for l := range strings.Lines(word(t, file)) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, resource+":") {
			return l
		}
	}
	return ""
}
