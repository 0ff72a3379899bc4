package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroups is what a cell sees as cgroup filesystems.
type Cgroups string

// The host's own cgroups are called hybrid here because that is what a host
// that offers all three views has. On one with version 2 only, that's the
// only view ([Cgroups.Missing] tells).
const (
	Hybrid Cgroups = "hybrid" // as on the host
	V1     Cgroups = "v1"     // the version 1 hierarchies alone
	V2     Cgroups = "v2"     // version 2 alone, with the controllers that version 1 has left
)

const cgroupRoot = "/sys/fs/cgroup"

// Missing says why this host can't show these cgroups, or nothing.
func (c Cgroups) Missing() string {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err != nil {
		return err.Error()
	}
	if pure := st.Type == unix.CGROUP2_SUPER_MAGIC; pure && c != V2 {
		return "the host has cgroup version 2 only"
	}
	return ""
}

// show arranges /sys/fs/cgroup in the cell's mount namespace. The hierarchies
// themselves stay as they are.
func (c Cgroups) show(dir string) error {
	switch c {
	case V2:
		if err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", cgroupRoot, err)
		}
		if err := unix.Mount("cgroup2", cgroupRoot, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mount cgroup2: %w", err)
		}
	case V1:
		unified := filepath.Join(cgroupRoot, "unified")
		if err := unix.Unmount(unified, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", unified, err)
		}
		return c.onlyMounted(dir)
	}
	return nil
}

// onlyMounted hides the empty directory where version 2 was: engines look for
// it by name.
func (c Cgroups) onlyMounted(dir string) error {
	fresh := filepath.Join(dir, "cgroup-v1")
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", fresh, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	hierarchies, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		from, to := filepath.Join(cgroupRoot, h.Name()), filepath.Join(fresh, h.Name())
		if _, err := os.Stat(filepath.Join(from, "tasks")); err != nil {
			continue
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", from, err)
		}
	}
	if err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Mount(fresh, cgroupRoot, "", unix.MS_MOVE, "")
}

// cgroupDirs finds the directories in all hierarchies whose path contains mark.
func cgroupDirs(mark string) []string {
	var found []string
	_ = filepath.WalkDir(cgroupRoot, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, mark) {
			found = append(found, path)
		}
		return nil // what is gone meanwhile is no matter
	})
	return found
}

// sweepCgroups ends and removes all that's left below cgroups with this mark.
func sweepCgroups(mark string) error {
	var err error
	for range 100 {
		dirs := cgroupDirs(mark)
		if len(dirs) == 0 {
			return nil
		}
		slices.Reverse(dirs)
		for _, d := range dirs {
			_ = os.WriteFile(filepath.Join(d, "freezer.state"), []byte("THAWED"), 0)
			_ = os.WriteFile(filepath.Join(d, "cgroup.freeze"), []byte("0"), 0)
			for _, pid := range procs(d) {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
			if rmErr := unix.Rmdir(d); rmErr != nil {
				err = fmt.Errorf("remove %s: %w", d, rmErr)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func procs(cgroup string) []int {
	text, _ := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
	var pids []int
	for f := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}
