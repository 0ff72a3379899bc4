package cgroups

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkLife is what a container's cgroups cost from nothing to nothing, without and
// with usual limits.
func BenchmarkLife(b *testing.B) {
	for _, c := range []struct{ name, res string }{
		{"bare", ""},
		{"devices", `{"devices":[{"allow":false,"access":"rwm"}]}`},
		{"limits", `{"memory":{"limit":67108864},"cpu":{"quota":50000,"shares":512},"pids":{"limit":100}}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			layout, err := Detect()
			if err != nil || layout.Mode == None {
				b.Skip("no cgroups")
			}
			cfg := Config{ID: "bench"}
			if c.res != "" {
				cfg.Resources = resources(b, c.res)
			}
			for b.Loop() {
				m, err := New(layout, &cfg)
				if err != nil {
					b.Fatal(err)
				}
				if err := m.Create(); err != nil {
					b.Skip(err)
				}
				if err := m.Destroy(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDetect(b *testing.B) {
	for b.Loop() {
		if _, err := Detect(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAttach moves a process in and out of its cgroups.
func BenchmarkAttach(b *testing.B) {
	layout, err := Detect()
	if err != nil || layout.Mode == None {
		b.Skip("no cgroups")
	}
	m, err := New(layout, &Config{ID: "bench-attach"})
	if err != nil {
		b.Fatal(err)
	}
	if err := m.Create(); err != nil {
		b.Skip(err)
	}
	defer func() {
		_ = m.Kill(unix.SIGKILL)
		if err := m.Destroy(); err != nil {
			b.Error(err)
		}
	}()
	for b.Loop() {
		b.StopTimer()
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := m.Attach(cmd.Process.Pid); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		b.StartTimer()
	}
}
