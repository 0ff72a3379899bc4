package harness

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

// HostState is what a container could leave behind on the host. Mounts,
// cgroups and processes are those that belong to one sandbox, so that tests
// can run side by side.
type HostState struct {
	Mounts    []string // of this process's mount namespace
	Cgroups   []string // directories, in all hierarchies
	Processes []string // whoever is in the sandbox's cgroup, mounts or directory
	StateDirs []string // below --root
	Links     []string // network devices
}

// TestDevice begins the names of network devices that a test makes on the host for a while.
const TestDevice = "dvtest"

// HostState takes a snapshot.
func (s *Sandbox) HostState() *HostState {
	h := &HostState{Mounts: s.mounts(), Cgroups: s.cgroups()}
	for pid, why := range s.processes() {
		h.Processes = append(h.Processes, fmt.Sprintf("%d (%s)", pid, why))
	}
	slices.Sort(h.Processes)
	for _, dir := range []struct {
		to   *[]string
		path string
	}{{&h.StateDirs, s.Root}, {&h.Links, "/sys/class/net"}} {
		entries, err := os.ReadDir(dir.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.T.Errorf("host state: %v", err)
		}
		for _, e := range entries {
			// No container is named like this: it is davit's cache.
			cache := strings.HasPrefix(e.Name(), "@")
			// Packages are tested beside each other: these are another test's, which sees to them itself.
			foreign := strings.HasPrefix(e.Name(), TestDevice)
			if !cache && !foreign {
				*dir.to = append(*dir.to, e.Name())
			}
		}
	}
	return h
}

// CheckHost fails the test unless the host is as it was when the sandbox was
// made. The kernel gets two seconds to end what was killed.
func (s *Sandbox) CheckHost() {
	s.T.Helper()
	var diff string
	for end := time.Now().Add(patience(2 * time.Second)); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if diff = s.before.diff(s.HostState()); diff == "" {
			return
		}
	}
	s.T.Errorf("the host is not as it was before:\n%s", diff)
}

func (h *HostState) diff(now *HostState) string {
	var b strings.Builder
	for _, kind := range []struct {
		name     string
		old, now []string
	}{
		{"mount", h.Mounts, now.Mounts}, {"cgroup", h.Cgroups, now.Cgroups}, {"process", h.Processes, now.Processes},
		{"state", h.StateDirs, now.StateDirs}, {"network device", h.Links, now.Links},
	} {
		for _, x := range kind.now {
			if !slices.Contains(kind.old, x) {
				fmt.Fprintf(&b, "  left behind: %s %s\n", kind.name, x)
			}
		}
		for _, x := range kind.old {
			if !slices.Contains(kind.now, x) {
				fmt.Fprintf(&b, "  gone: %s %s\n", kind.name, x)
			}
		}
	}
	return b.String()
}

// marked tells whether text names this sandbox.
func (s *Sandbox) marked(text string) bool {
	return strings.Contains(text, s.ID) || strings.Contains(text, s.Dir)
}

func (s *Sandbox) mounts() []string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		s.T.Errorf("host state: %v", err)
	}
	var found []string
	for line := range strings.Lines(string(table)) {
		if s.marked(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func (s *Sandbox) cgroups() []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // gone meanwhile, or a file
		}
		if s.marked(path) {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// processes finds whoever belongs to the sandbox, and tells why.
func (s *Sandbox) processes() map[int]string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.T.Errorf("host state: %v", err)
	}
	own, _ := os.Readlink("/proc/self/ns/mnt")
	found := make(map[int]string)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := "/proc/" + e.Name() + "/"
		stat, _ := os.ReadFile(dir + "stat")
		if i := strings.LastIndex(string(stat), ") "); i < 0 || strings.HasPrefix(string(stat[i+2:]), "Z") {
			continue // gone, or a zombie that its parent hasn't looked at
		}
		if why := s.belongs(dir, own); why != "" {
			found[pid] = why
		}
	}
	return found
}

func (s *Sandbox) belongs(dir, own string) string {
	if text, _ := os.ReadFile(dir + "cgroup"); s.marked(string(text)) {
		return "in the container's cgroup"
	}
	if link, _ := os.Readlink(dir + "cwd"); s.marked(link) {
		return "in the directory " + link
	}
	if text, _ := os.ReadFile(dir + "cmdline"); s.marked(string(text)) {
		return strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " ")
	}
	if ns, _ := os.Readlink(dir + "ns/mnt"); ns != "" && ns != own {
		if text, _ := os.ReadFile(dir + "mountinfo"); s.marked(string(text)) {
			return "among the container's mounts"
		}
	}
	return ""
}

// sweep ends and removes what a broken davit left, so that the tests behind it are not disturbed.
func (s *Sandbox) sweep() {
	for range 50 {
		left := s.processes()
		for pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		dirs := s.cgroups()
		slices.Reverse(dirs)
		for _, d := range dirs {
			_ = os.WriteFile(filepath.Join(d, "freezer.state"), []byte("THAWED"), 0)
			_ = os.WriteFile(filepath.Join(d, "cgroup.freeze"), []byte("0"), 0)
			_ = unix.Rmdir(d)
		}
		for _, line := range s.mounts() {
			_ = unix.Unmount(strings.Fields(line)[4], unix.MNT_DETACH)
		}
		if len(left)+len(dirs) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
