package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const cellVariable = "DAVIT_ENGINES_CELL"

// cellPlan is what a cell's init has to prepare.
type cellPlan struct {
	Dir     string
	Cgroups Cgroups
	Mask    map[string]string // file on the host → what it is in the cell
}

// cellInit is the first process of a cell. It doesn't return.
func cellInit(text string) {
	var plan cellPlan
	err := json.Unmarshal([]byte(text), &plan)
	if err == nil {
		err = plan.prepare()
	}
	if err != nil {
		fmt.Println("cell:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test
		os.Exit(0)
	}()
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	for range children {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 && err != unix.EINTR {
				break
			}
		}
	}
}

func (p *cellPlan) prepare() error {
	// Nothing may reach the host's mounts.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make / private: %w", err)
	}
	const hidden = unix.MS_NOSUID | unix.MS_NODEV
	for _, m := range []struct {
		fstype, on, data string
		flags            uintptr
	}{
		{"proc", "/proc", "", hidden | unix.MS_NOEXEC},
		{"tmpfs", "/run", "mode=0755", hidden},
		{"tmpfs", "/dev/shm", "mode=1777", hidden},
	} {
		if err := unix.Mount(m.fstype, m.on, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.on, err)
		}
	}
	for _, dir := range []string{"/etc", "/var/lib"} {
		if err := p.overlay(dir); err != nil {
			return err
		}
	}
	for over, by := range p.Mask {
		if err := unix.Mount(by, over, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", by, over, err)
		}
	}
	if err := p.Cgroups.show(p.Dir); err != nil {
		return err
	}
	// Within the cell / is shared, as systemd makes it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make / shared: %w", err)
	}
	return loopbackUp()
}

// overlay lets the cell write into a directory of the host that keeps its content.
func (p *cellPlan) overlay(dir string) error {
	room := filepath.Join(p.Dir, "overlay"+strings.ReplaceAll(dir, "/", "-"))
	upper, work := filepath.Join(room, "upper"), filepath.Join(room, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)
	if err := unix.Mount("overlay", dir, "overlay", 0, data); err != nil {
		return fmt.Errorf("overlay on %s: %w", dir, err)
	}
	return nil
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring the loopback device up: %w", err)
	}
	return nil
}
