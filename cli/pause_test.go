package cli

import (
	"strings"
	"testing"
	"time"
)

// TestPause looks at a container that counts: it must not while it is paused.
func TestPause(t *testing.T) {
	e := newEngine(t)
	e.start("p", "i=0; while :; do i=$((i+1)); echo $i >/dev/shm/n; done")
	count := func() string { return e.must("exec", "--ignore-paused", "p", "/bin/busybox", "cat", "/dev/shm/n") }
	eventually(t, "the container counts", func() bool {
		_, out, _ := e.call("exec", "p", "/bin/busybox", "cat", "/dev/shm/n")
		return out != ""
	})
	if out := e.must("pause", "p"); out != "" {
		t.Errorf("pause printed %q", out)
	}
	if s := e.status("p"); s.Status != "paused" || s.PID == 0 {
		t.Errorf("after pause: %+v", s)
	}
	for _, tt := range []struct{ line, want string }{
		{"pause p", "container paused"},
		{"exec p /bin/busybox true", "cannot exec in a paused container (use --ignore-paused to override)"},
	} {
		if code, _, errs := e.call(strings.Fields(tt.line)...); code == 0 || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit %d, stderr %q", tt.line, code, errs)
		}
	}
	e.must("resume", "p")
	if s := e.status("p"); s.Status != "running" {
		t.Errorf("after resume: %+v", s)
	}
	before := count()
	eventually(t, "it goes on counting", func() bool { return count() != before })
	if code, _, errs := e.call("resume", "p"); code != 1 || !strings.Contains(errs, "container not paused") {
		t.Errorf("resume of a running container: exit %d, stderr %q", code, errs)
	}

	// A paused container can be killed and removed.
	e.must("pause", "p")
	began := time.Now()
	e.must("delete", "--force", "p")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("delete --force of a paused container took %v", took)
	}
}

func TestPauseStopped(t *testing.T) {
	e := newEngine(t)
	e.start("s", "exit 0")
	eventually(t, "it ends", func() bool { return e.status("s").Status == "stopped" })
	for command, want := range map[string]string{"pause": "container not running", "resume": "container not paused"} {
		if code, _, errs := e.call(command, "s"); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, stderr %q", command, code, errs)
		}
	}
}
