package process

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// --debug tells each step, the process, its cgroups, and what hooks said that succeeded.
func TestDebugTellsWhatIsDone(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("sleep 100"), func(c *specs.Spec) {
		c.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo from the hook"}}}}
	})
	s.WriteConfig()
	tells := func(args []string, want ...string) {
		t.Helper()
		log := s.Path("log")
		s.Davit(append([]string{"--debug", "--log", log}, args...)...).Succeeds()
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(text), "level=debug msg=\""+w) {
				t.Errorf("%s doesn't tell %q:\n%s", args[0], w, text)
			}
		}
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	tells([]string{"create", "--bundle", s.Bundle, s.ID}, "davit: load config.json (", "process ", "hooks.createRuntime[0] (/bin/sh): succeeded after ",
		"stage: mount mounts[0] (/proc) (", "stage: pivot root.path (")
	tells([]string{"start", s.ID}, "davit: wake the process, until its exec (")
	tells([]string{"exec", s.ID, "/bin/true"}, "stage: exec (")
	tells([]string{"kill", s.ID, "KILL"}, "SIGKILL to process ")
	tells([]string{"delete", "--force", s.ID}, "cgroups of container "+s.ID+" removed")
}
