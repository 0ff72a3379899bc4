package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer"
)

func someStates() []*libcontainer.State {
	at := time.Date(2026, 8, 1, 12, 30, 0, 123456789, time.UTC)
	return []*libcontainer.State{
		{OCIVersion: "1.0.2", ID: "web", PID: 4711, Status: specs.StateRunning, Bundle: "/srv/web", Rootfs: "/srv/web/rootfs", Created: at,
			Annotations: map[string]string{"k": "v"}, OwnerUID: 0},
		{OCIVersion: "1.0.2", ID: "a-long-name-of-a-container", PID: 0, Status: specs.StateStopped, Bundle: "/srv/a\tb\nforged  1  running", Created: at, OwnerUID: 4000000000},
	}
}

func TestListTable(t *testing.T) {
	all := someStates()
	nameOwners(all)
	var b bytes.Buffer
	if err := printTable(&b, all); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"ID                           PID         STATUS      BUNDLE                          CREATED                          OWNER\n" +
		"web                          4711        running     /srv/web                        2026-08-01T12:30:00.123456789Z   root\n" +
		`a-long-name-of-a-container   0           stopped     /srv/a\tb\nforged  1  running   2026-08-01T12:30:00.123456789Z   #4000000000` + "\n"
	if b.String() != want {
		t.Errorf("got:\n%s", b.String())
	}
}

func TestListEmpty(t *testing.T) {
	root := emptyRoot(t)
	for line, want := range map[string]string{
		"list":                "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n",
		"list -f json":        "null\n",
		"list --format=json":  "null\n",
		"list --format table": "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n",
		"list -q":             "",
		"list --quiet":        "",
	} {
		code, out, errs := davit(t, append([]string{"--root", root}, strings.Fields(line)...)...)
		if code != 0 || out != want || errs != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, code, out, errs)
		}
	}
	if code, _, errs := davit(t, "--root", root, "list", "-f", "yaml"); code != 1 || !strings.Contains(errs, "invalid format option") {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

// TestStateFields fixes names, order and kinds of state's fields.
func TestStateFields(t *testing.T) {
	b, err := json.MarshalIndent(someStates()[0], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "ociVersion": "1.0.2",
  "id": "web",
  "pid": 4711,
  "status": "running",
  "bundle": "/srv/web",
  "rootfs": "/srv/web/rootfs",
  "created": "2026-08-01T12:30:00.123456789Z",
  "annotations": {
    "k": "v"
  },
  "owner": ""
}`
	if string(b) != want {
		t.Errorf("got:\n%s", b)
	}
}

func TestListIDs(t *testing.T) {
	var b bytes.Buffer
	if err := printIDs(&b, someStates()); err != nil || b.String() != "web\na-long-name-of-a-container\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestUserName(t *testing.T) {
	passwd := "root:x:0:0:root:/root:/bin/bash\nbroken line\n:x:7:7::/:\nweb:x:1000:1000::/:\nagain:x:1000:1000::/:\nlast:x:5:5::/:"
	for uid, want := range map[int]string{0: "root", 1000: "web", 7: "#7", 5: "last", 100: "#100"} {
		if got := userName(passwd, uid); got != want {
			t.Errorf("%d: %s", uid, got)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]int{
		"TERM": 15, "SIGTERM": 15, "sigkill": 9, "kill": 9, "9": 9, "0": 0, "64": 64, "USR1": 10, "HUP": 1,
		"RTMIN": 34, "SIGRTMIN+3": 37, "rtmax": 64, "RTMAX-14": 50,
	} {
		if got, err := parseSignal(s); err != nil || int(got) != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "SIG", "SIGSIGTERM", "TERMX", "65", "-9", "-1", "9x", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN+", "RT", "99999999999999999999", "1e1", " 9", "\n9"} {
		if got, err := parseSignal(s); err == nil || !strings.Contains(err.Error(), "unknown signal") {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}

func TestKillMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"kill ID -9":   "try 9",
		"kill -9 ID":   "the signal comes after the container: davit kill ID 9",
		"kill ID nope": "unknown signal",
	} {
		code, _, errs := davit(t, append([]string{"--root", emptyRoot(t)}, strings.Fields(line)...)...)
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, stderr %q", line, code, errs)
		}
	}
}

func TestStateRoot(t *testing.T) {
	for _, tt := range []struct {
		self identity
		want string
	}{
		{identity{euid: 0, runtime: "/run/user/0"}, "/run/davit"},
		{identity{euid: 1000, runtime: "/run/user/1000"}, "/run/user/1000/davit"},
		{identity{euid: 1000}, "/run/davit"},
		// podman's own calls, without USER
		{identity{euid: 0, userNS: true, runtime: "/run/user/1000"}, "/run/user/1000/davit"},
		{identity{euid: 0, userNS: true, runtime: "/run/user/1000", hasUser: true, user: "jo"}, "/run/user/1000/davit"},
		{identity{euid: 0, userNS: true, runtime: "/run/user/0", hasUser: true, user: "root"}, "/run/davit"},
		{identity{euid: 0, userNS: true}, "/run/davit"},
	} {
		if got := tt.self.stateRoot(); got != tt.want {
			t.Errorf("%+v: %s", tt.self, got)
		}
	}
}

func TestStateRootHint(t *testing.T) {
	denied := func(path string) error {
		return fmt.Errorf("davit create failed: %w", &fs.PathError{Op: "mkdir", Path: path, Err: fs.ErrPermission})
	}
	user, login := identity{euid: 1000}, identity{euid: 1000, runtime: "/run/user/1001"}
	for _, err := range []error{fmt.Errorf("make state root: %w", denied("/run/user/1001")), fmt.Errorf("open state root /run/user/1001/davit: %w", fs.ErrPermission)} {
		if got := login.hint(err); !errors.Is(got, err) || !strings.Contains(got.Error(), "XDG_RUNTIME_DIR is /run/user/1001,") {
			t.Errorf("%v", got)
		}
	}
	for _, tt := range []struct {
		self identity
		err  error
		want bool
	}{
		{user, denied("/run/davit/web"), true},
		{user, denied("/run/davit"), true},
		{user, denied("/run/davits"), false},
		{user, denied("/srv/web/config.json"), false},
		{user, fs.ErrPermission, false},
		{user, errors.New("open /run/davit/x: no such file"), false},
		{user, fmt.Errorf("%w: /run/davit", fs.ErrPermission), false},
		{identity{euid: 0, userNS: true}, denied("/run/davit"), true},
		{identity{euid: 0, hostRoot: true}, denied("/run/davit"), false},
		{identity{euid: 1000, runtime: "/run/user/1000"}, denied("/run/davit"), false},
	} {
		got := tt.self.hint(tt.err)
		if !errors.Is(got, tt.err) || strings.Contains(got.Error(), "set XDG_RUNTIME_DIR") != tt.want || !strings.HasPrefix(got.Error(), tt.err.Error()) {
			t.Errorf("%+v: %v", tt.self, got)
		}
	}
}

// TestUnprivileged runs davit as nobody, who has no directory for its state.
func TestUnprivileged(t *testing.T) {
	e := newEngine(t)
	bundle := e.bundle("x", "true")
	for _, dir := range []string{bundle, filepath.Dir(bundle)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"create", "--bundle", bundle, "x"}, {"start", "x"}} {
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Env = []string{asDavit + "=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		// Whether /run/davit exists decides about the reason.
		if cmd.ProcessState.ExitCode() != 1 || bytes.Contains(out, []byte("permission denied")) != bytes.Contains(out, []byte("set XDG_RUNTIME_DIR")) {
			t.Errorf("%v: %s", args, out)
		}
	}
}

func TestRootless(t *testing.T) {
	for _, tt := range []struct {
		flag string
		self identity
		want bool
	}{
		{"auto", identity{euid: 0, hostRoot: true}, false},
		{"auto", identity{euid: 1000}, true},
		{"auto", identity{euid: 0, userNS: true}, true},
		{"auto", identity{euid: 0, userNS: true, hostRoot: true}, false},
		{"true", identity{euid: 0, hostRoot: true}, true},
		{"false", identity{euid: 1000}, false},
		{"1", identity{hostRoot: true}, true},
	} {
		g := globals{rootless: tt.flag}
		if got, err := g.rootlessMode(tt.self); err != nil || got != tt.want {
			t.Errorf("%s %+v: %t, %v", tt.flag, tt.self, got, err)
		}
	}
	for uidMap, want := range map[string]bool{
		"         0          0 4294967295\n": true, "0 0 1\n": true, "0 1000 1\n1 100000 65536\n": false, "1 0 1\n0 1000 1\n": false, "": false,
	} {
		if got := mapsRoot(uidMap); got != want {
			t.Errorf("%q: %t", uidMap, got)
		}
	}
}

func TestCaller(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/9")
	self := caller()
	if self.euid != os.Geteuid() || self.runtime != "/run/user/9" || self.euid != 0 && (self.hostRoot || self.userNS) {
		t.Errorf("%+v", self)
	}
}
