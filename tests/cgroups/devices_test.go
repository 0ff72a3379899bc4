package cgroups

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// kmsg gives the container a node of the kernel's log, which anybody may write to whom the
// device rules let.
func kmsg(s *specs.Spec) {
	s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/dev/log-device", Type: "c", Major: 1, Minor: 11, FileMode: harness.Pointer(os.FileMode(0o666))})
}

const (
	denyAll   = `{"allow":false,"access":"rwm"}`
	allowKmsg = `{"allow":true,"type":"c","major":1,"minor":11,"access":"rw"}`
	denyKmsg  = `{"allow":false,"type":"c","major":1,"minor":11,"access":"rw"}`
)

// A denied device gives EPERM, an allowed one opens, the default ones are there.
func TestDeviceRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rules string
		opens bool
		fails string // on version 1
	}{
		{denyAll, false, ""},
		{denyAll + "," + allowKmsg, true, ""},
		{denyAll + "," + allowKmsg + "," + denyKmsg, false, ""},
		{`{"allow":true,"access":"rwm"}`, true, ""},
		{`{"allow":true,"access":"rwm"},` + denyKmsg, false, ""},
		{`{"allow":false,"access":"rwm"},{"allow":true,"type":"c","access":"rw"},` + denyKmsg, false, ""},
		{`{"allow":true,"access":"rwm"},{"allow":false,"type":"c","minor":11,"access":"w"},` + allowKmsg, true, "linux.resources.devices[2]: cgroup v1 can't allow w of c 1:11 alone among c *:11"},
		{denyAll + `,{"allow":true,"type":"c","major":1,"access":"rw"},` + denyKmsg, false, "linux.resources.devices[2]: cgroup v1 can't deny"},
	} {
		s := harness.New(t, kmsg, resources(t, `{"devices":[`+c.rules+`]}`))
		r := s.Run(harness.Shell("true >/dev/log-device && echo opened; true </dev/null >/dev/zero && echo default"))
		if onV1("devices") && c.fails != "" {
			if !strings.Contains(r.Stderr(), c.fails) {
				t.Errorf("%s: %s", c.rules, r.Stderr())
			}
			continue
		}
		if opened := strings.Contains(r.Stdout(), "opened"); opened != c.opens || !strings.Contains(r.Stdout(), "default") ||
			!opened && !strings.Contains(r.Stderr(), "Operation not permitted") {
			t.Errorf("%s: %s%s", c.rules, r.Stdout(), r.Stderr())
		}
	}
}

// A running container's rules are changed in one step: while they change again and again
// among some that all allow one device and deny another, there is no moment at which a
// process finds otherwise.
func TestDeviceUpdateHasNoWindow(t *testing.T) {
	t.Parallel()
	s := harness.New(t, kmsg, resources(t, `{"devices":[`+denyAll+`]}`), harness.Shell(
		"n=0; while [ ! -e /end ]; do true </dev/null || echo lost; { true >/dev/log-device; } 2>/dev/null && echo leaked; n=$((n+1)); done; echo tries $n"))
	s.WriteConfig()
	run := s.Command("run", "--bundle", s.Bundle, s.ID)
	run.Begin()
	s.WaitStatus(specs.StateRunning)
	lists := []string{
		denyAll,
		denyAll + `,{"allow":true,"type":"b","major":8,"access":"rw"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"}`,
		`{"allow":true,"access":"rwm"},` + denyKmsg, // the other way round
		denyAll + `,{"allow":true,"type":"c","major":10,"access":"r"}`,
		`{"allow":true,"access":"rwm"},` + denyKmsg + `,{"allow":false,"type":"b","access":"w"}`,
	}
	const updates = 60
	for i := range updates {
		s.Command("update", "--resources", "-", s.ID).In(`{"devices":[` + lists[i%len(lists)] + `]}`).Do().Succeeds()
	}
	s.WriteFile("/end", "", 0o644)
	out := run.End().Stdout()
	if strings.Contains(out, "lost") || strings.Contains(out, "leaked") {
		t.Errorf("%d times lost, %d leaked", strings.Count(out, "lost"), strings.Count(out, "leaked"))
	}
	tries, ok := strings.CutPrefix(strings.TrimSpace(out), "tries ")
	if !ok || number(t, tries) < 10*updates {
		t.Errorf("too little was tried: %q", out)
	}
	t.Logf("%d updates, %s tries", updates, tries)
}

// An update opens a device for a container that runs, and closes it again; one that fails changes nothing.
func TestDeviceUpdate(t *testing.T) {
	t.Parallel()
	s := harness.New(t, kmsg, resources(t, `{"devices":[`+denyAll+`]}`), harness.Args("/bin/sleep", "100"))
	begin(s)
	try := func(want string) {
		t.Helper()
		r := s.Davit("exec", s.ID, "sh", "-c", "true >/dev/log-device && echo opened")
		if !strings.Contains(r.Stdout()+r.Stderr(), want) {
			t.Errorf("%s%s; want %s", r.Stdout(), r.Stderr(), want)
		}
	}
	update := func(text string) *harness.Result {
		return s.Command("update", "--resources", "-", s.ID).In(text).Do()
	}
	try("Operation not permitted")
	update(`{"devices":[` + denyAll + `,` + allowKmsg + `]}`).Succeeds()
	try("opened")
	update(`{"pids":{"limit":-1}}`).Succeeds() // says nothing of devices
	try("opened")
	update(`{"devices":[` + denyAll + `],"cpu":{"cpus":"4095"}}`).Fails("linux.resources.cpu.cpus")
	try("opened")
	update(`{"devices":[` + denyAll + `]}`).Succeeds()
	try("Operation not permitted")
	update(`{"devices":[{"allow":true}]}`).Succeeds()
	try("opened")
	update(`{"devices":[{"allow":true,"type":"x"}]}`).Fails("linux.resources.devices[0].type")
	s.Davit("pause", s.ID).Succeeds()
	update(`{"devices":[` + denyAll + `]}`).Succeeds()
	if st := s.State().Status; st != "paused" {
		t.Errorf("after an update the paused container is %s", st)
	}
	s.Davit("resume", s.ID).Succeeds()
	try("Operation not permitted")
	s.Delete()
}

// A payload with cgroups of its own is bound by new rules as well.
func TestDeviceUpdateBindsChildren(t *testing.T) {
	t.Parallel()
	s := harness.New(t, kmsg, resources(t, `{"devices":[`+denyAll+`,`+allowKmsg+`]}`), harness.Shell(
		"until [ -e /go ]; do sleep 0.02; done; true >/dev/log-device && echo opened; sleep 100"))
	s.WriteConfig()
	run := s.Command("run", "--bundle", s.Bundle, s.ID)
	run.Begin()
	s.WaitStatus(specs.StateRunning)
	file := "cgroup.kill"
	if onV1("devices") {
		file = "devices.list"
	}
	sub := filepath.Join(directory(s, file), "payload")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(readFile(t, filepath.Dir(sub)+"/cgroup.procs")) {
		_ = os.WriteFile(sub+"/cgroup.procs", []byte(pid), 0) // a sleep of the script's may have ended
	}
	s.Command("update", "--resources", "-", s.ID).In(`{"devices":[` + denyAll + `]}`).Do().Succeeds()
	s.WriteFile("/go", "", 0o644)
	time.Sleep(200 * time.Millisecond)
	s.Delete()
	if r := run.End(); strings.Contains(r.Stdout(), "opened") || !strings.Contains(r.Stderr(), "Operation not permitted") {
		t.Errorf("%s%s", r.Stdout(), r.Stderr())
	}
}
