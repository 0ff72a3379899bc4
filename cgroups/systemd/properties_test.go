package systemd

import (
	"fmt"
	"strings"
	"testing"

	"davit/cgroups/systemd/dbus"
)

// show writes properties as busctl does: name, type, value.
func show(list []Property) string {
	var lines []string
	for _, p := range list {
		lines = append(lines, fmt.Sprintf("%s %s %v", p.Name, p.Value.Sig, p.Value.Value))
	}
	return strings.Join(lines, "\n")
}

func TestProperties(t *testing.T) {
	const most = "18446744073709551615"
	for _, c := range []struct {
		settings string // file=value, by semicolons
		now      Bandwidth
		version  int // 0 is a new one
		want     string
	}{
		{settings: "cpu.weight=59", want: "CPUWeight t 59"},
		{settings: "cpu.shares=512", want: "CPUShares t 512"},
		{settings: "cpu.idle=1", want: "CPUWeight t 0"},
		{settings: "cpu.idle=1", version: 251, want: ""},
		{settings: "cpu.idle=0", want: "CPUWeight t " + most},
		{settings: "cpu.idle=0;cpu.weight=7", want: "CPUWeight t 7"},
		{settings: "cpu.weight.nice=5", want: ""},

		// Whole percentages, rounded up: what a daemon-reload reads back is never less.
		{settings: "cpu.max=20000", want: "CPUQuotaPerSecUSec t 200000"},
		{settings: "cpu.max=20000 100000", want: "CPUQuotaPerSecUSec t 200000\nCPUQuotaPeriodUSec t 100000"},
		{settings: "cpu.max=12345 50000", want: "CPUQuotaPerSecUSec t 250000\nCPUQuotaPeriodUSec t 50000"},
		{settings: "cpu.max=12345 50000", version: 241, want: "CPUQuotaPerSecUSec t 250000"},
		{settings: "cpu.max=10001", want: "CPUQuotaPerSecUSec t 110000"},
		{settings: "cpu.max=10000 30000", want: "CPUQuotaPerSecUSec t 340000\nCPUQuotaPeriodUSec t 30000"},
		{settings: "cpu.max=400000", want: "CPUQuotaPerSecUSec t 4000000"},
		{settings: "cpu.max=max", want: "CPUQuotaPerSecUSec t " + most},
		{settings: "cpu.max=max 20000", want: "CPUQuotaPerSecUSec t " + most + "\nCPUQuotaPeriodUSec t 20000"},
		{settings: "cpu.max=30000", now: Bandwidth{-1, 20000}, want: "CPUQuotaPerSecUSec t 1500000\nCPUQuotaPeriodUSec t 20000"},
		{settings: "cpu.cfs_period_us=50000;cpu.cfs_quota_us=10000", want: "CPUQuotaPerSecUSec t 200000\nCPUQuotaPeriodUSec t 50000"},
		{settings: "cpu.cfs_quota_us=10000", now: Bandwidth{5000, 40000}, want: "CPUQuotaPerSecUSec t 250000\nCPUQuotaPeriodUSec t 40000"},
		{settings: "cpu.cfs_period_us=50000", now: Bandwidth{5000, 40000}, want: "CPUQuotaPerSecUSec t 100000\nCPUQuotaPeriodUSec t 50000"},
		{settings: "cpu.cfs_quota_us=-1", now: Bandwidth{5000, 100000}, want: "CPUQuotaPerSecUSec t " + most + "\nCPUQuotaPeriodUSec t 100000"},
		{settings: "cpu.max.burst=1000;cpu.rt_runtime_us=5", want: ""},

		{settings: "cpuset.cpus=0-2,8", want: "AllowedCPUs ay [7 1]"},
		{settings: "cpuset.mems=0", want: "AllowedMemoryNodes ay [1]"},
		{settings: "cpuset.cpus=0-2;cpuset.mems=0", version: 243, want: ""},
		{settings: "cpuset.cpus=0-7:1/2", want: ""},
		{settings: "cpuset.cpus=2-1", want: ""},
		{settings: "cpuset.cpus=0-4000000000", want: ""},

		{settings: "memory.max=1048576;memory.swap.max=0;memory.low=4096", want: "MemoryMax t 1048576\nMemorySwapMax t 0\nMemoryLow t 4096"},
		{settings: "memory.max=max;memory.swap.max=max", want: "MemoryMax t " + most + "\nMemorySwapMax t " + most},
		{settings: "memory.high=10M;memory.min=0x1000;memory.zswap.max=1g", want: "MemoryHigh t 10485760\nMemoryMin t 4096\nMemoryZSwapMax t 1073741824"},
		{settings: "memory.zswap.max=1G", version: 252, want: ""},
		{settings: "memory.high=much;memory.max=99999999999E", want: ""},
		{settings: "memory.limit_in_bytes=4096;memory.memsw.limit_in_bytes=8192;memory.soft_limit_in_bytes=1", want: "MemoryLimit t 4096"},
		{settings: "memory.limit_in_bytes=-1", want: "MemoryLimit t " + most},
		{settings: "memory.oom.group=1", want: ""},

		{settings: "pids.max=42", want: "TasksMax t 42"},
		{settings: "pids.max=max", want: "TasksMax t " + most},

		{settings: "io.bfq.weight=100;io.weight=910", want: "IOWeight t 910"},
		{settings: "io.weight=default 200", want: "IOWeight t 200"},
		{settings: "io.weight=8:0 910;io.weight=8:16 20", want: "IODeviceWeight a(st) [[/dev/block/8:0 910] [/dev/block/8:16 20]]"},
		{settings: "io.weight=../x 910", want: ""},
		{settings: "blkio.weight=500;blkio.weight_device=8:0 300", want: "BlockIOWeight t 500\nBlockIODeviceWeight a(st) [[/dev/block/8:0 300]]"},
		{settings: "io.max=8:0 rbps=1;hugetlb.2MB.max=0;rdma.max=x;net_cls.classid=1;misc.max=a 1", want: ""},
	} {
		var settings []Setting
		for s := range strings.SplitSeq(c.settings, ";") {
			file, value, _ := strings.Cut(s, "=")
			settings = append(settings, Setting{file, value})
		}
		if c.version == 0 {
			c.version = 257
		}
		if got := show(Properties(settings, c.now, c.version)); got != c.want {
			t.Errorf("%s (%+v, version %d):\n%s\nwant\n%s", c.settings, c.now, c.version, got, c.want)
		}
	}
}

const procDevices = "Character devices:\n  1 mem\n  5 /dev/tty\n136 pts\n\nBlock devices:\n  8 sd\n136 other\n"

func TestDeviceProperties(t *testing.T) {
	for _, c := range []struct {
		rules, want, wrong string
	}{
		{rules: "-a,+c 1:3 rwm,+c *:* m,+b *:* m,+c 136:* rwm,+b 8:* r",
			want: "DevicePolicy s strict\nDeviceAllow a(ss) []\nDeviceAllow a(ss) [[/dev/char/1:3 rwm] [char-* m] [block-* m] [char-pts rwm] [block-sd r]]"},
		{rules: "+a", want: "DevicePolicy s auto\nDeviceAllow a(ss) []\nDeviceAllow a(ss) []"},
		{rules: "-a,+a", want: "DevicePolicy s auto\nDeviceAllow a(ss) []\nDeviceAllow a(ss) []"},
		{rules: "+a,+c 1:3 r", want: "DevicePolicy s auto\nDeviceAllow a(ss) []\nDeviceAllow a(ss) []"},
		{rules: "-a", want: "DevicePolicy s strict\nDeviceAllow a(ss) []\nDeviceAllow a(ss) []"},
		{rules: "-a,+c 200:* rwm", want: "DevicePolicy s strict\nDeviceAllow a(ss) []\nDeviceAllow a(ss) []"}, // no such driver
		{rules: "-a,+c 10:* rwm,-c 10:5 r", wrong: `linux.resources.devices[2]: "c 10:5 r" denies`},
		{rules: "+a,-b 8:0 w", wrong: "denies"},
		{rules: "-a,+c *:5 r", wrong: "every major"},
		{rules: "-a,+x", wrong: "is not a rule"},
	} {
		var rules []DeviceRule
		for i, r := range strings.Split(c.rules, ",") {
			rules = append(rules, DeviceRule{Allow: r[0] == '+', Value: r[1:], Field: fmt.Sprintf("linux.resources.devices[%d]", i)})
		}
		list, err := DeviceProperties(rules, procDevices)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want %q", c.rules, err, c.wrong)
			}
			continue
		}
		if got := show(list); err != nil || got != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.rules, err, got, c.want)
		}
	}
}

func TestParseVariant(t *testing.T) {
	for text, want := range map[string]string{
		"true": "b true", " false ": "b false", "42": "i 42", "-0x10": "i -16", "1.5": "d 1.5", "1e3": "d 1000", "uint64 10": "t 10", "byte 0xff": "y 255",
		"int16 -5": "n -5", "uint16 5": "q 5", "uint32 7": "u 7", "int64 -7": "x -7", "double 2": "d 2", "boolean true": "b true", "int32 1": "i 1",
		`'a b'`: "s a b", `"it's"`: "s it's", `'\'\n\\\u00e9'`: "s '\n\\é", "objectpath '/a'": "o /a", "signature 'as'": "g as", "string 'x'": "s x",
		"['a', 'b']": "as [a b]", "[1,2,]": "ai [1 2]", "[uint64 1, 2]": "at [1 2]", "@as []": "as []", "@at [1]": "at [1]", "@t 5": "t 5",
		"('a', uint64 1)": "(st) [a 1]", "@(st) ('a', 1)": "(st) [a 1]", "@a(st) [('/dev/sda', 5)]": "a(st) [[/dev/sda 5]]", "[('a', 1), ('b', 2)]": "a(si) [[a 1] [b 2]]",
		"<'x'>": "v {s x}", "[<1>, <'a'>]": "av [{i 1} {s a}]", "'inactive-or-failed'": "s inactive-or-failed",
	} {
		v, err := ParseVariant(text)
		if got := fmt.Sprintf("%s %v", v.Sig, v.Value); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "abc", "42x", "'a", `'a\`, `'\u12'`, "[", "[]", "['a', 1]", "[1 2]", "(", "()", "(1", "<1", "@ 1", "@as", "@q 'x'", "uint64 -1", "byte 256", "1 2", "uint64 uint32 1",
		"1_000", "{'a': 1}", "@a{sv} []", "3000000000", "@(st) ('a', 1, 2)", "@(st) ('a',)", "uint64 'x'", "true1", "'a\x00'", strings.Repeat("[", 100), "@s 1", "0x", "@as [1]", "@s true",
	} {
		if v, err := ParseVariant(text); err == nil {
			t.Errorf("%q is read as %+v", text, v)
		}
	}
}

func FuzzParseVariant(f *testing.F) {
	for _, s := range []string{"@a(st) [('a', 1)]", "uint64 5", `'\u00e9'`, "<[true]>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseVariant(text)
		if err == nil && dbus.CheckType(v.Sig) != nil {
			t.Errorf("%q is of type %q", text, v.Sig)
		}
	})
}

func TestAnnotated(t *testing.T) {
	list, err := Annotated(map[string]string{
		"org.systemd.property.TimeoutStopUSec": "uint64 123456789", "org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.CollectMode": "'inactive-or-failed'",
		"org.systemd.property.RuntimeMaxSec": "1.5", "org.systemd.property.ASec": "uint64 18446744073709551615", "org.opencontainers.x": "'", "org.systemd.property": "1",
		"org.systemd.property.IPAddressAllowSEC": "1",
	})
	want := "ASec t 18446744073709551615\nCollectMode s inactive-or-failed\nIPAddressAllowSEC i 1\nRuntimeMaxUSec t 1500000\nTimeoutStopUSec t 7000000\nTimeoutStopUSec t 123456789"
	if got := show(list); err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for key, value := range map[string]string{"TimeoutStopSec": "'7'", "RuntimeMaxSec": "-1", "Ab": "1", "A-b": "1", "A.b": "1", "": "1", "Restart": "no"} {
		if list, err := Annotated(map[string]string{"org.systemd.property." + key: value}); err == nil || !strings.Contains(err.Error(), `annotations["org.systemd.property.`+key) {
			t.Errorf("%s=%s: %s, %v", key, value, show(list), err)
		}
	}
}
