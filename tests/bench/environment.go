package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// environment is what the cases of a view share.
type environment struct {
	dir      string
	rounds   int
	runtimes []runtime
	null     *os.File
	stderr   *os.File
	serial   int
	peak     string // the program that measures memory; "" to leave that out
	peaks    bool   // memory is being measured, not time
}

func newEnvironment(o *options) (*environment, error) {
	dir, err := os.MkdirTemp("", "davit-bench-")
	if err != nil {
		return nil, err
	}
	e := &environment{dir: dir, rounds: o.rounds, peak: o.peak}
	add := func(name, path string) {
		if path == "" {
			return
		}
		if found, err := exec.LookPath(path); err == nil {
			e.runtimes = append(e.runtimes, runtime{name: name, path: found, root: filepath.Join(dir, name)})
		}
	}
	add("davit", o.davit)
	add("base", o.base)
	if o.view != "host" { // crun refuses hybrid hierarchies
		add("crun", "crun")
	}
	add("runc", "runc")
	if o.view == "v2" {
		add("floor", o.floor)
	}
	if e.null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if e.stderr, err = os.Create(filepath.Join(dir, "stderr")); err != nil {
		return nil, err
	}
	return e, e.makeBundles(o)
}

func (e *environment) remove() {
	e.null.Close()
	e.stderr.Close()
	os.RemoveAll(e.dir)
}

// id is a name that no container had before.
func (e *environment) id() string {
	e.serial++
	return fmt.Sprintf("davit-bench-%d-%d", os.Getpid(), e.serial)
}

func (e *environment) bundle(name string) string { return filepath.Join(e.dir, name) }

// makeBundles makes the bundles of all cases. They share a rootfs, and avoid what Debian's crun
// can't do: it knows the specification up to 1.0 and, where root lacks CAP_SYS_RESOURCE, can't load device rules on v2.
func (e *environment) makeBundles(o *options) error {
	if err := e.makeRootfs(); err != nil {
		return err
	}
	if err := exec.Command(o.davit, "spec", "--bundle", e.dir).Run(); err != nil {
		return fmt.Errorf("davit spec: %w", err)
	}
	small := func(s *specs.Spec) { s.Process.Args = []string{"/bin/true"} }
	limited := func(s *specs.Spec) {
		small(s)
		s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{}}
	}
	for name, change := range map[string]func(*specs.Spec){
		"true":     small,
		"sleep":    func(s *specs.Spec) { s.Process.Args = []string{"/bin/sleep", "100000"} },
		"terminal": func(s *specs.Spec) { small(s); s.Process.Terminal = true },
		"binds":    func(s *specs.Spec) { small(s); e.addBinds(s, 100) },
		"limited":  limited,
	} {
		if err := e.makeBundle(name, filepath.Join(e.dir, "config.json"), change); err != nil {
			return err
		}
	}
	docker := filepath.Join("libcontainer", "bundle", "testdata", "corpus", "docker-root-01.config.json")
	return e.makeBundle("docker", docker, func(s *specs.Spec) {
		small(s)
		s.Hooks = nil
		s.Process.ApparmorProfile = ""
		for i := range s.Mounts {
			if m := &s.Mounts[i]; m.Type == "bind" {
				m.Source = filepath.Join(e.dir, "file")
			}
		}
	})
}

func (e *environment) makeRootfs() error {
	bin := filepath.Join(e.dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(bin, "busybox"), busybox, 0o755), os.Symlink("busybox", filepath.Join(bin, "true")),
		os.Symlink("busybox", filepath.Join(bin, "sleep")), os.WriteFile(filepath.Join(e.dir, "file"), []byte("bound\n"), 0o644))
}

func (e *environment) makeBundle(name, from string, change func(*specs.Spec)) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var s specs.Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	s.Version, s.Root.Path = "1.0.2", filepath.Join(e.dir, "rootfs")
	s.Process.Terminal, s.Process.Rlimits = false, nil
	s.Linux.Resources, s.Linux.CgroupsPath = nil, ""
	change(&s)
	dir := e.bundle(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if data, err = json.Marshal(&s); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
}

func (e *environment) addBinds(s *specs.Spec, n int) {
	s.Root.Readonly = false
	for i := range n {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: fmt.Sprintf("/mnt/%d", i), Type: "bind",
			Source: filepath.Join(e.dir, "file"), Options: []string{"bind", "ro", "nosuid"}})
	}
}

// openTerminal makes a pseudo-terminal, see pts(4).
func openTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		var n int
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
		}
	}
	if err != nil {
		master.Close()
	}
	return master, slave, err
}

// ended waits until the process that a runtime has written into a pid file is gone.
func ended(pidFile string) error {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Sscan(string(data), &pid); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		if n, err := unix.Poll(fds, 1000); n == 1 || err != nil && err != unix.EINTR {
			return err
		}
	}
	return fmt.Errorf("process %d doesn't end", pid)
}
