package integration

import (
	"testing"

	"davit/tests/harness"
)

func TestRunTrue(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Run().Succeeds()
	if got := s.Sh("echo hello; hostname"); got != "hello\ndavit\n" {
		t.Errorf("output %q", got)
	}
}

// What depends on control groups runs in the other layouts, too; all else runs in the host's own only.
func TestLayouts(t *testing.T) {
	const life = "^(TestRunTrue|TestLifeCycle|TestStateAndListFormat|TestDeleteForce|TestSharedPIDNamespace|TestNamespaces(New|Host|Joined)|TestDeviceRules|" +
		"TestCgroup.*|TestRunForwardsSignals|TestNoDescriptorLeaks|TestHooks|TestConcurrentCommands|TestCrashOfForegroundRun)$"
	const crashes = "^(TestCrashAtSystemCalls|TestCrashAfterDelays)$"
	for _, c := range []struct {
		name, tests string
		layout      harness.Layout
	}{
		{"v1", life, harness.V1}, {"v2", life, harness.V2}, {"v2 crashes", crashes, harness.V2},
	} {
		t.Run(c.name, func(t *testing.T) { harness.InLayout(t, c.layout, c.tests) })
	}
}
