package systemd

import (
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		path, id string
		user     bool
		unit, at string
		wrong    string // part of the error
	}{
		{path: "", id: "c1", unit: "runc-c1.scope", at: "/system.slice/runc-c1.scope"},
		{path: "", id: "c1", user: true, unit: "runc-c1.scope", at: "/user.slice/runc-c1.scope"},
		{path: "", id: "a+b_c.d-e", unit: `runc-a\x2bb_c.d-e.scope`, at: `/system.slice/runc-a\x2bb_c.d-e.scope`},
		{path: ":docker:c1", unit: "docker-c1.scope", at: "/system.slice/docker-c1.scope"},
		{path: ":libpod:c1", user: true, unit: "libpod-c1.scope", at: "/user.slice/libpod-c1.scope"},
		{path: "machine.slice:libpod:c1", unit: "libpod-c1.scope", at: "/machine.slice/libpod-c1.scope"},
		{path: "kubepods-burstable-pod12_3.slice:cri-containerd:c1", unit: "cri-containerd-c1.scope",
			at: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_3.slice/cri-containerd-c1.scope"},
		{path: "-.slice:x:c1", unit: "x-c1.scope", at: "/x-c1.scope"},
		{path: "a.slice:p:b-c.slice", unit: "b-c.slice", at: "/b.slice/b-c.slice"},
		{path: "system.slice::c1", unit: "-c1.scope", at: "/system.slice/-c1.scope"},
		{path: "cpu.x.slice:memory.y:z", unit: "memory.y-z.scope", at: "/_cpu.x.slice/_memory.y-z.scope"},
		{path: "/a/b", wrong: `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/a/b" instead`},
		{path: "a:b", wrong: "expected cgroupsPath"},
		{path: "a:b:c", wrong: "ends in .slice"},
		{path: "a.slice:b:", wrong: "names no unit"},
		{path: "a--b.slice:c:d", wrong: "can't be the name of a slice"},
		{path: ".slice:c:d", wrong: "can't be the name of a slice"},
		{path: "a/b.slice:c:d", wrong: "can't be the name of a slice"},
		{path: "-a.slice:c:d", wrong: "can't be the name of a slice"},
		{path: "a.slice:c:d/e", wrong: "can't be a unit's name"},
		{path: "a.slice:c:d e", wrong: "can't be a unit's name"},
		{path: "a.slice:c:" + strings.Repeat("d", 250), wrong: "more than 255"},
		{path: "", id: strings.Repeat("+", 100), wrong: "more than 255"},
	} {
		u, err := ParsePath(c.path, c.id, c.user)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) || !strings.Contains(err.Error(), "linux.cgroupsPath") {
				t.Errorf("%q: %+v, %v; want an error with %q", c.path, u, err, c.wrong)
			}
			continue
		}
		if err != nil || u.Name != c.unit || u.ControlGroup() != c.at {
			t.Errorf("%q: %q at %q, %v; want %q at %q", c.path, u.Name, u.ControlGroup(), err, c.unit, c.at)
			continue
		}
		if got := UnitOf("/sys/fs/cgroup" + c.at); got != c.unit {
			t.Errorf("%s is %q's", c.at, got)
		}
	}
}

func TestIsPath(t *testing.T) {
	for path, want := range map[string]bool{"a.slice:b:c": true, ":b:c": true, "": false, "/a/b": false, "a:b:c": false, "a.slice:b": false, "/x:y:z": false} {
		if IsPath(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}

func TestUnitPath(t *testing.T) {
	// As `busctl tree org.freedesktop.systemd1` shows them.
	for unit, want := range map[string]string{
		"runc-c1.scope": "/org/freedesktop/systemd1/unit/runc_2dc1_2escope",
		"1a.slice":      "/org/freedesktop/systemd1/unit/_31a_2eslice",
	} {
		if got := unitPath(unit); got != want {
			t.Errorf("%s is %s, want %s", unit, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		user bool
		env  map[string]string
		want string
	}{
		{false, nil, "unix:path=/run/systemd/private unix:path=/run/dbus/system_bus_socket"},
		{false, map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x", "XDG_RUNTIME_DIR": "/y"}, "unix:path=/run/systemd/private unix:path=/run/dbus/system_bus_socket"},
		{false, map[string]string{"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x"}, "unix:path=/run/systemd/private unix:path=/x"},
		{true, nil, "unix:path=/run/user/1000/systemd/private unix:path=/run/user/1000/bus"},
		{true, map[string]string{"XDG_RUNTIME_DIR": "/y"}, "unix:path=/y/systemd/private unix:path=/y/bus"},
		{true, map[string]string{"XDG_RUNTIME_DIR": "/y", "DBUS_SESSION_BUS_ADDRESS": "unix:abstract=z"}, "unix:path=/y/systemd/private unix:abstract=z unix:path=/y/bus"},
	} {
		got := strings.Join(addresses(c.user, 1000, func(k string) string { return c.env[k] }), " ")
		if got != c.want {
			t.Errorf("%v %v: %s, want %s", c.user, c.env, got, c.want)
		}
	}
}

func TestTranslateUID(t *testing.T) {
	const rootless = "         0       1000          1\n         1     100000      65536\n"
	for _, c := range []struct {
		table     string
		uid, want int
	}{{rootless, 0, 1000}, {rootless, 5, 100004}, {rootless, 70000, 70000}, {"0 0 4294967295\n", 7, 7}, {"", 3, 3}} {
		if got := translate(c.table, c.uid); got != c.want {
			t.Errorf("uid %d is %d, want %d", c.uid, got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	for s, want := range map[string]int{"257.13-1~deb13u1": 257, "v245.4-4ubuntu3": 245, "systemd 219": 219, "": 0, "x": 0, "99999999999999999999": 1000000} {
		if got := leadingNumber(s); got != want && want != 1000000 || got < 0 {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}
