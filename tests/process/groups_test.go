package process

import (
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// With run.oci.keep_original_groups the process has the groups of davit's caller, in exec those of exec's.
func TestKeepOriginalGroups(t *testing.T) {
	t.Parallel()
	groups := func(s *harness.Sandbox, gids []uint32, args ...string) string {
		t.Helper()
		c := s.Command(args...)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: gids}}
		r := c.Do()
		r.Succeeds()
		return strings.TrimSpace(r.Stdout())
	}
	annotate := func(value string) harness.Edit {
		return func(c *specs.Spec) { c.Annotations = map[string]string{"run.oci.keep_original_groups": value} }
	}
	for name, c := range map[string]struct {
		edits     []harness.Edit
		want, out string
	}{
		"kept":              {[]harness.Edit{annotate("1")}, "0 4 9", "0 7"},
		"dropped":           {[]harness.Edit{annotate("0")}, "0", "0"},
		"in user namespace": {[]harness.Edit{annotate("1"), harness.UserNamespace(100000, 65536)}, "0 65534 65534", "0 65534"},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.New(t, append(c.edits, harness.Shell("id -G; sleep 100"))...)
			s.WriteConfig()
			once := harness.New(t, append(c.edits, harness.Shell("id -G"))...)
			once.WriteConfig()
			if got := groups(once, []uint32{4, 9}, "run", "--bundle", once.Bundle, once.ID); got != c.want {
				t.Errorf("run: the groups are %q, want %q", got, c.want)
			}
			s.Davit("run", "--detach", "--bundle", s.Bundle, s.ID).Succeeds()
			if got := groups(s, []uint32{7}, "exec", s.ID, "id", "-G"); got != c.out {
				t.Errorf("exec: the groups are %q, want %q", got, c.out)
			}
			s.Davit("delete", "--force", s.ID).Succeeds()
		})
	}
}
