package process

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// A user that is no plain number must never turn into root (CVE-2026-30892).
func TestExecUser(t *testing.T) {
	t.Parallel()
	s := running(t)
	for _, c := range []struct{ arg, want string }{
		{"0", "0 0"}, {"1", "1 0"}, {"1:2", "1 2"}, {"1000:1000", "1000 1000"}, {"0:5", "0 5"}, {"007:08", "7 8"},
		{"4294967294", "4294967294 0"}, {"4294967294:4294967294", "4294967294 4294967294"},
	} {
		for _, flags := range [][]string{{"-u", c.arg}, {"--user=" + c.arg}} {
			if out := execute(s, "echo $(id -u) $(id -g)", flags...); out != c.want+"\n" {
				t.Errorf("%v: %q, want %s", flags, out, c.want)
			}
		}
	}
	for _, arg := range []string{"root", "root:root", "alice", "-1", "1:-1", "+1", "4294967295", "1:4294967295", "4294967296", "1:4294967296",
		"18446744073709551616", "0x0", "1:", ":1", ":", "1:2:3", "1 ", " 1", "1,2", "1.0", "1e3", "\u0661"} {
		r := s.Davit(execLine(s, "id -u", "--user="+arg)...)
		if r.Code != 255 || !strings.Contains(r.Stderr(), "--user") {
			t.Errorf("--user=%q: exit code %d, %q %q", arg, r.Code, r.Stdout(), r.Stderr())
		}
	}
	// An empty one is as none, and the container's own user stays.
	if out := execute(s, "id -u", "--user="); out != "0\n" {
		t.Errorf("--user= : %q", out)
	}
	// With only the user said, the group stays the container's.
	u := running(t, harness.User(1000, 100))
	if out := execute(u, "echo $(id -u) $(id -g)"); out != "1000 100\n" {
		t.Errorf("as the container: %q", out)
	}
	if out := execute(u, "echo $(id -u) $(id -g)", "-u", "5"); out != "5 100\n" {
		t.Errorf("-u 5: %q", out)
	}
	if out := execute(u, "echo $(id -u) $(id -g)", "-u", "0:0"); out != "0 0\n" {
		t.Errorf("-u 0:0: %q", out)
	}
}

func TestExecIntoUserNamespace(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/bin/sleep", "1000"), harness.UserNamespace(100000, 65536))
	if err := os.Chown(s.Rootfs, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	start(s)
	t.Cleanup(s.Delete)
	out := execute(s, "echo $(id -u) $(id -g); cat /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/1/ns/user; grep CapEff /proc/self/status")
	f := strings.Fields(out)
	if len(f) != 9 || f[0] != "0" || f[1] != "0" || f[3] != "100000" || f[5] != f[6] {
		t.Errorf("ids, map, user namespaces are %q", out)
	}
	if out := execute(s, "id -u; id -g; id -G", "-u", "1000:1000", "-g", "5"); fields(out) != "1000 1000 1000 5" {
		t.Errorf("a user of the namespace: %q", out)
	}
	// Root of it has the capabilities that the configuration says, in there.
	if out := execute(s, "hostname other && hostname", "--cap", "CAP_SYS_ADMIN"); out != "other\n" {
		t.Errorf("with CAP_SYS_ADMIN in the namespace: %q", out)
	}
	s.Davit(execLine(s, "true", "-u", "65536")...).FailsWith(255, "process.user")
	// process objects, too
	file := processFile(s, "id -u", func(p *specs.Process) { p.User.UID = 65536 })
	s.Davit("exec", "--process", file, s.ID).FailsWith(255, "process.user")
}
