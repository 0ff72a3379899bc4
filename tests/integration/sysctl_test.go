package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Both spellings, of a device whose name has a dot in it; in a user namespace, too.
func TestSysctlOfDottedDevice(t *testing.T) {
	t.Parallel()
	for _, userns := range []bool{false, true} {
		s, host := inNetns(t, netDevices(map[string]string{"v0.1": "", "w0.2": ""}))
		if userns {
			s.Edit(harness.UserNamespace(100000, 65536))
			chown(t, s.Rootfs, 100000)
		}
		host.ip("link add v0.1 type veth peer name w0.2")
		s.Spec.Linux.Sysctl = map[string]string{
			"net/ipv4/conf/v0.1/rp_filter": "2", "net.ipv4.conf.w0/2.rp_filter": "1", "net.ipv6.conf.v0/1.hop_limit": "33", "kernel.shmmni": "99",
		}
		out := s.Sh("cd /proc/sys; cat net/ipv4/conf/v0.1/rp_filter net/ipv4/conf/w0.2/rp_filter net/ipv6/conf/v0.1/hop_limit kernel/shmmni")
		if got := strings.Join(strings.Fields(out), " "); got != "2 1 33 99" {
			t.Errorf("user namespace %t: %s", userns, got)
		}
	}
}

// A path that turns out to be the host's own namespace isolates nothing.
func TestSysctlOfHostsNamespace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typ         specs.LinuxNamespaceType
		field, file string // file is what must not change
		edit        harness.Edit
	}{
		{specs.NetworkNamespace, `linux.sysctl["net.ipv4.ip_default_ttl"]`, "net/ipv4/ip_default_ttl", sysctl("net.ipv4.ip_default_ttl", "77")},
		{specs.IPCNamespace, `linux.sysctl["kernel/msgmni"]`, "kernel/msgmni", sysctl("kernel/msgmni", "77")},
		{specs.UTSNamespace, `linux.sysctl["kernel.domainname"]`, "kernel/domainname", sysctl("kernel.domainname", "boat")},
		{specs.UTSNamespace, "hostname", "kernel/hostname", func(c *specs.Spec) { c.Hostname = "boat" }},
		{specs.UTSNamespace, "domainname", "kernel/domainname", func(c *specs.Spec) { c.Domainname = "boat" }},
	} {
		s := harness.New(t, harness.Namespace(tt.typ, fmt.Sprintf("/proc/%d/ns/%s", os.Getpid(), nsFiles()[tt.typ])))
		s.Spec.Hostname = ""
		s.Edit(tt.edit)
		before := readFile(t, "/proc/sys/"+tt.file)
		s.Create().Fails(tt.field, "is the runtime's")
		if after := readFile(t, "/proc/sys/"+tt.file); before != after {
			t.Errorf("%s of the host was %q and is %q", tt.file, before, after)
		}
	}
	// Without anything to set, sharing the host's is what it was asked to.
	s := harness.New(t, harness.Namespace(specs.UTSNamespace, fmt.Sprintf("/proc/%d/ns/uts", os.Getpid())), func(c *specs.Spec) { c.Hostname = "" })
	s.Run().Succeeds()
}

func sysctl(key, value string) harness.Edit {
	return func(c *specs.Spec) { c.Linux.Sysctl = map[string]string{key: value} }
}

// The loopback is up where the network namespace is new, and only there.
func TestLoopback(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.UserNamespace(100000, 65536), harness.AllCapabilities()) // ping needs one
	chown(t, s.Rootfs, 100000)
	const isUp = "ip link show lo; ping -c 1 -w 2 127.0.0.1 && ping -c 1 -w 2 ::1"
	if out := s.Sh(isUp); !strings.Contains(out, "LOOPBACK,UP") || strings.Count(out, "1 packets received") != 2 {
		t.Errorf("in a user namespace:\n%s", out)
	}
	kept := newNetns(t)
	s = harness.New(t, harness.Namespace(specs.NetworkNamespace, kept.path()))
	if out := s.Sh("ip link show lo"); strings.Contains(out, "LOOPBACK,UP") {
		t.Errorf("the loopback of a namespace that was joined was brought up:\n%s", out)
	}
}
