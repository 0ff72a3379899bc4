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

func TestLayouts(t *testing.T) {
	for _, l := range []harness.Layout{harness.V1, harness.V2} {
		t.Run(string(l), func(t *testing.T) { harness.InLayout(t, l, "^TestRunTrue$") })
	}
}
