package cgroups

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// statsSchema is every member of a "stats" event's data with its type, as runc's engines
// decode it ("[]" after lists, "{}" after objects with keys of their own). What is marked
// with "*" is there even if it is zero.
const statsSchema = `
cpu.usage.total number
cpu.usage.percpu[] number
cpu.usage.percpu_kernel[] number
cpu.usage.percpu_user[] number
cpu.usage.kernel* number
cpu.usage.user* number
cpu.throttling.periods number
cpu.throttling.throttledPeriods number
cpu.throttling.throttledTime number
cpu.psi PSI
cpuset.cpus[] number
cpuset.cpu_exclusive* number
cpuset.mems[] number
cpuset.mem_hardwall* number
cpuset.mem_exclusive* number
cpuset.memory_migrate* number
cpuset.memory_spread_page* number
cpuset.memory_spread_slab* number
cpuset.memory_pressure* number
cpuset.sched_load_balance* number
cpuset.sched_relax_domain_level* number
memory.cache number
memory.usage ENTRY
memory.swap ENTRY
memory.kernel ENTRY
memory.kernelTCP ENTRY
memory.raw{} number
memory.psi PSI
pids.current number
pids.limit number
blkio.ioServiceBytesRecursive BLKIO
blkio.ioServicedRecursive BLKIO
blkio.ioQueueRecursive BLKIO
blkio.ioServiceTimeRecursive BLKIO
blkio.ioWaitTimeRecursive BLKIO
blkio.ioMergedRecursive BLKIO
blkio.ioTimeRecursive BLKIO
blkio.sectorsRecursive BLKIO
blkio.psi PSI
hugetlb{}.usage number
hugetlb{}.max number
hugetlb{}.failcnt number
intel_rdt.l3_cache_info.cbm_mask string
intel_rdt.l3_cache_info.min_cbm_bits number
intel_rdt.l3_cache_info.num_closids number
intel_rdt.l3_cache_schema_root string
intel_rdt.l3_cache_schema string
intel_rdt.mem_bw_info.bandwidth_gran number
intel_rdt.mem_bw_info.delay_linear number
intel_rdt.mem_bw_info.min_bandwidth number
intel_rdt.mem_bw_info.num_closids number
intel_rdt.mem_bw_schema_root string
intel_rdt.mem_bw_schema string
intel_rdt.schemata[] string
intel_rdt.mbm_stats[].mbm_total_bytes number
intel_rdt.mbm_stats[].mbm_local_bytes number
intel_rdt.cmt_stats[].llc_occupancy number
network_interfaces[].Name string
network_interfaces[].RxBytes number
network_interfaces[].RxPackets number
network_interfaces[].RxErrors number
network_interfaces[].RxDropped number
network_interfaces[].TxBytes number
network_interfaces[].TxPackets number
network_interfaces[].TxErrors number
network_interfaces[].TxDropped number
`

// schema spells the abbreviations out.
func schema() (all map[string]string, always []string) {
	all = make(map[string]string)
	parts := map[string][]string{
		"PSI":   {"some.avg10* number", "some.avg60* number", "some.avg300* number", "some.total* number", "full.avg10* number", "full.avg60* number", "full.avg300* number", "full.total* number"},
		"ENTRY": {"limit* number", "usage number", "max number", "failcnt* number"},
		"BLKIO": {"major number", "minor number", "op string", "value number"},
	}
	add := func(path, kind string) {
		plain := strings.ReplaceAll(path, "*", "")
		all[plain] = kind
		if path != plain && !strings.Contains(plain, "psi.") {
			always = append(always, plain)
		}
	}
	for line := range strings.Lines(strings.TrimSpace(statsSchema)) {
		path, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "BLKIO" {
			path += "[]"
		}
		if parts[kind] == nil {
			add(path, kind)
		}
		for _, p := range parts[kind] {
			sub, kind, _ := strings.Cut(p, " ")
			add(path+"."+sub, kind)
		}
	}
	return all, always
}

// fill gives everything that v points to a value that isn't zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e)
		v.SetMapIndex(reflect.ValueOf("key"), e)
	case reflect.String:
		v.SetString("text")
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Int64:
		v.SetInt(-1)
	default:
		v.SetUint(7)
	}
}

// paths lists the members of decoded JSON with their types.
func paths(at string, v any, to map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch {
			case key == "key":
				paths(at+"{}", value, to)
			case at == "":
				paths(key, value, to)
			default:
				paths(at+"."+key, value, to)
			}
		}
	case []any:
		for _, e := range v {
			paths(at+"[]", e, to)
		}
	case string:
		to[at] = "string"
	case float64:
		to[at] = "number"
	default:
		to[at] = fmt.Sprintf("%T", v)
	}
}

func members(t *testing.T, s *Stats) map[string]string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	paths("", tree, got)
	return got
}

// TestStatsSchema holds the event's members to the letter, and which of them are left out when zero.
func TestStatsSchema(t *testing.T) {
	want, always := schema()
	var full Stats
	fill(reflect.ValueOf(&full).Elem())
	got := members(t, &full)
	for path, kind := range want {
		if got[path] != kind {
			t.Errorf("%s: %q, want %s", path, got[path], kind)
		}
	}
	for path := range got {
		if want[path] == "" {
			t.Errorf("%s is no member of the event", path)
		}
	}
	empty := members(t, &Stats{Hugetlb: map[string]Hugetlb{}})
	delete(empty, "network_interfaces") // null, as runc has it
	if got := slices.Sorted(maps.Keys(empty)); !slices.Equal(got, slices.Sorted(slices.Values(always))) {
		t.Errorf("an idle container's event has\n%q\nwant\n%q", got, always)
	}
}
