package cgroups

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Layouts that batches are tested against.
var (
	onV1 = &Layout{Mode: V1, V1: []Hierarchy{
		{Mountpoint: "/sys/fs/cgroup/cpu,cpuacct", Controllers: []string{"cpu", "cpuacct"}},
		{Mountpoint: "/sys/fs/cgroup/cpuset", Controllers: []string{"cpuset"}},
		{Mountpoint: "/sys/fs/cgroup/memory", Controllers: []string{"memory"}},
		{Mountpoint: "/sys/fs/cgroup/blkio", Controllers: []string{"blkio"}},
		{Mountpoint: "/sys/fs/cgroup/pids", Controllers: []string{"pids"}},
		{Mountpoint: "/sys/fs/cgroup/devices", Controllers: []string{"devices"}},
		{Mountpoint: "/sys/fs/cgroup/hugetlb", Controllers: []string{"hugetlb"}},
		{Mountpoint: "/sys/fs/cgroup/rdma", Controllers: []string{"rdma"}},
		{Mountpoint: "/sys/fs/cgroup/net_cls,net_prio", Controllers: []string{"net_cls", "net_prio"}},
		{Mountpoint: "/sys/fs/cgroup/systemd", Name: "systemd"},
	}}
	onV2     = &Layout{Mode: V2, Unified: "/sys/fs/cgroup"}
	onHybrid = &Layout{Mode: Hybrid, Unified: "/sys/fs/cgroup/unified", V1: []Hierarchy{
		{Mountpoint: "/sys/fs/cgroup/memory", Controllers: []string{"memory"}},
		{Mountpoint: "/sys/fs/cgroup/cpu", Controllers: []string{"cpu"}},
	}}
	onNothing = &Layout{}
)

// golden is one conversion. Each wanted line is "file=value field" with "unified/" before
// files of that hierarchy, "~" before what a new cgroup has anyway, "?" before what may be
// absent, and " | " before what replaces an absent file.
type golden struct {
	name    string
	layout  *Layout
	version string
	res     string // linux.resources
	want    []string
	fails   string // part of the error
}

func (w *Write) golden() string {
	s := ""
	if w.Default {
		s += "~"
	}
	if w.Optional {
		s += "?"
	}
	if w.Unified {
		s += "unified/"
	}
	s += w.File + "=" + w.Value
	if w.Else != nil {
		s += " | " + w.Else.File + "=" + w.Else.Value
	}
	return s + " " + strings.TrimPrefix(w.Field, fieldRoot)
}

// The expectations come from runtime-spec's config-linux.md, the kernel's
// admin-guide/cgroup-v1 and cgroup-v2.rst, and for cpu.shares from
// kubernetes/kubernetes#131216.
var goldens = []golden{
	// memory, version 1
	{"memory limit", onV1, "", `{"memory":{"limit":536870912}}`, []string{"memory.limit_in_bytes=536870912 memory.limit"}, ""},
	{"memory limit 0 is unset", onV1, "", `{"memory":{"limit":0}}`, nil, ""},
	{"empty memory", onV1, "", `{"memory":{}}`, nil, ""},
	{"memory unlimited lifts the sum too", onV1, "", `{"memory":{"limit":-1}}`, []string{"~memory.limit_in_bytes=-1 memory.limit", "~memory.memsw.limit_in_bytes=-1 memory.limit"}, ""},
	{"memory and swap", onV1, "", `{"memory":{"limit":1000,"swap":3000}}`, []string{"memory.limit_in_bytes=1000 memory.limit", "memory.memsw.limit_in_bytes=3000 memory.swap"}, ""},
	{"swap unlimited", onV1, "", `{"memory":{"limit":1000,"swap":-1}}`, []string{"memory.limit_in_bytes=1000 memory.limit", "~memory.memsw.limit_in_bytes=-1 memory.swap"}, ""},
	{"swap alone", onV1, "", `{"memory":{"swap":3000}}`, []string{"memory.memsw.limit_in_bytes=3000 memory.swap"}, ""},
	{"no swap at all", onV1, "", `{"memory":{"limit":3000,"swap":3000}}`, []string{"memory.limit_in_bytes=3000 memory.limit", "memory.memsw.limit_in_bytes=3000 memory.swap"}, ""},
	{"swap less than memory", onV1, "", `{"memory":{"limit":3000,"swap":2999}}`, nil, "linux.resources.memory.swap: 2999"},
	{"reservation", onV1, "", `{"memory":{"reservation":2000}}`, []string{"memory.soft_limit_in_bytes=2000 memory.reservation"}, ""},
	{"reservation unlimited", onV1, "", `{"memory":{"reservation":-1}}`, []string{"~memory.soft_limit_in_bytes=-1 memory.reservation"}, ""},
	{"swappiness", onV1, "", `{"memory":{"swappiness":0}}`, []string{"memory.swappiness=0 memory.swappiness"}, ""},
	{"swappiness 100", onV1, "", `{"memory":{"swappiness":100}}`, []string{"memory.swappiness=100 memory.swappiness"}, ""},
	{"swappiness -1 is unset", onV1, "", `{"memory":{"swappiness":18446744073709551615}}`, nil, ""},
	{"swappiness -1 is unset", onV2, "", `{"memory":{"swappiness":18446744073709551615}}`, nil, ""},
	{"swappiness out of range", onV1, "", `{"memory":{"swappiness":101}}`, nil, "memory.swappiness: 101"},
	{"OOM killer off", onV1, "", `{"memory":{"disableOOMKiller":true}}`, []string{"memory.oom_control=1 memory.disableOOMKiller"}, ""},
	{"OOM killer on", onV1, "", `{"memory":{"disableOOMKiller":false}}`, []string{"~memory.oom_control=0 memory.disableOOMKiller"}, ""},
	{"kernel memory is ignored", onV1, "", `{"memory":{"kernel":1000,"kernelTCP":1000}}`, nil, ""},
	{"negative limit", onV1, "", `{"memory":{"limit":-2}}`, nil, "memory.limit: -2"},
	{"negative reservation", onV2, "", `{"memory":{"reservation":-3}}`, nil, "memory.reservation: -3"},
	{"useHierarchy is always so", onV1, "", `{"memory":{"useHierarchy":true}}`, nil, ""},

	// memory, version 2
	{"memory limit", onV2, "", `{"memory":{"limit":536870912}}`, []string{"unified/memory.max=536870912 memory.limit"}, ""},
	{"memory limit 0 is unset", onV2, "", `{"memory":{"limit":0,"swap":0,"reservation":0}}`, nil, ""},
	{"memory unlimited", onV2, "", `{"memory":{"limit":-1}}`, []string{"~unified/memory.max=max memory.limit", "~unified/memory.swap.max=max memory.limit"}, ""},
	{"swap is the difference", onV2, "", `{"memory":{"limit":1000,"swap":3000}}`, []string{"unified/memory.max=1000 memory.limit", "unified/memory.swap.max=2000 memory.swap"}, ""},
	{"no swap at all", onV2, "", `{"memory":{"limit":3000,"swap":3000}}`, []string{"unified/memory.max=3000 memory.limit", "?unified/memory.swap.max=0 memory.swap"}, ""},
	{"swap unlimited", onV2, "", `{"memory":{"limit":1000,"swap":-1}}`, []string{"unified/memory.max=1000 memory.limit", "~unified/memory.swap.max=max memory.swap"}, ""},
	{"swap unlimited alone", onV2, "", `{"memory":{"swap":-1}}`, []string{"~unified/memory.swap.max=max memory.swap"}, ""},
	{"swap without limit", onV2, "", `{"memory":{"swap":3000}}`, nil, "memory.swap: 3000"},
	{"swap with unlimited memory", onV2, "", `{"memory":{"limit":-1,"swap":3000}}`, nil, "memory.swap: 3000"},
	{"swap less than memory", onV2, "", `{"memory":{"limit":3000,"swap":1}}`, nil, "memory.swap: 1"},
	{"reservation", onV2, "", `{"memory":{"limit":4000,"reservation":2000}}`, []string{"unified/memory.max=4000 memory.limit", "unified/memory.low=2000 memory.reservation"}, ""},
	{"reservation unlimited", onV2, "", `{"memory":{"reservation":-1}}`, []string{"unified/memory.low=max memory.reservation"}, ""},
	{"swappiness", onV2, "", `{"memory":{"swappiness":60}}`, nil, "memory.swappiness: cgroup v2"},
	{"OOM killer off", onV2, "", `{"memory":{"disableOOMKiller":true}}`, nil, "memory.disableOOMKiller: "},
	{"OOM killer on", onV2, "", `{"memory":{"disableOOMKiller":false}}`, nil, ""},

	// cpu, version 1
	{"shares", onV1, "", `{"cpu":{"shares":1024}}`, []string{"cpu.shares=1024 cpu.shares"}, ""},
	{"shares 0 is unset", onV1, "", `{"cpu":{"shares":0}}`, nil, ""},
	{"quota and period", onV1, "", `{"cpu":{"quota":20000,"period":50000}}`, []string{"cpu.cfs_period_us=50000 cpu.period", "cpu.cfs_quota_us=20000 cpu.quota"}, ""},
	{"the default period", onV1, "", `{"cpu":{"period":100000}}`, []string{"~cpu.cfs_period_us=100000 cpu.period"}, ""},
	{"quota unlimited", onV1, "", `{"cpu":{"quota":-1}}`, []string{"~cpu.cfs_quota_us=-1 cpu.quota"}, ""},
	{"any negative quota is unlimited", onV1, "", `{"cpu":{"quota":-5}}`, []string{"~cpu.cfs_quota_us=-1 cpu.quota"}, ""},
	{"quota and period 0 are unset", onV1, "", `{"cpu":{"quota":0,"period":0}}`, nil, ""},
	{"burst", onV1, "", `{"cpu":{"quota":20000,"burst":20000}}`, []string{"cpu.cfs_quota_us=20000 cpu.quota", "cpu.cfs_burst_us=20000 cpu.burst"}, ""},
	{"burst 0", onV1, "", `{"cpu":{"burst":0}}`, []string{"~cpu.cfs_burst_us=0 cpu.burst"}, ""},
	{"burst above quota", onV1, "", `{"cpu":{"quota":20000,"burst":20001}}`, nil, "cpu.burst: 20001"},
	{"realtime", onV1, "", `{"cpu":{"realtimePeriod":1000000,"realtimeRuntime":950000}}`, []string{"cpu.rt_period_us=1000000 cpu.realtimePeriod", "cpu.rt_runtime_us=950000 cpu.realtimeRuntime"}, ""},
	{"realtime 0 is unset", onV1, "", `{"cpu":{"realtimePeriod":0,"realtimeRuntime":0}}`, nil, ""},
	{"idle", onV1, "", `{"cpu":{"idle":1}}`, []string{"cpu.idle=1 cpu.idle"}, ""},
	{"not idle", onV1, "", `{"cpu":{"idle":0,"shares":512}}`, []string{"~cpu.idle=0 cpu.idle", "cpu.shares=512 cpu.shares"}, ""},
	{"idle has no weight", onV1, "", `{"cpu":{"idle":1,"shares":512}}`, []string{"cpu.idle=1 cpu.idle"}, ""},
	{"bad idle", onV1, "", `{"cpu":{"idle":2}}`, nil, "cpu.idle: 2"},
	{"cpuset", onV1, "", `{"cpu":{"cpus":"0-3,7","mems":"0"}}`, []string{"cpuset.cpus=0-3,7 cpu.cpus", "cpuset.mems=0 cpu.mems"}, ""},

	// cpu, version 2
	{"shares default", onV2, "", `{"cpu":{"shares":1024}}`, []string{"unified/cpu.weight=100 cpu.shares"}, ""},
	{"shares smallest", onV2, "", `{"cpu":{"shares":2}}`, []string{"unified/cpu.weight=1 cpu.shares"}, ""},
	{"shares below the smallest", onV2, "", `{"cpu":{"shares":1}}`, []string{"unified/cpu.weight=1 cpu.shares"}, ""},
	{"shares largest", onV2, "", `{"cpu":{"shares":262144}}`, []string{"unified/cpu.weight=10000 cpu.shares"}, ""},
	{"shares above the largest", onV2, "", `{"cpu":{"shares":1000000}}`, []string{"unified/cpu.weight=10000 cpu.shares"}, ""},
	{"shares 2000", onV2, "", `{"cpu":{"shares":2000}}`, []string{"unified/cpu.weight=170 cpu.shares"}, ""},
	{"shares 0 is unset", onV2, "", `{"cpu":{"shares":0}}`, nil, ""},
	{"quota and period", onV2, "", `{"cpu":{"quota":20000,"period":50000}}`, []string{"unified/cpu.max=20000 50000 cpu.quota"}, ""},
	{"quota keeps the period", onV2, "", `{"cpu":{"quota":20000}}`, []string{"unified/cpu.max=20000 cpu.quota"}, ""},
	{"period alone", onV2, "", `{"cpu":{"period":50000}}`, []string{"unified/cpu.max=max 50000 cpu.period"}, ""},
	{"the default period", onV2, "", `{"cpu":{"period":100000}}`, []string{"~unified/cpu.max=max 100000 cpu.period"}, ""},
	{"quota unlimited", onV2, "", `{"cpu":{"quota":-1}}`, []string{"~unified/cpu.max=max cpu.quota"}, ""},
	{"burst", onV2, "", `{"cpu":{"quota":20000,"period":50000,"burst":10000}}`, []string{"unified/cpu.max=20000 50000 cpu.quota", "unified/cpu.max.burst=10000 cpu.burst"}, ""},
	{"burst above quota", onV2, "", `{"cpu":{"quota":1000,"burst":2000}}`, nil, "cpu.burst: 2000"},
	{"idle", onV2, "", `{"cpu":{"idle":1,"shares":100}}`, []string{"unified/cpu.idle=1 cpu.idle"}, ""},
	{"realtime", onV2, "", `{"cpu":{"realtimeRuntime":950000}}`, nil, "cpu.realtimeRuntime: cgroup v2"},
	{"realtime period", onV2, "", `{"cpu":{"realtimePeriod":950000}}`, nil, "cpu.realtimePeriod: cgroup v2"},
	{"cpuset", onV2, "", `{"cpu":{"cpus":"1","mems":"0-1"}}`, []string{"unified/cpuset.cpus=1 cpu.cpus", "unified/cpuset.mems=0-1 cpu.mems"}, ""},

	// pids: 0 changed its meaning with version 1.3
	{"pids", onV1, "1.0.2", `{"pids":{"limit":32771}}`, []string{"pids.max=32771 pids.limit"}, ""},
	{"pids", onV2, "1.3.0", `{"pids":{"limit":7}}`, []string{"unified/pids.max=7 pids.limit"}, ""},
	{"pids -1", onV1, "1.3.0", `{"pids":{"limit":-1}}`, []string{"~pids.max=max pids.limit"}, ""},
	{"pids 0 before 1.3", onV1, "1.2.1", `{"pids":{"limit":0}}`, []string{"~pids.max=max pids.limit"}, ""},
	{"pids 0 before 1.3", onV2, "1.0.2-dev", `{"pids":{"limit":0}}`, []string{"~unified/pids.max=max pids.limit"}, ""},
	{"pids 0 since 1.3", onV1, "1.3.0", `{"pids":{"limit":0}}`, []string{"pids.max=1 pids.limit"}, ""},
	{"pids 0 in a release candidate of 1.3", onV2, "1.3.0-rc.1", `{"pids":{"limit":0}}`, []string{"unified/pids.max=1 pids.limit"}, ""},
	{"pids 0 in 1.10", onV2, "1.10.0", `{"pids":{"limit":0}}`, []string{"unified/pids.max=1 pids.limit"}, ""},
	{"pids 0 without a version", onV1, "", `{"pids":{"limit":0}}`, []string{"~pids.max=max pids.limit"}, ""},
	{"pids without a limit", onV1, "1.3.0", `{"pids":{}}`, nil, ""},

	// blockIO
	{"io weight", onV1, "", `{"blockIO":{"weight":10}}`, []string{"blkio.weight=10 | blkio.bfq.weight=10 blockIO.weight"}, ""},
	{"io weight 0 is unset", onV1, "", `{"blockIO":{"weight":0,"leafWeight":0}}`, nil, ""},
	{"io weight", onV2, "", `{"blockIO":{"weight":500}}`, []string{"unified/io.bfq.weight=500 | io.weight=4950 blockIO.weight"}, ""},
	{"io weight smallest", onV2, "", `{"blockIO":{"weight":10}}`, []string{"unified/io.bfq.weight=10 | io.weight=1 blockIO.weight"}, ""},
	{"io weight largest", onV2, "", `{"blockIO":{"weight":1000}}`, []string{"unified/io.bfq.weight=1000 | io.weight=10000 blockIO.weight"}, ""},
	{"io weight 0 is unset", onV2, "", `{"blockIO":{"weight":0}}`, nil, ""},
	{"io weight too small", onV2, "", `{"blockIO":{"weight":9}}`, nil, "blockIO.weight: 9"},
	{"io weight too large", onV1, "", `{"blockIO":{"weight":1001}}`, nil, "blockIO.weight: 1001"},
	{"io leaf weight", onV1, "", `{"blockIO":{"leafWeight":300}}`, []string{"blkio.leaf_weight=300 blockIO.leafWeight"}, ""},
	{"io leaf weight", onV2, "", `{"blockIO":{"leafWeight":300}}`, nil, "blockIO.leafWeight: cgroup v2"},
	{"io device weight", onV1, "", `{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":500,"leafWeight":300}]}}`, []string{
		"blkio.weight_device=8:0 500 | blkio.bfq.weight_device=8:0 500 blockIO.weightDevice[0].weight", "blkio.leaf_weight_device=8:0 300 blockIO.weightDevice[0].leafWeight"}, ""},
	{"io device weight", onV2, "", `{"blockIO":{"weightDevice":[{"major":8,"minor":16,"weight":500}]}}`, []string{
		"unified/io.bfq.weight=8:16 500 | io.weight=8:16 4950 blockIO.weightDevice[0].weight"}, ""},
	{"io device without weight", onV1, "", `{"blockIO":{"weightDevice":[{"major":8,"minor":16}]}}`, nil, "blockIO.weightDevice[0]: needs weight or leafWeight"},
	{"io throttles", onV1, "", `{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":0}],"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":5}],"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":300}]}}`, []string{
		"blkio.throttle.read_bps_device=8:0 600 blockIO.throttleReadBpsDevice[0]",
		"blkio.throttle.write_bps_device=8:0 0 blockIO.throttleWriteBpsDevice[0]",
		"blkio.throttle.read_iops_device=8:0 5 blockIO.throttleReadIOPSDevice[0]",
		"blkio.throttle.write_iops_device=8:16 300 blockIO.throttleWriteIOPSDevice[0]"}, ""},
	{"io throttles", onV2, "", `{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":1},{"major":8,"minor":16,"rate":600}],"throttleWriteBpsDevice":[{"major":8,"minor":16,"rate":0}],"throttleWriteIOPSDevice":[{"major":8,"minor":1,"rate":300}]}}`, []string{
		"unified/io.max=8:1 rbps=1 wiops=300 blockIO.throttleReadBpsDevice[0]",
		"unified/io.max=8:16 rbps=600 wbps=max blockIO.throttleReadBpsDevice[1]"}, ""},

	// hugetlb
	{"huge pages", onV1, "", `{"hugepageLimits":[{"pageSize":"2MB","limit":209715200}]}`, []string{
		"hugetlb.2MB.rsvd.limit_in_bytes=209715200 hugepageLimits[0]", "hugetlb.2MB.limit_in_bytes=209715200 hugepageLimits[0]"}, ""},
	{"huge pages", onV2, "", `{"hugepageLimits":[{"pageSize":"64KB","limit":0},{"pageSize":"1GB","limit":9223372036854775808}]}`, []string{
		"unified/hugetlb.64KB.rsvd.max=0 hugepageLimits[0]", "unified/hugetlb.64KB.max=0 hugepageLimits[0]",
		"unified/hugetlb.1GB.rsvd.max=9223372036854775808 hugepageLimits[1]", "unified/hugetlb.1GB.max=9223372036854775808 hugepageLimits[1]"}, ""},
	{"huge pages", onHybrid, "", `{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}`, []string{
		"unified/hugetlb.2MB.rsvd.max=1 hugepageLimits[0]", "unified/hugetlb.2MB.max=1 hugepageLimits[0]"}, ""},
	{"huge page of no size", onV2, "", `{"hugepageLimits":[{"pageSize":"MB","limit":1}]}`, nil, "hugepageLimits[0].pageSize"},
	{"huge page of a strange size", onV2, "", `{"hugepageLimits":[{"pageSize":"2MiB","limit":1}]}`, nil, "hugepageLimits[0].pageSize"},
	{"huge page with a path", onV2, "", `{"hugepageLimits":[{"pageSize":"../2MB","limit":1}]}`, nil, "hugepageLimits[0].pageSize"},

	// network, rdma
	{"net_cls and net_prio", onV1, "", `{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":500},{"name":"eth1","priority":1000}]}}`, []string{
		"net_cls.classid=1048577 network.classID", "net_prio.ifpriomap=eth0 500 network.priorities[0]", "net_prio.ifpriomap=eth1 1000 network.priorities[1]"}, ""},
	{"net_cls", onV2, "", `{"network":{"classID":1}}`, nil, "linux.resources.network.classID: the net_cls controller is not available on cgroup v2"},
	{"net_cls 0", onV1, "", `{"network":{"classID":0}}`, []string{"net_cls.classid=0 network.classID"}, ""},
	{"net_cls 0", onV2, "", `{"network":{"classID":0}}`, nil, ""},
	{"net_prio", onHybrid, "", `{"network":{"priorities":[{"name":"lo","priority":1}]}}`, nil, "the net_prio controller is not available"},
	{"net_prio of no interface", onV1, "", `{"network":{"priorities":[{"name":"a b","priority":1}]}}`, nil, "network.priorities[0].name"},
	{"rdma", onV1, "", `{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"mlx4_0":{"hcaObjects":1000}}}`, []string{
		"rdma.max=mlx4_0 hca_object=1000 rdma.mlx4_0", "rdma.max=mlx5_1 hca_handle=3 hca_object=10000 rdma.mlx5_1"}, ""},
	{"rdma", onV2, "", `{"rdma":{"rxe3":{"hcaHandles":0}}}`, []string{"unified/rdma.max=rxe3 hca_handle=0 rdma.rxe3"}, ""},
	{"rdma without limits", onV2, "", `{"rdma":{"rxe3":{}}}`, nil, "rdma.rxe3: needs hcaHandles or hcaObjects"},

	// unified
	{"unified", onV2, "", `{"unified":{"memory.high":"1073741824","io.max":"259:0 rbps=2097152 wiops=120\n253:0 rbps=2097152 wiops=120"}}`, []string{
		"unified/io.max=259:0 rbps=2097152 wiops=120 unified.io.max", "unified/io.max=253:0 rbps=2097152 wiops=120 unified.io.max", "unified/memory.high=1073741824 unified.memory.high"}, ""},
	{"unified has the last word", onV2, "", `{"memory":{"limit":1000},"unified":{"memory.max":"2000"}}`, []string{"unified/memory.max=1000 memory.limit", "unified/memory.max=2000 unified.memory.max"}, ""},
	{"unified core file", onV2, "", `{"unified":{"cgroup.max.depth":"3"}}`, []string{"unified/cgroup.max.depth=3 unified.cgroup.max.depth"}, ""},
	{"unified unknown file", onV2, "", `{"unified":{"misc.max":"res 1"}}`, []string{"unified/misc.max=res 1 unified.misc.max"}, ""},
	{"unified on v1", onV1, "", `{"unified":{"memory.high":"1"}}`, nil, "unified.memory.high: needs cgroup v2"},
	{"unified bound to v1", onHybrid, "", `{"unified":{"memory.high":"1"}}`, nil, "linux.resources.unified.memory.high: the memory controller is not available on this host's cgroup v2 (it is bound to cgroup v1"},
	{"unified on hybrid", onHybrid, "", `{"unified":{"hugetlb.2MB.max":"0"}}`, []string{"unified/hugetlb.2MB.max=0 unified.hugetlb.2MB.max"}, ""},
	{"unified with a path", onV2, "", `{"unified":{"../memory.max":"1"}}`, nil, "is not the name of a file"},
	{"unified without a controller", onV2, "", `{"unified":{"tasks":"1"}}`, nil, "is not the name of a file"},
	{"unified about processes", onV2, "", `{"unified":{"cgroup.freeze":"1"}}`, nil, "unified.cgroup.freeze: acts on processes"},

	// devices
	{"devices", onV1, "", `{"devices":[{"allow":true,"access":"rwm"}]}`, []string{"~devices.allow=a devices"}, ""},
	{"devices", onV2, "", `{"devices":[{"allow":false,"access":"rwm"}]}`, nil, ""},
	{"bad devices", onV2, "", `{"devices":[{"allow":false,"access":"xyz"}]}`, nil, "linux.resources.devices[0].access"},

	// nothing mounted, and what engines send
	{"limit without cgroups", onNothing, "", `{"memory":{"limit":1}}`, nil, "linux.resources.memory.limit: the memory controller is not available"},
	{"Docker's defaults without cgroups", onNothing, "1.0.2", `{"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0},"pids":{"limit":-1}}`, nil, ""},
	{"Docker's defaults", onV1, "1.0.2", `{"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0}}`, []string{"~memory.oom_control=0 memory.disableOOMKiller"}, ""},
	{"Docker's defaults", onV2, "1.0.2", `{"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0}}`, nil, ""},
	{"a pod's container", onHybrid, "1.0.2-dev", `{"memory":{"limit":67108864,"swap":67108864},"cpu":{"shares":204,"quota":20000,"period":100000}}`, []string{
		"cpu.shares=204 cpu.shares", "~cpu.cfs_period_us=100000 cpu.period", "cpu.cfs_quota_us=20000 cpu.quota",
		"memory.limit_in_bytes=67108864 memory.limit", "memory.memsw.limit_in_bytes=67108864 memory.swap"}, ""},
}

func TestBatch(t *testing.T) {
	if len(goldens) < 80 {
		t.Errorf("only %d cases", len(goldens))
	}
	for _, g := range goldens {
		t.Run(fmt.Sprintf("%s/%s", g.layout.Mode, g.name), func(t *testing.T) {
			var res specs.LinuxResources
			if err := json.Unmarshal([]byte(g.res), &res); err != nil {
				t.Fatal(err)
			}
			writes, _, err := Batch(&res, g.layout, g.version)
			if g.fails != "" {
				if err == nil || !strings.Contains(err.Error(), g.fails) {
					t.Fatalf("error %v, want one with %q", err, g.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range writes {
				got = append(got, w.golden())
			}
			if g.layout.Mode == None { // defaults need no hierarchy
				got = slices.DeleteFunc(got, func(s string) bool { return s[0] == '~' })
			}
			if !slices.Equal(got, g.want) {
				t.Fatalf("got  %q\nwant %q", got, g.want)
			}
		})
	}
}

func TestBatchWarns(t *testing.T) {
	limit := int64(1000)
	_, warnings, err := Batch(&specs.LinuxResources{Memory: &specs.LinuxMemory{Kernel: &limit, KernelTCP: &limit}}, onV2, "")
	if err != nil || len(warnings) != 2 || warnings[0].Field != "linux.resources.memory.kernel" || warnings[1].Field != "linux.resources.memory.kernelTCP" {
		t.Errorf("%v, %v", warnings, err)
	}
}

// TestWeight compares the conversion with its definition and its fixed points.
func TestWeight(t *testing.T) {
	last := uint64(0)
	for shares := uint64(0); shares <= 1<<18+3; shares++ {
		w := Weight(shares)
		if w < last {
			t.Fatalf("not monotonic at %d", shares)
		}
		last = w
		if w < 1 || w > 10000 {
			t.Fatalf("Weight(%d) = %d", shares, w)
		}
		if shares > 2 && shares < 1<<18 {
			l := math.Log2(float64(shares))
			exact := math.Pow(10, (l*l+125*l)/612.0-7.0/34.0)
			if math.Abs(float64(w)-math.Ceil(exact)) > 0 && math.Abs(exact-math.Round(exact)) > 1e-9 {
				t.Fatalf("Weight(%d) = %d, the curve is at %f", shares, w, exact)
			}
		}
	}
	for shares, want := range map[uint64]uint64{0: 1, 2: 1, 1024: 100, 2000: 170, 1 << 18: 10000} {
		if got := Weight(shares); got != want {
			t.Errorf("Weight(%d) = %d, want %d", shares, got, want)
		}
	}
}
