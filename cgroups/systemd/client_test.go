package systemd_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"davit/cgroups/systemd"
	"davit/cgroups/systemd/dbus"
	"davit/cgroups/systemd/systemdtest"
)

// transports are the ways to a manager.
var transports = map[string]func(*testing.T, *systemdtest.Double) string{
	"private": func(t *testing.T, d *systemdtest.Double) string {
		// The client knows by the name that there is no bus.
		dir := filepath.Join(t.TempDir(), "systemd")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := d.Listen(dir + "/private"); err != nil {
			t.Fatal(err)
		}
		return "unix:path=" + dir + "/private"
	},
	"bus": func(t *testing.T, d *systemdtest.Double) string {
		address := startBus(t)
		if err := d.Join(address); err != nil {
			t.Fatal(err)
		}
		return address
	},
}

// busConfig lets everybody do everything, and starts no services.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`

// startBus starts a message bus.
func startBus(t *testing.T) string {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs dbus-daemon, which is not installed (Debian's package is dbus-daemon)")
	}
	dir, err := os.MkdirTemp("", "davit-bus-") // a short name, without what an address would have to escape
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(dir+"/conf", fmt.Appendf(nil, busConfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--config-file="+dir+"/conf", "--nofork", "--nopidfile", "--nosyslog", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// eachWay runs a test with a double and a client that reaches it, in each way.
func eachWay(t *testing.T, timeout time.Duration, test func(*testing.T, *systemdtest.Double, *systemd.Client)) {
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := systemdtest.New(nil, "/some.slice")
			t.Cleanup(d.Close)
			c := systemd.NewAt([]string{open(t, d)}, false, timeout)
			t.Cleanup(c.Close)
			test(t, d, c)
		})
	}
}

func scope(properties ...systemd.Property) []systemd.Property {
	return append([]systemd.Property{
		{Name: "PIDs", Value: dbus.Variant{Sig: "au", Value: []uint32{1}}}, {Name: "Slice", Value: dbus.Variant{Sig: "s", Value: "a-b.slice"}},
	}, properties...)
}

func TestLife(t *testing.T) {
	eachWay(t, 10*time.Second, func(t *testing.T, d *systemdtest.Double, c *systemd.Client) {
		if g, err := c.ControlGroup(); g != "/some.slice" || err != nil {
			t.Errorf("the cgroup is %q, %v", g, err)
		}
		if v, err := c.Version(); v != 257 || err != nil {
			t.Errorf("the version is %d, %v", v, err)
		}
		weights := systemd.Property{Name: "IODeviceWeight", Value: dbus.Variant{Sig: "a(st)", Value: []any{[]any{"/dev/block/8:0", uint64(5)}}}}
		cpus := systemd.Property{Name: "AllowedCPUs", Value: dbus.Variant{Sig: "ay", Value: []byte{7, 1}}}
		if err := c.StartTransient("x.scope", scope(weights, cpus)); err != nil {
			t.Fatal(err)
		}
		if got := d.Property("x.scope", "IODeviceWeight"); !reflect.DeepEqual(got, []any{[]any{"/dev/block/8:0", uint64(5)}}) {
			t.Errorf("IODeviceWeight came as %v", got)
		}
		if got := d.Property("x.scope", "AllowedCPUs"); !reflect.DeepEqual(got, []byte{7, 1}) {
			t.Errorf("AllowedCPUs came as %v", got)
		}
		if err := c.SetProperties("x.scope", []systemd.Property{{Name: "TasksMax", Value: dbus.Variant{Sig: "t", Value: uint64(9)}}}); err != nil {
			t.Fatal(err)
		}
		if got := d.Property("x.scope", "TasksMax"); got != uint64(9) {
			t.Errorf("TasksMax is %v", got)
		}
		if err := c.Attach("x.scope", "/sub", 1); err != nil {
			t.Error(err)
		}
		// Not this one's.
		if err := c.Stop("x.scope", "/sys/fs/cgroup/other.slice/x.scope"); err != nil || d.State("x.scope") != "active" {
			t.Errorf("another's unit is %q, %v", d.State("x.scope"), err)
		}
		if err := c.Stop("x.scope", "/sys/fs/cgroup/some.slice/a.slice/a-b.slice/x.scope"); err != nil || d.State("x.scope") != "" {
			t.Errorf("the unit is %q after its end, %v", d.State("x.scope"), err)
		}
		if err := c.Stop("x.scope", "/sys/fs/cgroup/some.slice/a.slice/a-b.slice/x.scope"); err != nil {
			t.Errorf("what isn't there: %v", err)
		}
		want := "Get Get StartTransientUnit SetUnitProperties Ping AttachProcessesToUnit Get Get StopUnit ResetFailedUnit Get"
		if got := strings.Join(d.Calls(), " "); got != want {
			t.Errorf("it was called %s, want %s", got, want)
		}
	})
}

// A manager that doesn't answer costs the deadline once, whatever is asked of it afterwards.
func TestHang(t *testing.T) {
	const wait = 300 * time.Millisecond
	for _, member := range []string{"Get", "StartTransientUnit", "StopUnit", "SetUnitProperties", "Ping", "AttachProcessesToUnit"} {
		eachWay(t, wait, func(t *testing.T, d *systemdtest.Double, c *systemd.Client) {
			operation := func() error {
				switch member {
				case "Get":
					_, err := c.ControlGroup()
					return err
				case "StartTransientUnit":
					return c.StartTransient("y.scope", scope())
				case "StopUnit":
					return c.Stop("x.scope", "/some.slice/a.slice/a-b.slice/x.scope")
				case "AttachProcessesToUnit":
					return c.Attach("x.scope", "/", 1)
				}
				return c.SetProperties("x.scope", nil)
			}
			if err := c.StartTransient("x.scope", scope()); err != nil {
				t.Fatal(err)
			}
			d.Spoil(member, systemdtest.Fault{Hang: true})
			start := time.Now()
			err := operation()
			var timeout *systemd.TimeoutError
			if !errors.As(err, &timeout) || !timeout.Timeout() || timeout.After != wait {
				t.Fatalf("%s: the error is %v", member, err)
			}
			for _, want := range []string{"did not finish", "hangs or is overloaded", "systemctl list-jobs", "leave out --systemd-cgroup"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error doesn't say %q: %v", want, err)
				}
			}
			if again := operation(); again != err {
				t.Errorf("the second time: %v", again)
			}
			if took := time.Since(start); took < wait || took > 20*wait {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	eachWay(t, time.Second, func(t *testing.T, d *systemdtest.Double, c *systemd.Client) {
		for _, result := range []string{"failed", "canceled", "timeout", "dependency"} {
			d.Spoil("StartTransientUnit", systemdtest.Fault{Result: result, OnlyOnce: true})
			unit := result + ".scope"
			var failed *systemd.JobError
			if err := c.StartTransient(unit, scope()); !errors.As(err, &failed) || failed.Result != result || !strings.Contains(err.Error(), "systemctl status "+unit) {
				t.Errorf("the error is %v", err)
			}
		}
		d.Spoil("StartTransientUnit", systemdtest.Fault{HangJob: true})
		if err := c.StartTransient("x.scope", scope()); err == nil || !strings.Contains(err.Error(), "the job of StartTransientUnit within 1s") {
			t.Errorf("a job without end: %v", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	eachWay(t, 10*time.Second, func(t *testing.T, d *systemdtest.Double, c *systemd.Client) {
		for name, want := range map[string]string{
			"org.freedesktop.DBus.Error.AccessDenied":                     "use the user's manager",
			"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": "use the user's manager",
			"org.freedesktop.DBus.Error.Spawn.ChildExited":                "no systemd manager is on this bus",
			"org.freedesktop.DBus.Error.PropertyReadOnly":                 "refused: org.freedesktop.DBus.Error.PropertyReadOnly",
		} {
			d.Spoil("StartTransientUnit", systemdtest.Fault{Error: name})
			err := c.StartTransient("x.scope", scope())
			var refused *systemd.CallError
			if !errors.As(err, &refused) || refused.Name != name || !strings.Contains(err.Error(), "systemd refuses StartTransientUnit: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// A refusal is not the end of the conversation.
		d.Spoil("StartTransientUnit", systemdtest.Fault{})
		if err := c.StartTransient("x.scope", scope()); err != nil {
			t.Error(err)
		}
		// What can't be sent isn't, and doesn't break anything either.
		bad := systemd.Property{Name: "Description", Value: dbus.Variant{Sig: "s", Value: "\xff"}}
		if err := c.StartTransient("z.scope", scope(bad)); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestUnitExists(t *testing.T) {
	eachWay(t, 10*time.Second, func(t *testing.T, d *systemdtest.Double, c *systemd.Client) {
		d.SetState("a.scope", "active")
		var exists *systemd.UnitExistsError
		if err := c.StartTransient("a.scope", scope()); !errors.As(err, &exists) || exists.State != "active" || !strings.Contains(err.Error(), "another container has it") {
			t.Errorf("over one that runs: %v", err)
		}
		d.SetState("f.scope", "failed")
		if err := c.StartTransient("f.scope", scope()); err != nil {
			t.Errorf("over one that failed: %v", err)
		}
		if d.State("f.scope") != "active" {
			t.Errorf("it is %q", d.State("f.scope"))
		}
		for _, state := range []string{"inactive", "deactivating"} {
			d.SetState("i.scope", state)
			go func() {
				time.Sleep(50 * time.Millisecond)
				d.Forget("i.scope")
			}()
			if err := c.StartTransient("i.scope", scope()); err != nil {
				t.Errorf("over one that is %s: %v", state, err)
			}
		}
	})
}

func TestNoManager(t *testing.T) {
	none := "unix:path=" + t.TempDir() + "/none"
	for _, user := range []bool{false, true} {
		c := systemd.NewAt([]string{none, none + "2"}, user, time.Second)
		_, err := c.ControlGroup()
		var failed *systemd.ConnectError
		if !errors.As(err, &failed) || len(failed.Failures) != 2 || !strings.Contains(err.Error(), "/none2: connect: no such file") || strings.Contains(err.Error(), "linger") != user {
			t.Errorf("user %v: %v", user, err)
		}
	}
	// A bus that systemd isn't on.
	c := systemd.NewAt([]string{startBus(t)}, true, time.Second)
	defer c.Close()
	if _, err := c.ControlGroup(); err == nil || !strings.Contains(err.Error(), "no systemd manager is on this bus") {
		t.Errorf("the error is %v", err)
	}
}

// The second choice is taken when the first isn't there.
func TestFallback(t *testing.T) {
	d := systemdtest.New(nil, "/bus")
	defer d.Close()
	bus := startBus(t)
	if err := d.Join(bus); err != nil {
		t.Fatal(err)
	}
	c := systemd.NewAt([]string{"unix:path=" + t.TempDir() + "/systemd/private", bus}, false, 5*time.Second)
	defer c.Close()
	if g, err := c.ControlGroup(); g != "/bus" || err != nil {
		t.Errorf("%q, %v", g, err)
	}
}

func TestOffline(t *testing.T) {
	c := systemd.Offline()
	if g, err := c.ControlGroup(); g != "" || err != nil {
		t.Errorf("%q, %v", g, err)
	}
	if err := c.Attach("x.scope", "/", 1); err == nil {
		t.Error("it attaches")
	}
}

// A peer that sends much else, and slowly.
func TestNoise(t *testing.T) {
	d := systemdtest.New(nil, "")
	defer d.Close()
	c := systemd.NewAt([]string{transports["private"](t, d)}, false, 10*time.Second)
	defer c.Close()
	d.Noise(200)
	for i := range 20 {
		if err := c.StartTransient(fmt.Sprintf("n%d.scope", i), scope()); err != nil {
			t.Fatal(err)
		}
	}
}
