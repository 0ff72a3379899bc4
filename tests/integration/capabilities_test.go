package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// capabilitySets are the five masks of a process, and by what name /proc/PID/status has them.
type capabilitySets struct{ inheritable, permitted, effective, bounding, ambient uint64 }

func parseCapabilities(t *testing.T, status string) capabilitySets {
	t.Helper()
	var c capabilitySets
	to := map[string]*uint64{"CapInh:": &c.inheritable, "CapPrm:": &c.permitted, "CapEff:": &c.effective, "CapBnd:": &c.bounding, "CapAmb:": &c.ambient}
	for line := range strings.Lines(status) {
		f := strings.Fields(line)
		if len(f) == 2 && to[f[0]] != nil {
			v, err := strconv.ParseUint(f[1], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			*to[f[0]] = v
			delete(to, f[0])
		}
	}
	if len(to) > 0 {
		t.Fatalf("not all five sets are in %q", status)
	}
	return c
}

// Numbers of capability.h.
const (
	capChown = uint64(1) << 0
	capKill  = uint64(1) << 5
	capBind  = uint64(1) << 10
	capRaw   = uint64(1) << 13
	capAdmin = uint64(1) << 21
)

func TestCapabilities(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	caller := parseCapabilities(t, string(own)).permitted
	chown, kill, bind, raw := "CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"
	all := harness.AllCapabilities()
	for _, c := range []struct {
		name string
		edit harness.Edit
		want capabilitySets
	}{
		{"none", harness.Capabilities(), capabilitySets{}},
		{"absent", func(s *specs.Spec) { s.Process.Capabilities = nil }, capabilitySets{}},
		{"three", harness.Capabilities(chown, kill, raw), capabilitySets{0, capChown | capKill | capRaw, capChown | capKill | capRaw, capChown | capKill | capRaw, 0}},
		{"all", all, capabilitySets{0, caller, caller, caller, 0}},
		{"bounding only", set(&specs.LinuxCapabilities{Bounding: []string{chown, kill}}), capabilitySets{0, 0, 0, capChown | capKill, 0}},
		{"all five", set(&specs.LinuxCapabilities{Bounding: []string{chown}, Permitted: []string{chown}, Effective: []string{chown}, Inheritable: []string{chown}, Ambient: []string{chown}}),
			capabilitySets{capChown, capChown, capChown, capChown, capChown}},
		{"inheritable", set(&specs.LinuxCapabilities{Bounding: []string{raw, kill}, Inheritable: []string{raw}}), capabilitySets{capRaw, 0, 0, capRaw | capKill, 0}},
		{"ambient for a user", func(s *specs.Spec) {
			harness.User(1000, 1000)(s)
			s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{bind, kill}, Permitted: []string{bind}, Inheritable: []string{bind}, Effective: []string{bind}, Ambient: []string{bind}}
		}, capabilitySets{capBind, capBind, capBind, capBind | capKill, capBind}},
		{"a user without ambient", func(s *specs.Spec) {
			harness.User(1000, 1000)(s)
			harness.Capabilities(bind, kill)(s)
		}, capabilitySets{0, 0, 0, capBind | capKill, 0}},
		{"lower case and short", harness.Capabilities("cap_chown"), capabilitySets{0, capChown, capChown, capChown, 0}},
		{"in a user namespace", func(s *specs.Spec) {
			harness.UserNamespace(100000, 65536)(s)
			harness.Capabilities("CAP_SYS_ADMIN", chown)(s)
		}, capabilitySets{0, capAdmin | capChown, capAdmin | capChown, capAdmin | capChown, 0}},
	} {
		for _, nnp := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s noNewPrivileges=%t", c.name, nnp), func(t *testing.T) {
				t.Parallel()
				s := harness.New(t, c.edit, harness.Args("/bin/grep", "^Cap", "/proc/self/status"))
				s.Spec.Process.NoNewPrivileges = nnp
				if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
					t.Fatal(err)
				}
				got := parseCapabilities(t, s.Output())
				want := c.want
				if s.Spec.Process.User.UID == 0 && !nnp {
					// What root executes gains what its bounding and inheritable sets hold, capabilities(7).
					want.permitted |= want.bounding | want.inheritable
					want.effective = want.permitted
				}
				if got != want {
					t.Errorf("sets are\n%s, want\n%s", got, want)
				}
			})
		}
	}
}

func (c capabilitySets) String() string {
	return fmt.Sprintf("inheritable %x, permitted %x, effective %x, bounding %x, ambient %x", c.inheritable, c.permitted, c.effective, c.bounding, c.ambient)
}

func set(c *specs.LinuxCapabilities) harness.Edit {
	return func(s *specs.Spec) { s.Process.Capabilities = c }
}

// What isn't known or can't be granted is a warning, never an error and never silent (P8).
func TestCapabilitiesWarn(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Capabilities("CAP_FLY", "CAP_CHOWN"))
	r := s.Run(harness.Args("/bin/grep", "CapPrm", "/proc/self/status"))
	r.Succeeds()
	if r.Stdout() != "CapPrm:\t0000000000000001\n" {
		t.Errorf("got %q", r.Stdout())
	}
	if !strings.Contains(r.Stderr(), "CAP_FLY") || !strings.Contains(r.Stderr(), "level=warning") {
		t.Errorf("there is no warning: %q", r.Stderr())
	}
}
