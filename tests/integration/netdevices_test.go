package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// netns is a network namespace of a test's own, kept by a process.
type netns struct {
	t   *testing.T
	pid string
}

func newNetns(t *testing.T) *netns {
	t.Helper()
	harness.NeedTool(t, "ip", "iproute2")
	holder := exec.Command("sleep", "1000")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
	return &netns{t, strconv.Itoa(holder.Process.Pid)}
}

func (n *netns) path() string { return "/proc/" + n.pid + "/ns/net" }

// enter is the beginning of a command line that runs inside.
func (n *netns) enter() []string { return []string{"nsenter", "--net=" + n.path()} }

// ip runs commands of ip(8), one a line.
func (n *netns) ip(lines string) string {
	n.t.Helper()
	var out string
	for line := range strings.Lines(lines) {
		if f := strings.Fields(line); len(f) > 0 {
			out = harness.Tool(n.t, append(append(n.enter(), "ip"), f...)...)
		}
	}
	return out
}

// device is what ip(8) tells about one.
type device struct {
	Name      string   `json:"ifname"`
	Flags     []string `json:"flags"`
	MTU       int      `json:"mtu"`
	Queue     int      `json:"txqlen"`
	Hardware  string   `json:"address"`
	Alias     string   `json:"ifalias"`
	Master    string   `json:"master"`
	Other     []string `json:"altnames"`
	Addresses []struct {
		Family    string `json:"family"`
		Local     string `json:"local"`
		Peer      string `json:"address"`
		Prefix    int    `json:"prefixlen"`
		Broadcast string `json:"broadcast"`
		Scope     string `json:"scope"`
		Label     string `json:"label"`
		Metric    int    `json:"metric"`
		Protocol  string `json:"protocol"`
		NoPrefix  bool   `json:"noprefixroute"`
		Old       bool   `json:"deprecated"`
		Preferred uint32 `json:"preferred_life_time"`
		Valid     uint32 `json:"valid_life_time"`
	} `json:"addr_info"`
}

// devices lists all of them by name, without the loopback's.
func (n *netns) devices() map[string]device {
	n.t.Helper()
	var list []device
	if err := json.Unmarshal([]byte(n.ip("-j addr show")), &list); err != nil {
		n.t.Fatal(err)
	}
	found := make(map[string]device)
	for _, d := range list {
		if d.Name != "lo" {
			found[d.Name] = d
		}
	}
	return found
}

// addresses are those that have to stay a device's: all but the link's.
func (d *device) addresses() []string {
	var all []string
	for _, a := range d.Addresses {
		if a.Scope == "global" {
			all = append(all, fmt.Sprintf("%s/%d peer=%s brd=%s label=%s metric=%d proto=%s noprefixroute=%t deprecated=%t preferred=%d valid=%d",
				a.Local, a.Prefix, a.Peer, a.Broadcast, a.Label, a.Metric, a.Protocol, a.NoPrefix, a.Old, a.Preferred, a.Valid))
		}
	}
	return all
}

func (d *device) up() bool { return slices.Contains(d.Flags, "UP") }

// inNetns makes a sandbox whose davit runs in a network namespace of its own.
func inNetns(t *testing.T, edits ...harness.Edit) (*harness.Sandbox, *netns) {
	t.Helper()
	harness.NeedRoot(t)
	n := newNetns(t)
	s := harness.New(t, append([]harness.Edit{harness.Args("/bin/sleep", "1000")}, edits...)...)
	s.Prefix = n.enter()
	return s, n
}

func netDevices(devices map[string]string) harness.Edit {
	return func(c *specs.Spec) {
		c.Linux.NetDevices = make(map[string]specs.LinuxNetDevice)
		for name, to := range devices {
			c.Linux.NetDevices[name] = specs.LinuxNetDevice{Name: to}
		}
	}
}

const someDevices = `
	link add a0 mtu 1400 txqueuelen 77 address 02:00:00:00:00:0a type veth peer name b0
	link set a0 alias uplink
	link property add dev a0 altname quay
	link add m0 link b0 type macvlan mode bridge
	link add eth0 type veth peer name c0
	addr add 10.1.2.3/24 brd 10.1.2.255 dev a0 label a0:web
	addr add 10.1.2.4/24 dev a0
	addr add 10.9.0.1 peer 10.9.0.2/32 dev a0 metric 77
	addr add fd00::1/64 dev a0 nodad
	addr add fd00::2/128 dev a0 noprefixroute preferred_lft 0
	addr add fd00::5 peer fd00::6/128 dev a0
	addr add 10.3.0.1/16 dev m0
	addr add fd03::1/48 dev m0
	link set a0 up
	link set b0 up`

// The addresses of every family, and what a device was set to, go with it (ND1–ND4).
func TestNetDevices(t *testing.T) {
	t.Parallel()
	s, host := inNetns(t, netDevices(map[string]string{"a0": "eth%d", "m0": "", "eth0": "eth%d"}))
	s.Spec.Linux.Sysctl = map[string]string{"net.ipv4.conf.m0.rp_filter": "2", "net/ipv4/conf/eth0/forwarding": "1"}
	host.ip(someDevices)
	before := host.devices()
	host.ip(`
		addr add 169.254.3.3/16 scope link dev a0
		addr add 10.1.2.9/24 valid_lft 1000 preferred_lft 1000 dev a0
		addr add fd00::9/64 valid_lft 1000 preferred_lft 1000 dev a0`)
	s.Create().Succeeds()
	if left := host.devices(); len(left) != 2 || left["b0"].Name == "" || left["c0"].Name == "" {
		t.Errorf("devices left on the host: %v", left)
	}
	inside := &netns{t, strconv.Itoa(s.PID())}
	now := inside.devices()
	if len(now) != 3 {
		t.Fatalf("devices in the container: %v", now)
	}
	for name, was := range map[string]device{"eth0": before["a0"], "m0": before["m0"], "eth1": before["eth0"]} {
		is := now[name]
		if !is.up() || is.MTU != was.MTU || is.Queue != was.Queue || is.Hardware != was.Hardware || is.Alias != was.Alias || !slices.Equal(is.Other, was.Other) {
			t.Errorf("%s was %+v and is %+v", name, was, is)
		}
		for i := range was.Addresses { // a label begins with its device's name
			was.Addresses[i].Label = strings.Replace(was.Addresses[i].Label, was.Name, name, 1)
		}
		if got, want := is.addresses(), was.addresses(); !slices.Equal(sorted(got), sorted(want)) {
			t.Errorf("%s has the addresses\n\t%s\nand had\n\t%s", name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	if got := now["eth0"]; len(got.addresses()) != 6 {
		t.Errorf("eth0 has %q", got.addresses())
	}
	got := strings.Fields(harness.Tool(t, append(inside.enter(), "cat", "/proc/sys/net/ipv4/conf/m0/rp_filter", "/proc/sys/net/ipv4/conf/eth0/forwarding")...))
	if !slices.Equal(got, []string{"2", "1"}) {
		t.Errorf("sysctls of moved devices are %v", got)
	}
	s.Davit("start", s.ID).Succeeds()
	s.Delete()
	// The kernel has ended the virtual devices with their namespace: nothing was moved back.
	harness.Eventually(t, "the end of the container's devices", func() bool { return len(host.devices()) == 0 })
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// A packet gets through: the routes of the addresses are there, too.
func TestNetDevicesReach(t *testing.T) {
	t.Parallel()
	for _, userns := range []bool{false, true} {
		t.Run("userns="+strconv.FormatBool(userns), func(t *testing.T) {
			t.Parallel()
			s, host := inNetns(t, netDevices(map[string]string{"a0": "net0"}))
			if userns {
				s.Edit(harness.UserNamespace(100000, 65536))
				chown(t, s.Rootfs, 100000)
			}
			host.ip(`
				link add a0 type veth peer name b0
				addr add 10.1.2.1/24 dev b0
				addr add fd00::1/64 dev b0 nodad
				addr add 10.1.2.3/24 dev a0
				addr add fd00::3/64 dev a0 nodad
				link set b0 up
				link set lo up`)
			s.Spec.Process.Args = []string{"/bin/sh", "-c", "nc -l -p 7 -e echo reached"}
			s.Create().Succeeds()
			s.Davit("start", s.ID).Succeeds()
			for _, to := range []string{"10.1.2.3", "fd00::3"} {
				harness.Eventually(t, "an answer from "+to, func() bool {
					out, err := exec.Command("nsenter", "--net="+host.path(), "busybox", "ping", "-c", "1", "-w", "1", to).Output()
					return err == nil && strings.Contains(string(out), "1 packets received")
				})
			}
			s.Delete()
		})
	}
}

// Each refusal comes before anything is moved, or takes back what was.
func TestNetDevicesRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		devices map[string]string
		join    func(host, other *netns) string // the namespace's path, "" for a new one
		edit    harness.Edit
		want    []string
	}{
		{name: "missing", devices: map[string]string{"a0": "", "z9": ""}, want: []string{`linux.netDevices["z9"]`, "no network device of that name"}},
		{name: "loopback", devices: map[string]string{"a0": "", "lo": "lo1"}, want: []string{`linux.netDevices["lo"]`, "loopback"}},
		{name: "altname", devices: map[string]string{"quay": ""}, want: []string{`linux.netDevices["quay"]`, "alternative name of device a0"}},
		{name: "taken", devices: map[string]string{"a0": "", "eth0": "taken0"}, join: func(_, other *netns) string { return other.path() },
			want: []string{`linux.netDevices["eth0"]`, `has a device "taken0" already`}},
		{name: "the container's loopback", devices: map[string]string{"a0": "lo"}, want: []string{`linux.netDevices["a0"]`, `has a device "lo" already`}},
		{name: "same namespace", devices: map[string]string{"a0": ""}, join: func(host, _ *netns) string { return host.path() },
			want: []string{"linux.netDevices", "is the runtime's"}},
		{name: "bridge", devices: map[string]string{"a0": "", "p0": "", "zbridge": ""}, want: []string{`linux.netDevices["zbridge"]`, "move it"}},
		{name: "hook", devices: map[string]string{"a0": "x%d", "m0": "", "p0": ""}, want: []string{"createRuntime"},
			edit: harness.Hooks(func(h *specs.Hooks) { h.CreateRuntime = []specs.Hook{{Path: "/bin/false"}} })},
		{name: "command that is missing", devices: map[string]string{"a0": ""}, want: []string{"/nowhere"}, edit: harness.Args("/nowhere")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, host := inNetns(t, netDevices(tt.devices))
			if tt.edit != nil {
				s.Edit(tt.edit)
			}
			other := newNetns(t)
			host.ip(someDevices + `
				link add zbridge type bridge
				link add p0 type veth peer name p1
				link set p0 master zbridge
				link set p0 up`)
			other.ip("link add taken0 type veth peer name taken1")
			if tt.join != nil {
				s.Edit(harness.Namespace(specs.NetworkNamespace, tt.join(host, other)))
			}
			before := host.devices()
			s.Create().Fails(tt.want...)
			after := host.devices()
			for name, was := range before {
				is := after[name]
				if is.up() != was.up() || is.Master != was.Master || is.MTU != was.MTU || is.Alias != was.Alias || !slices.Equal(sorted(is.addresses()), sorted(was.addresses())) {
					t.Errorf("%s was\n%+v\nand is\n%+v", name, was, is)
				}
			}
			if len(after) != len(before) || len(other.devices()) != 2 {
				t.Errorf("devices are elsewhere: %v %v", after, other.devices())
			}
			s.Davit("state", s.ID).Fails("does not exist")
		})
	}
}

// A namespace that outlives the container keeps its devices (config-linux.md, Namespace Lifecycle and Container Termination).
func TestNetDevicesOfJoinedNamespace(t *testing.T) {
	t.Parallel()
	s, host := inNetns(t, netDevices(map[string]string{"a0": "taken%d"}))
	other := newNetns(t)
	host.ip("link add a0 type veth peer name b0\n addr add fd00::7/64 dev a0")
	other.ip("link add taken0 type veth peer name taken2")
	s.Edit(harness.Namespace(specs.NetworkNamespace, other.path()), harness.Args("/bin/true"))
	s.Run().Succeeds()
	d := other.devices()["taken1"]
	if got := d.addresses(); !d.up() || len(got) != 1 || !strings.HasPrefix(got[0], "fd00::7/64 ") {
		t.Errorf("the kept namespace has %+v", other.devices())
	}
	if left := host.devices(); len(left) != 1 {
		t.Errorf("the device is back: %v", left)
	}
}

// Without the capability the kernel's refusal is explained.
func TestNetDevicesWithoutPrivilege(t *testing.T) {
	t.Parallel()
	s, host := inNetns(t, netDevices(map[string]string{"a0": ""}))
	harness.NeedTool(t, "capsh", "libcap2-bin")
	host.ip("link add a0 type veth peer name b0")
	s.Edit(harness.UserNamespace(100000, 65536)) // over the container's namespaces it has the capability
	chown(t, s.Rootfs, 100000)
	s.Prefix = append(slices.Clone(host.enter()), "capsh", "--drop=cap_net_admin", "--", "-c", `exec "$@"`, "--")
	s.Create().Fails(`linux.netDevices["a0"]`, "CAP_NET_ADMIN")
	if len(host.devices()) != 2 {
		t.Errorf("devices: %v", host.devices())
	}
}

// A device that can't move has the name of one that is in the container's namespace: that one stays there.
func TestNetDevicesNamesake(t *testing.T) {
	t.Parallel()
	s, host := inNetns(t, netDevices(map[string]string{"a0": "c%d"}))
	other := newNetns(t)
	host.ip("link add a0 type bridge")
	other.ip("link add a0 type veth peer name b0")
	s.Edit(harness.Namespace(specs.NetworkNamespace, other.path()))
	r := s.Create()
	r.Fails(`linux.netDevices["a0"]`, "can't leave the network namespace")
	if strings.Contains(r.Stderr(), "move it back") {
		t.Errorf("the namesake was taken for it: %s", r.Stderr())
	}
	if len(host.devices()) != 1 || len(other.devices()) != 2 {
		t.Errorf("devices: %v and %v", host.devices(), other.devices())
	}
}

// davit killed while a hook runs: the state is removable, and nothing of the container holds the namespace.
func TestNetDevicesKilled(t *testing.T) {
	t.Parallel()
	s, host := inNetns(t, netDevices(map[string]string{"a0": ""}))
	host.ip("link add a0 type veth peer name b0")
	mark := filepath.Join(s.Dir, "mark")
	s.Edit(harness.Hooks(func(h *specs.Hooks) {
		h.CreateRuntime = []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo $$ >" + mark + "; sleep 1000 & exec sleep 1000"}}}
	}))
	s.WriteConfig()
	c := s.Command("create", "--bundle", s.Bundle, s.ID)
	c.Begin()
	hook := 0
	harness.Eventually(t, "the hook", func() bool {
		data, err := os.ReadFile(mark)
		if err == nil {
			_, err = fmt.Sscan(string(data), &hook)
		}
		return err == nil
	})
	_ = c.Process.Kill()
	c.End()
	s.Delete()
	if err := unix.Kill(-hook, unix.SIGKILL); err != nil { // it is nobody's any more, and leads a process group
		t.Error(err)
	}
}
