package security

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// Capabilities of the configurations below, with their numbers of capability.h.
const (
	capChown, capKill, capSetpcap, capBind, capRaw, capAdmin, capTTY = uint64(1) << 0, uint64(1) << 5, uint64(1) << 8, uint64(1) << 10, uint64(1) << 13, uint64(1) << 21, uint64(1) << 26
)

// named are the names of the bits above.
func named(bits uint64) (names []string) {
	for _, c := range []struct {
		bit  uint64
		name string
	}{{capChown, "CAP_CHOWN"}, {capKill, "CAP_KILL"}, {capSetpcap, "CAP_SETPCAP"}, {capBind, "CAP_NET_BIND_SERVICE"}, {capRaw, "CAP_NET_RAW"}, {capAdmin, "CAP_SYS_ADMIN"}, {capTTY, "CAP_SYS_TTY_CONFIG"}} {
		if bits&c.bit != 0 {
			names = append(names, c.name)
		}
	}
	return names
}

// capabilityCase is a configuration and how davit itself is called.
type capabilityCase struct {
	name   string
	want   request
	user   uint32
	userns bool
	caller []string // what davit is started by
	// What caller sets: these securebits are the container's too, unless it has a user namespace of its own.
	noRoot, noAmbientRaise bool
	names                  []string // further, unknown ones in every set
	warns                  []string // what the log has to say
}

func capabilityCases() []capabilityCase {
	same := func(bits uint64) request { return request{bits, bits, bits, 0, 0} }
	five := func(bits uint64) request { return request{bits, bits, bits, bits, bits} }
	// What davit itself needs, and what the containers ask for; a host may lack others.
	const most = "+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_admin,+net_raw,+sys_chroot,+sys_ptrace,+sys_admin,+mknod,+setfcap"
	asAmbient := []string{"setpriv", "--inh-caps=" + most, "--ambient-caps=" + most}
	return []capabilityCase{
		{name: "none"},
		{name: "three", want: same(capChown | capKill | capRaw)},
		{name: "all five sets", want: five(capChown | capBind)},
		{name: "bounding only", want: request{bounding: capChown | capAdmin}},
		{name: "permitted beyond bounding", want: request{bounding: capChown, permitted: capChown | capKill, effective: capKill}},
		{name: "inheritable only", want: request{bounding: capRaw | capKill, inheritable: capRaw}},
		{name: "effective beyond permitted", want: request{bounding: capKill | capRaw, permitted: capKill, effective: capKill | capRaw}, warns: []string{"CAP_NET_RAW ignored because not in permitted"}},
		{name: "inheritable beyond bounding", want: request{bounding: capKill, permitted: capKill | capRaw, inheritable: capKill | capRaw}, warns: []string{"CAP_NET_RAW ignored because not in bounding"}},
		{name: "ambient without inheritable", want: request{capKill | capRaw, capKill | capRaw, capKill | capRaw, 0, capKill | capRaw}, warns: []string{"process.capabilities.ambient", "not in permitted and inheritable"}},
		{name: "ambient in part", want: request{capKill | capRaw, capKill | capRaw, capKill, capKill, capKill | capRaw}, warns: []string{"CAP_NET_RAW ignored because not in permitted and inheritable"}},
		{name: "a user without ambient", want: same(capChown | capBind), user: 1000},
		{name: "a user with ambient", want: five(capBind | capKill), user: 1000},
		{name: "a user with inheritable only", want: request{capBind, capBind, capBind, capBind, 0}, user: 1000},
		{name: "a user with ambient without inheritable", want: request{capBind, capBind, capBind, 0, capBind}, user: 1000, warns: []string{"process.capabilities.ambient"}},
		{name: "a user with permitted beyond bounding", want: request{capBind, capBind | capKill, capBind | capKill, capBind, capBind}, user: 65534},
		{name: "user namespace", want: same(capAdmin | capChown), userns: true},
		{name: "user namespace with what the caller lacks", want: same(capAdmin | capTTY), userns: true, caller: []string{"setpriv", "--bounding-set=-sys_tty_config"}},
		{name: "user namespace, a user with ambient", want: five(capAdmin | capRaw), userns: true, user: 1000},
		{name: "what the caller lacks", want: same(capChown | capTTY), caller: []string{"setpriv", "--bounding-set=-sys_tty_config"}, warns: []string{"CAP_SYS_TTY_CONFIG can't be granted"}},
		{name: "a caller with ambient capabilities", want: request{bounding: capChown | capKill, permitted: capChown}, user: 1000, caller: asAmbient},
		{name: "a caller with ambient capabilities, root", want: same(capKill), caller: asAmbient},
		{name: "SECBIT_NOROOT", want: same(capChown | capKill), caller: append(slices.Clone(asAmbient), "--securebits=+noroot"), noRoot: true},
		{name: "SECBIT_NOROOT and ambient", want: five(capChown | capKill), caller: append(slices.Clone(asAmbient), "--securebits=+noroot,+noroot_locked"), noRoot: true},
		{name: "SECBIT_NOROOT and a user namespace", want: same(capChown | capKill), userns: true, caller: append(slices.Clone(asAmbient), "--securebits=+noroot"), noRoot: true},
		{name: "SECBIT_NO_SETUID_FIXUP", want: request{capKill | capRaw, capKill | capRaw, capKill, capKill, capKill}, user: 1000, caller: []string{"setpriv", "--securebits=+no_setuid_fixup"}},
		{name: "SECBIT_NO_CAP_AMBIENT_RAISE", want: five(capKill), user: 1000, caller: []string{"capsh", "--secbits=64", "--shell=/usr/bin/env", "--"}, noAmbientRaise: true,
			warns: []string{"process.capabilities.ambient", "securebits forbid"}},
		{name: "unknown names", want: same(capKill), names: []string{"CAP_FLY", "cap_time_travel", ""}, warns: []string{"unknown and ignored", "CAP_FLY", "cap_time_travel"}},
	}
}

// The capabilities in a container are those that capabilities(7) gives for its configuration, whoever calls davit.
func TestCapabilityRules(t *testing.T) {
	t.Parallel()
	for _, c := range capabilityCases() {
		for _, nnp := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/noNewPrivileges=%t", c.name, nnp), func(t *testing.T) {
				t.Parallel()
				if len(c.caller) > 0 {
					harness.NeedTool(t, c.caller[0], map[string]string{"setpriv": "util-linux", "capsh": "libcap2-bin"}[c.caller[0]])
				}
				s := harness.New(t, c.edit(), harness.Args("/bin/grep", "^Cap", "/proc/self/status"))
				s.Spec.Process.NoNewPrivileges = nnp
				if c.userns {
					if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
						t.Fatal(err)
					}
				}
				caller := statusSets(t, harness.Tool(t, append(slices.Clone(c.caller), "grep", "^Cap", "/proc/self/status")...))
				s.Prefix = c.caller
				r := s.Run()
				r.Succeeds()
				if got, want := statusSets(t, r.Stdout()), c.predict(caller, nnp); got != want {
					t.Errorf("sets are\n%s, capabilities(7) says\n%s", got, want)
				}
				for _, w := range c.warns {
					if !strings.Contains(r.Stderr(), w) || !strings.Contains(r.Stderr(), "level=warning") {
						t.Errorf("there is no warning that says %q: %s", w, r.Stderr())
					}
				}
				if len(c.warns) == 0 && r.Stderr() != "" {
					t.Errorf("a warning of nothing: %s", r.Stderr())
				}
			})
		}
	}
}

func (c *capabilityCase) edit() harness.Edit {
	set := func(bits uint64) []string { return append(named(bits), c.names...) }
	return func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: set(c.want.bounding), Permitted: set(c.want.permitted), Effective: set(c.want.effective),
			Inheritable: set(c.want.inheritable), Ambient: set(c.want.ambient)}
		harness.User(c.user, c.user)(s)
		if c.userns {
			harness.UserNamespace(100000, 65536)(s)
		}
	}
}

func (c *capabilityCase) predict(caller fiveSets, nnp bool) fiveSets {
	grantable, noRoot, noAmbient := caller.permitted, c.noRoot, c.noAmbientRaise
	if c.userns {
		grantable, noRoot, noAmbient = ^uint64(0), false, false // user_namespaces(7): all of them, and securebits at their defaults
	}
	return credentials{root: c.user == 0, noRoot: noRoot, noNewPrivs: nnp, sets: c.want.granted(grantable, noAmbient)}.execve()
}

func statusSets(t *testing.T, status string) (c fiveSets) {
	t.Helper()
	to := map[string]*uint64{"CapInh:": &c.inheritable, "CapPrm:": &c.permitted, "CapEff:": &c.effective, "CapBnd:": &c.bounding, "CapAmb:": &c.ambient}
	for line := range strings.Lines(status) {
		if f := strings.Fields(line); len(f) == 2 && to[f[0]] != nil {
			v, err := strconv.ParseUint(f[1], 16, 64)
			must(t, err)
			*to[f[0]] = v
			delete(to, f[0])
		}
	}
	if len(to) > 0 {
		t.Fatalf("not all five sets are in %q", status)
	}
	return c
}

func (c fiveSets) String() string {
	return fmt.Sprintf("inheritable %x, permitted %x, effective %x, bounding %x, ambient %x", c.inheritable, c.permitted, c.effective, c.bounding, c.ambient)
}

// What exec --cap adds is not inheritable, and so nothing that a user other than root could pass on (CVE-2022-29162).
func TestCapabilityRulesOfExec(t *testing.T) {
	t.Parallel()
	caller := statusSets(t, readFile(t, "/proc/self/status"))
	for _, c := range []capabilityCase{{want: request{capChown, capChown, capChown, 0, 0}}, {want: request{capChown, capChown, capChown, capChown, capChown}}, {}} {
		for _, user := range []uint32{0, 1000} {
			for _, nnp := range []bool{true, false} {
				s := harness.New(t, c.edit(), harness.Args("/bin/sleep", "1000"))
				s.Spec.Process.NoNewPrivileges = nnp
				s.Create().Succeeds()
				s.Davit("start", s.ID).Succeeds()
				r := s.Davit("exec", "--user", fmt.Sprint(user), "--cap", "CAP_NET_RAW", "--cap", "CAP_KILL", s.ID, "/bin/grep", "^Cap", "/proc/self/status")
				r.Succeeds()
				s.Delete()
				asked := c.want
				asked.bounding |= capRaw | capKill
				asked.permitted |= capRaw | capKill
				asked.effective |= capRaw | capKill
				want := credentials{root: user == 0, noNewPrivs: nnp, sets: asked.granted(caller.permitted, false)}.execve()
				got := statusSets(t, r.Stdout())
				// What the container's own sets make ambient stays so; what --cap adds may join it only where it is inheritable, which it never is.
				if got != want {
					t.Errorf("user %d, noNewPrivileges %t, %+v: sets are\n%s, capabilities(7) says\n%s", user, nnp, c.want, got, want)
				}
				if got.inheritable&(capRaw|capKill) != 0 || user != 0 && got.effective&(capRaw|capKill) != 0 {
					t.Errorf("user %d: --cap reached %s", user, got)
				}
			}
		}
	}
}

// The model itself: cases that capabilities(7) spells out.
func TestCapabilityModel(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before credentials
		want   fiveSets
	}{
		"root gains its bounding set":            {credentials{root: true, sets: fiveSets{bounding: 6}}, fiveSets{0, 6, 6, 6, 0}},
		"but not with no_new_privs":              {credentials{root: true, noNewPrivs: true, sets: fiveSets{bounding: 6, permitted: 2}}, fiveSets{0, 2, 2, 6, 0}},
		"nor with SECBIT_NOROOT":                 {credentials{root: true, noRoot: true, sets: fiveSets{bounding: 6, permitted: 6, effective: 6}}, fiveSets{0, 0, 0, 6, 0}},
		"inheritable escapes the bounding set":   {credentials{root: true, sets: fiveSets{inheritable: 1, bounding: 2}}, fiveSets{1, 3, 3, 2, 0}},
		"a user loses all":                       {credentials{sets: fiveSets{permitted: 7, effective: 7, bounding: 7}}, fiveSets{0, 0, 0, 7, 0}},
		"but for what is ambient":                {credentials{sets: fiveSets{inheritable: 3, permitted: 7, effective: 7, bounding: 7, ambient: 1}}, fiveSets{3, 1, 1, 7, 1}},
		"ambient and no_new_privs go together":   {credentials{noNewPrivs: true, sets: fiveSets{inheritable: 1, permitted: 1, bounding: 1, ambient: 1}}, fiveSets{1, 1, 1, 1, 1}},
		"SECBIT_NOROOT makes a user out of root": {credentials{root: true, noRoot: true, sets: fiveSets{inheritable: 3, permitted: 3, bounding: 3, ambient: 2}}, fiveSets{3, 2, 2, 3, 2}},
	} {
		if got := tt.before.execve(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
