package cli

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestExecForms: flags end at the id, and the values of those that can be repeated are taken whole.
func TestExecForms(t *testing.T) {
	for _, tt := range []struct {
		args    []string
		want    []string
		wantSet map[string][]string
	}{
		{strings.Fields("exec -t -d ID sh -c true --tty"), []string{"ID", "sh", "-c", "true", "--tty"}, nil},
		{strings.Fields("exec ID -- sh -c true"), []string{"ID", "sh", "-c", "true"}, nil},
		{strings.Fields("exec ID kill -9 --all --help"), []string{"ID", "kill", "-9", "--all", "--help"}, nil},
		{[]string{"exec", "-e", "A=1,2", "--env", " B = c ", "-env=D=", "ID", "", " "}, []string{"ID", "", " "},
			map[string][]string{"env": {"A=1,2", " B = c ", "D="}}},
		{strings.Fields("exec -c CAP_KILL --cap CAP_CHOWN -g 1 -g 2 ID id"), []string{"ID", "id"},
			map[string][]string{"cap": {"CAP_KILL", "CAP_CHOWN"}, "additional-gids": {"1", "2"}}},
		{strings.Fields("exec --cgroup cpu,memory:a/b --cgroup pids:c ID id"), []string{"ID", "id"},
			map[string][]string{"cgroup": {"cpu,memory:a/b", "pids:c"}}},
	} {
		got, err := parse(t, tt.args...)
		if err != nil || got == nil {
			t.Errorf("%q: %v", tt.args, err)
			continue
		}
		if got.command != "exec" || !slices.Equal(got.args, tt.want) {
			t.Errorf("%q: %s %q", tt.args, got.command, got.args)
		}
		for flag, want := range tt.wantSet {
			if !reflect.DeepEqual(got.flags[flag], want) {
				t.Errorf("%q: --%s is %q", tt.args, flag, got.flags[flag])
			}
		}
	}
	// As engines do it.
	got, err := parse(t, strings.Fields("--log-format=json --log /l exec --pid-file /p --process /f --detach --tty --console-socket /s --preserve-fds 2 ID")...)
	want := map[string]any{"log-format": "json", "log": "/l", "pid-file": "/p", "process": "/f", "detach": true, "tty": true, "console-socket": "/s", "preserve-fds": 2}
	if err != nil || !maps.Equal(got.flags, want) || !slices.Equal(got.args, []string{"ID"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func execSpec() *specs.Spec {
	adj := -5
	return &specs.Spec{Version: "1.0.2", Process: &specs.Process{
		Args: []string{"init"}, Env: []string{"A=1"}, Cwd: "/srv", Terminal: true, OOMScoreAdj: &adj, ApparmorProfile: "p", SelinuxLabel: "l",
		User:         specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9}},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Inheritable: []string{"CAP_KILL"}},
		Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 10, Soft: 10}},
	}}
}

func TestExecProcess(t *testing.T) {
	spec, before := execSpec(), execSpec()
	f := execFlags{cwd: "/", user: "33:34", apparmor: "q", label: "m", env: []string{"A=2", "B=3"}, caps: []string{"CAP_CHOWN"}, gids: []string{"10"}, noNewPrivs: true}
	p, err := f.process(spec, []string{"id", "-u"})
	if err != nil {
		t.Fatal(err)
	}
	want := specs.Process{
		Args: []string{"id", "-u"}, Env: []string{"A=1", "A=2", "B=3"}, Cwd: "/", ApparmorProfile: "q", SelinuxLabel: "m", NoNewPrivileges: true,
		User: specs.User{UID: 33, GID: 34, AdditionalGids: []uint32{9, 10}},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Effective: []string{"CAP_CHOWN"},
			Permitted: []string{"CAP_CHOWN"}, Inheritable: []string{"CAP_KILL"}},
		Rlimits: spec.Process.Rlimits,
	}
	if !reflect.DeepEqual(*p, want) {
		t.Errorf("got %+v", *p)
	}
	if !reflect.DeepEqual(spec, before) {
		t.Errorf("the container's configuration changed: %+v", spec.Process)
	}
	// Without flags it is the container's own, but for terminal and OOM score.
	if p, err = (&execFlags{}).process(spec, []string{"x"}); err != nil || p.Cwd != "/srv" || p.User.UID != 7 || p.User.GID != 8 || p.Terminal || p.NoNewPrivileges || p.Capabilities != spec.Process.Capabilities {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = (&execFlags{user: "5"}).process(spec, nil); err != nil || p.User.UID != 5 || p.User.GID != 8 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err = (&execFlags{}).process(&specs.Spec{}, nil); err == nil {
		t.Error("a process was made of nothing")
	}
}

// TestExecUsers: nothing but a number is anybody.
func TestExecUsers(t *testing.T) {
	for _, s := range []string{"root", "-1", "+1", "1.0", "0x0", " 0", "0 ", "4294967295", "4294967296", "99999999999999999999", ":", ":5", "5:", "5:x", "5:-1", "5:6:7", "0\n"} {
		if _, err := (&execFlags{user: s}).process(execSpec(), nil); err == nil || !strings.Contains(err.Error(), "--user: parsing ") {
			t.Errorf("--user %q: %v", s, err)
		}
	}
	for _, s := range []string{"", "staff", "-1", "4294967295"} {
		if _, err := (&execFlags{gids: []string{s}}).process(execSpec(), nil); err == nil || !strings.Contains(err.Error(), "--additional-gids: ") {
			t.Errorf("--additional-gids %q: %v", s, err)
		}
	}
	p, err := (&execFlags{user: "4294967294:0"}).process(execSpec(), nil)
	if err != nil || p.User.UID != 4294967294 || p.User.GID != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestExecProcessFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "process.json")
	read := func(text string) (*specs.Process, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return (&execFlags{file: file, cwd: "/ignored"}).process(&specs.Spec{}, []string{"ignored"})
	}
	p, err := read(`{"args":["a","b"],"cwd":"/x","env":["A=1"],"user":{"uid":1,"gid":2,"umask":18}}`)
	if err != nil || !slices.Equal(p.Args, []string{"a", "b"}) || p.Cwd != "/x" || p.User.UID != 1 || p.User.Umask == nil {
		t.Errorf("%+v, %v", p, err)
	}
	for text, want := range map[string]string{"": "JSON", "{": "JSON", `{"args":"a"}`: "args", `{"user":{"uid":-1}}`: "uid"} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), "--process "+file) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestExecFailures exit with a code of their own, in words that engines look for.
func TestExecFailures(t *testing.T) {
	root := emptyRoot(t)
	for line, want := range map[string]string{
		"exec ID sh":                      "exec failed: container does not exist",
		"exec ID":                         "exec failed: exec args cannot be empty",
		"exec --process /p ID":            "exec failed: container does not exist",
		"--rootless false exec a/b sh":    "exec failed: invalid container ID format",
		"--systemd-cgroup exec ID sh":     "exec failed: container does not exist",
		"exec --detach --tty ID sh -c ls": "exec failed: ",
	} {
		code, out, errs := davit(t, append([]string{"--root", root}, strings.Fields(line)...)...)
		if code != execFailed || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, code, out, errs)
		}
	}
}

func TestExec(t *testing.T) {
	e := newEngine(t)
	e.start("c", "sleep 1000")
	for _, tt := range []struct{ line, want string }{
		{"exec c /bin/busybox id", "uid=0 gid=0"},
		{"exec --user 33:44 -g 55 c /bin/busybox id", "uid=33 gid=44 groups=55"},
		{"exec --cwd /dev/shm c /bin/busybox pwd", "/dev/shm"},
		{"exec -e X=1,2 c /bin/busybox env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nTERM=xterm\nENV=/none\nX=1,2\nHOME=/"},
		{"exec --cap CAP_CHOWN c /bin/busybox grep CapPrm /proc/self/status", "CapPrm:\t0000000020000421"},
	} {
		if out := e.must(strings.Fields(tt.line)...); strings.TrimSpace(out) != tt.want {
			t.Errorf("%s: %q", tt.line, out)
		}
	}
	for script, want := range map[string]int{"exit 7": 7, "kill -9 $$": 137} {
		if code, _, errs := e.call("exec", "c", "/bin/busybox", "sh", "-c", script); code != want || errs != "" {
			t.Errorf("%s: exit %d, stderr %q", script, code, errs)
		}
	}
	for _, line := range []string{"exec c /bin/nothing", "exec -u root c /bin/busybox id", "exec --tty -d c /bin/busybox id"} {
		if code, out, errs := e.call(strings.Fields(line)...); code != execFailed || out != "" || !strings.Contains(errs, "exec failed: ") {
			t.Errorf("%s: exit %d, stderr %q", line, code, errs)
		}
	}
}
