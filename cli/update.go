package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer/bundle"
)

// updateFlags are the limits as they were written; "" leaves one as it is.
type updateFlags struct {
	file                                               string // has all limits instead
	cpuPeriod, cpuQuota, cpuBurst, cpuShare, cpuIdle   string
	cpuRTPeriod, cpuRTRuntime, cpusetCPUs, cpusetMems  string
	memory, reservation, swap, kernelMemory, kernelTCP string
	blkioWeight, pidsLimit, l3CacheSchema, memBwSchema string
}

func updateCommand(a *app) *urfave.Command {
	var f updateFlags
	flags := f.flags()
	return &urfave.Command{
		ArgsUsage: "ID",
		Description: `Changes limits of the container ID, which may be running. What isn't named stays as it is. If the kernel refuses a value, nothing changes.

Sizes of memory are in bytes or have a unit, as 512M or 1.5GiB do; -1 takes a limit away. --memory-swap counts memory and swap together. Where that sum is limited, a --memory beyond it needs a --memory-swap as well.

With --resources the limits come from JSON, an object like linux.resources of config.json, and the other flags are ignored, but for --l3-cache-schema and --mem-bw-schema, which change the container's class of linux.intelRdt, and so all containers in it.

EXAMPLES
davit update --memory 512M --memory-swap 1G web

# Half of a CPU.
davit update --cpu-quota 50000 --cpu-period 100000 web

# As engines do it.
echo '{"pids": {"limit": 100}}' | davit update --resources - web`,
		Flags: flags,
		Action: a.action(1, 1, func(args []string) error {
			res, err := f.resources()
			if err != nil {
				return err
			}
			for _, flag := range flags {
				if why := f.ignored(flag.Names()[0]); why != "" && flag.IsSet() {
					a.log.Warn("--" + flag.Names()[0] + " is ignored: " + why)
				}
			}
			rt, err := a.runtime()
			if err != nil {
				return err
			}
			return rt.Update(args[0], res, f.intelRdt())
		}),
	}
}

func (f *updateFlags) flags() []urfave.Flag {
	text := func(name, usage string, to *string) *urfave.StringFlag {
		return &urfave.StringFlag{Name: name, Usage: usage, Destination: to}
	}
	flags := []urfave.Flag{
		text("resources", "take all limits from the JSON `FILE`, - for standard input", &f.file),
		text("memory", "limit memory to `SIZE`", &f.memory),
		text("memory-swap", "limit memory and swap together to `SIZE`", &f.swap),
		text("memory-reservation", "let `SIZE` of memory be reclaimed last", &f.reservation),
		text("cpu-quota", "allow `USEC` microseconds of CPU time in each period, -1 for any", &f.cpuQuota),
		text("cpu-period", "renew the quota of CPU time every `USEC` microseconds", &f.cpuPeriod),
		text("cpu-burst", "save up to `USEC` microseconds of unused quota for later", &f.cpuBurst),
		text("cpu-share", "share CPU time by the weight `N`; 1024 is usual", &f.cpuShare),
		text("cpu-idle", "1 of `0|1` leaves only CPU time that nobody else wants", &f.cpuIdle),
		text("cpu-rt-runtime", "allow `USEC` microseconds of realtime scheduling in each realtime period", &f.cpuRTRuntime),
		text("cpu-rt-period", "renew the quota of realtime scheduling every `USEC` microseconds", &f.cpuRTPeriod),
		text("cpuset-cpus", "run on the CPUs in `LIST`, such as 0-3,7", &f.cpusetCPUs),
		text("cpuset-mems", "use memory of the nodes in `LIST`", &f.cpusetMems),
		text("pids-limit", "allow `N` processes and threads, -1 for any number", &f.pidsLimit),
		text("blkio-weight", "share block I/O by the weight `N`, from 10 to 1000", &f.blkioWeight),
		text("l3-cache-schema", "give the container's resctrl class the share of L3 caches in `SCHEMA`, such as L3:0=7f0;1=1f", &f.l3CacheSchema),
		text("mem-bw-schema", "give the container's resctrl class the memory bandwidth in `SCHEMA`, such as MB:0=20;1=70", &f.memBwSchema),
	}
	file := flags[0].(*urfave.StringFlag)
	file.Aliases = []string{"r"}
	for _, obsolete := range [...]*urfave.StringFlag{
		text("kernel-memory", "`SIZE`", &f.kernelMemory), text("kernel-memory-tcp", "`SIZE`", &f.kernelTCP),
	} {
		obsolete.Hidden = true
		flags = append(flags, obsolete)
	}
	return flags
}

// ignored says why a flag has no effect; "" if it has.
func (f *updateFlags) ignored(flag string) string {
	switch {
	case flag == "kernel-memory" || flag == "kernel-memory-tcp":
		return "the kernel has no such limit any more, kernel memory counts as memory"
	case flag == "l3-cache-schema" || flag == "mem-bw-schema": // classes are no cgroups
	case f.file != "" && flag != "resources":
		return "--resources has all limits"
	}
	return ""
}

// intelRdt is what was asked for of the container's class, nil for nothing.
func (f *updateFlags) intelRdt() *specs.LinuxIntelRdt {
	if f.l3CacheSchema == "" && f.memBwSchema == "" {
		return nil
	}
	return &specs.LinuxIntelRdt{L3CacheSchema: f.l3CacheSchema, MemBwSchema: f.memBwSchema}
}

// resources are the limits that were asked for, and no others.
func (f *updateFlags) resources() (*specs.LinuxResources, error) {
	if f.file != "" {
		return readResources(f.file)
	}
	var p limitParser
	cpu := specs.LinuxCPU{
		Shares: p.unsigned("cpu-share", f.cpuShare), Quota: p.signed("cpu-quota", f.cpuQuota), Burst: p.unsigned("cpu-burst", f.cpuBurst),
		Period: p.unsigned("cpu-period", f.cpuPeriod), RealtimeRuntime: p.signed("cpu-rt-runtime", f.cpuRTRuntime),
		RealtimePeriod: p.unsigned("cpu-rt-period", f.cpuRTPeriod), Cpus: f.cpusetCPUs, Mems: f.cpusetMems, Idle: p.signed("cpu-idle", f.cpuIdle),
	}
	memory := specs.LinuxMemory{
		Limit: p.size("memory", f.memory), Reservation: p.size("memory-reservation", f.reservation), Swap: p.size("memory-swap", f.swap),
	}
	pids := specs.LinuxPids{Limit: p.signed("pids-limit", f.pidsLimit)}
	weight := p.unsigned("blkio-weight", f.blkioWeight)
	if p.err != nil {
		return nil, p.err
	}
	var r specs.LinuxResources
	if cpu != (specs.LinuxCPU{}) {
		r.CPU = &cpu
	}
	if memory != (specs.LinuxMemory{}) {
		r.Memory = &memory
	}
	if pids.Limit != nil {
		r.Pids = &pids
	}
	if weight != nil {
		w := uint16(min(*weight, 1<<16-1)) // what is too much stays so
		r.BlockIO = &specs.LinuxBlockIO{Weight: &w}
	}
	return &r, nil
}

// limitParser reads the values of flags, of which "" is none; the first error stays.
type limitParser struct{ err error }

func (p *limitParser) signed(flag, value string) *int64 {
	return parseLimit(p, flag, value, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
}

func (p *limitParser) unsigned(flag, value string) *uint64 {
	return parseLimit(p, flag, value, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
}

func (p *limitParser) size(flag, value string) *int64 {
	return parseLimit(p, flag, value, func(s string) (int64, error) {
		if s == "-1" {
			return -1, nil
		}
		return parseSize(s)
	})
}

func parseLimit[T any](p *limitParser, flag, value string, parse func(string) (T, error)) *T {
	if value == "" {
		return nil
	}
	n, err := parse(value)
	if err != nil {
		if number, ok := errors.AsType[*strconv.NumError](err); ok {
			err = number.Err // without the name of a function
		}
		if p.err == nil {
			p.err = fmt.Errorf("invalid value for %s: %q: %w", flag, value, err)
		}
		return nil
	}
	return &n
}

// maxResources bounds a resources object, in bytes.
const maxResources = 16 << 20

func readResources(file string) (*specs.LinuxResources, error) {
	r := os.Stdin
	if file != "-" {
		var err error
		if r, err = os.Open(file); err != nil {
			return nil, fmt.Errorf("--resources: %w", err)
		}
		defer r.Close()
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxResources+1))
	if err == nil && len(raw) > maxResources {
		err = fmt.Errorf("%s is larger than %d bytes", file, maxResources)
	}
	if err != nil {
		return nil, fmt.Errorf("--resources: %w", err)
	}
	res, err := bundle.ParseResources(raw)
	if err != nil {
		return nil, fmt.Errorf("--resources %s: %w", file, err)
	}
	return res, nil
}
