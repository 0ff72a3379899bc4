package checkpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// Containers of other kinds than the usual come back as they were, too.
func TestKinds(t *testing.T) {
	needCRIU(t)
	for _, kind := range []struct {
		name string
		make func(c *counting)
	}{
		{"user namespace", func(c *counting) {
			c.Edit(harness.UserNamespace(100000, 65536))
			for _, dir := range []string{c.data, c.Rootfs} {
				if err := os.Chown(dir, 100000, 100000); err != nil {
					c.T.Fatal(err)
				}
			}
		}},
		{"without a cgroup namespace", func(c *counting) { c.Edit(harness.WithoutNamespace(specs.CgroupNamespace)) }},
		{"host's network, IPC and UTS", func(c *counting) {
			c.Spec.Hostname = ""
			c.Edit(harness.WithoutNamespace(specs.NetworkNamespace), harness.WithoutNamespace(specs.IPCNamespace), harness.WithoutNamespace(specs.UTSNamespace),
				harness.WithoutMount("/dev/mqueue"))
		}},
		{"systemd", func(c *counting) {
			if _, err := os.Stat("/run/systemd/system"); err != nil {
				c.T.Skip("systemd isn't the first process here")
			}
			c.Flags = append(c.Flags, "--systemd-cgroup")
			c.Edit(func(s *specs.Spec) { s.Linux.CgroupsPath = "system.slice:davit:" + c.ID })
		}},
		{"AppArmor profile", func(c *counting) {
			if on, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled"); string(on) != "Y\n" {
				c.T.Skip("the kernel doesn't run AppArmor")
			}
			harness.NeedTool(c.T, "apparmor_parser", "apparmor")
			file := filepath.Join(c.Dir, "profile")
			text := "profile davit-test-moved flags=(attach_disconnected,mediate_deleted) {\n network,\n capability,\n file,\n umount,\n mount,\n pivot_root,\n signal,\n ptrace,\n unix,\n}\n"
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				c.T.Fatal(err)
			}
			harness.Tool(c.T, "apparmor_parser", "--replace", "--skip-cache", file)
			c.T.Cleanup(func() { harness.Tool(c.T, "apparmor_parser", "--remove", file) })
			c.Edit(func(s *specs.Spec) { s.Process.ApparmorProfile = "davit-test-moved" })
		}},
		{"mounts below a bind mount, and over a link", func(c *counting) {
			sub := filepath.Join(c.data, "sub")
			if err := os.Mkdir(sub, 0o755); err != nil {
				c.T.Fatal(err)
			}
			if err := unix.Mount("tmpfs", sub, "tmpfs", 0, ""); err != nil {
				c.T.Fatal(err)
			}
			c.T.Cleanup(func() { _ = unix.Unmount(sub, 0) })
			if err := os.Symlink("/home", c.Path("link")); err != nil {
				c.T.Fatal(err)
			}
			c.Edit(harness.Mount(specs.Mount{Destination: "/link/deep", Type: "bind", Source: "/usr", Options: []string{"bind", "ro"}}))
		}},
		{"read-only root, files as standard streams", func(c *counting) {
			for _, d := range []string{"data", "tmp2"} {
				if err := os.Mkdir(c.Path(d), 0o755); err != nil {
					c.T.Fatal(err)
				}
			}
			c.Edit(func(s *specs.Spec) { s.Root.Readonly = true }, harness.Shell("exec >&2; "+count))
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			c := newCounting(t)
			kind.make(c)
			c.WriteConfig()
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			run := c.Command("run", "--detach", "--bundle", c.Bundle, c.ID)
			run.Cmd.Stdout, run.Cmd.Stderr = log, log
			if run.Do().Code != 0 {
				text, _ := os.ReadFile(log.Name())
				t.Fatalf("davit run: %s", text)
			}
			c.counts()
			mounts, confinement := c.mounts(), c.confinement()
			c.checkpoint().Succeeds()
			at := c.number()
			c.restore(c.ID).Succeeds()
			c.goesOn(at)
			if now := c.mounts(); now != mounts {
				t.Errorf("the mounts were\n%sand are\n%s", mounts, now)
			}
			if now := c.confinement(); now != confinement {
				t.Errorf("the confinement was\n%sand is\n%s", confinement, now)
			}
			c.Delete()
		})
	}
}
