package bundle

import (
	"errors"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// broken is an edit of the base configuration, and the one finding that must
// come of it: its path, and words of its text.
type broken struct{ edit, path, words string }

// valid is an edit that must pass.
type valid = string

// loadText is Load without the file.
func loadText(raw []byte) error {
	spec, err := Parse(raw)
	if err != nil {
		return err
	}
	return Check(spec, "/bundle")
}

func runBroken(t *testing.T, cases []broken) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.edit, func(t *testing.T) {
			err := loadText(change(t, tc.edit))
			if err == nil {
				t.Fatal("no error")
			}
			found, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("%T is not an *Error: %v", err, err)
			}
			if found.Path != tc.path || !strings.Contains(found.Error(), tc.words) {
				t.Errorf("got   %s\nwant  %s: … %s …", found, tc.path, tc.words)
			}
			if all, ok := errors.AsType[Errors](err); ok && len(all) != 1 {
				t.Errorf("%d findings, expected one: %v", len(all), err)
			}
		})
	}
}

func runValid(t *testing.T, cases []valid) {
	t.Helper()
	for _, edit := range cases {
		t.Run(edit, func(t *testing.T) {
			if err := loadText(change(t, edit)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTop(t *testing.T) {
	runBroken(t, []broken{
		{`- ociVersion`, "ociVersion", "required"},
		{`ociVersion = ""`, "ociVersion", "required"},
		{`ociVersion = "1"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.0.0"`, "ociVersion", "SemVer"},
		{`ociVersion = "v1.0.0"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.00.0"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.x"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.-1"`, "ociVersion", "SemVer"},
		{`ociVersion = " 1.0.0"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.0-"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.0-01"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.0-a..b"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.0+"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.0+a_b"`, "ociVersion", "SemVer"},
		{`ociVersion = "1.0.99999999999999999999"`, "ociVersion", "SemVer"},
		{`ociVersion = "0.9.0"`, "ociVersion", "supported are 1.0 to 1.3"},
		{`ociVersion = "1.4.0"`, "ociVersion", "runtime-spec 1.4"},
		{`ociVersion = "1.4.0-dev"`, "ociVersion", "runtime-spec 1.4"},
		{`ociVersion = "2.0.0"`, "ociVersion", "runtime-spec 2.0"},
		{`- root`, "root", "required"},
		{`root = null`, "root", "required"},
		{`root = {}`, "root.path", "empty"},
		{`root.path = ""`, "root.path", "empty"},
		{`hostname = "` + strings.Repeat("h", 65) + `"`, "hostname", "65 bytes"},
		{`domainname = "` + strings.Repeat("d", 65) + `"`, "domainname", "65 bytes"},
		{`linux.namespaces = [{"type": "mount"}]`, "hostname", "uts namespace"},
		{`linux.namespaces = [{"type": "mount"}] && - hostname && domainname = "d"`, "domainname", "uts namespace"},
		{`linux.namespaces[3].path = "/proc/self/ns/uts"`, "hostname", "not the runtime's"},
		{`- linux`, "hostname", "uts namespace"},
		{`annotations = {"": "x"}`, `annotations[""]`, "empty"},
		{`hooks.prestart = [{"path": "hook"}]`, "hooks.prestart[0].path", "absolute"},
		{`hooks.createRuntime = [{"path": ""}]`, "hooks.createRuntime[0].path", "empty"},
		{`hooks.createContainer = [{"path": "/h"}, {"path": "./h"}]`, "hooks.createContainer[1].path", "absolute"},
		{`hooks.startContainer = [{}]`, "hooks.startContainer[0].path", "empty"},
		{`hooks.poststart = [{"path": "/h", "timeout": 0}]`, "hooks.poststart[0].timeout", "greater than zero"},
		{`hooks.poststop = [{"path": "/h", "timeout": -1}]`, "hooks.poststop[0].timeout", "greater than zero"},
	})
	runValid(t, []valid{
		``,
		`ociVersion = "1.0.0"`,
		`ociVersion = "1.0.0-rc5"`,
		`ociVersion = "1.0.2-dev"`,
		`ociVersion = "1.1.0+dev"`,
		`ociVersion = "1.2.0-rc.1+git.007"`,
		`ociVersion = "1.2.1"`,
		`ociVersion = "1.3.7"`,
		`- process`,
		`process = null`,
		`root.path = "/srv/rootfs"`,
		`root.path = "../other/rootfs"`,
		`- linux && - hostname`,
		`linux = {} && hostname = ""`,
		`linux.namespaces[3].path = "/proc/1/ns/uts"`,
		`hostname = "` + strings.Repeat("h", 64) + `"`,
		`annotations = {"a": "", "org.opencontainers.image.os": "linux"}`,
		`hooks = {}`,
		`hooks.poststop = [{"path": "/h", "args": [], "env": ["", "=", "A"], "timeout": 1}]`,
		`unknown = {"a": [1, {"b": null}]} && linux.unknown = 1 && mounts[0].unknown = [] && process.user.unknown = "x"`,
		`windows = "not an object" && vm = {"kernel": 3} && solaris = [] && zos = 1 && freebsd = {"devices": 1}`,
	})
}

func TestCheckFindsAll(t *testing.T) {
	err := loadText(change(t, `ociVersion = "2.0.0" && root.path = "" && mounts[0].destination = "" && process.cwd = "tmp"`))
	all, ok := errors.AsType[Errors](err)
	if !ok || len(all) != 4 || len(all.Unwrap()) != 4 {
		t.Fatalf("expected four findings, got %v", err)
	}
	const want = `ociVersion: "2.0.0" asks for runtime-spec 2.0, supported are 1.0 to 1.3; ` +
		`root.path: must not be empty (the conventional value is "rootfs"); ` +
		`process.cwd: must be an absolute path, "tmp" is relative; ` +
		`mounts[0].destination: must not be empty`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestCheckNil(t *testing.T) {
	if err := Check(nil, "/bundle"); err == nil {
		t.Error("Check takes nil")
	}
	if err := CheckProcess(nil, "1.0.0"); err == nil {
		t.Error("CheckProcess takes nil")
	}
}

// Nothing can be known about a relative root without the bundle's place.
func TestCheckBundleDir(t *testing.T) {
	spec, err := Parse(change(t, ``))
	if err != nil {
		t.Fatal(err)
	}
	found, _ := errors.AsType[*Error](Check(spec, ""))
	if found == nil || found.Path != "root.path" {
		t.Errorf("got %v", found)
	}
	spec.Root.Path = "/srv/rootfs"
	if err := Check(spec, ""); err != nil {
		t.Error(err)
	}
}

func TestCheckProcess(t *testing.T) {
	good := specs.Process{Cwd: "/", Args: []string{"ps"}}
	if err := CheckProcess(&good, "1.0.2-dev"); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		process specs.Process
		version string
		path    string
	}{
		{specs.Process{Args: []string{"ps"}}, "1.0.0", "cwd"},
		{specs.Process{Cwd: "/"}, "1.0.0", "args"},
		{specs.Process{Cwd: "/", Args: []string{""}}, "1.0.0", "args[0]"},
		{specs.Process{Cwd: "/", Args: []string{"a", "b\x00"}}, "1.0.0", "args[1]"},
		{specs.Process{Cwd: "/", Args: []string{"a"}, Env: []string{"A=\x00"}}, "1.0.0", "env[0]"},
		{specs.Process{Cwd: "/", Args: []string{"a"}, User: specs.User{UID: 1<<32 - 1}}, "1.0.0", "user.uid"},
		{good, "2.0.0", "ociVersion"},
		{good, "", "ociVersion"},
	} {
		found, _ := errors.AsType[*Error](CheckProcess(&tc.process, tc.version))
		if found == nil || found.Path != tc.path {
			t.Errorf("%+v: got %v, want a finding at %s", tc.process, found, tc.path)
		}
	}
}

// A configuration must not be able to forge a line of a log.
func TestFindingsAreOneLine(t *testing.T) {
	for _, edit := range []string{
		`linux.sysctl["a\nb"] = "x"`,
		`linux.namespaces[0].type = "a\nb"`,
		`process.cwd = "a\nb"`,
		`linux.cgroupsPath = "/a\nb"`,
		`linux.seccomp = {"defaultAction": "a\nb"}`,
		`linux.netDevices["a\nb"] = {}`,
		`process.rlimits = [{"type": "a\nb", "soft": 1, "hard": 1}]`,
		`root.path = "a\nb"`,
	} {
		dir := newDir(t, edit)
		if _, err := Load(dir); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", edit, err)
		}
	}
}
