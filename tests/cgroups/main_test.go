package cgroups

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func TestMain(m *testing.M) {
	before := enabled()
	code := harness.Main(m)
	// davit leaves controllers enabled that it needed; a host is left as it was found.
	for _, c := range enabled() {
		if !slices.Contains(before, c) {
			_ = os.WriteFile(unified()+"/cgroup.subtree_control", []byte("-"+c), 0)
		}
	}
	os.Exit(code)
}

// TestLayouts runs all tests in the layouts that the host doesn't have.
func TestLayouts(t *testing.T) {
	for _, l := range []harness.Layout{harness.V1, harness.V2} {
		t.Run(string(l), func(t *testing.T) { harness.InLayout(t, l, "^Test[^L]") })
	}
}

const mountpoint = "/sys/fs/cgroup"

// unified is where the unified hierarchy is mounted, or nowhere.
func unified() string {
	for _, dir := range []string{mountpoint, mountpoint + "/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	return "/nonexistent"
}

func enabled() []string {
	text, _ := os.ReadFile(unified() + "/cgroup.subtree_control")
	return strings.Fields(string(text))
}

// onV1 tells whether a version 1 hierarchy has the controller.
func onV1(controller string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(mountpoint+"/"+controller, &fs) == nil && fs.Type == unix.CGROUP_SUPER_MAGIC
}

// onV2 tells whether the unified hierarchy has the controller.
func onV2(controller string) bool {
	text, _ := os.ReadFile(unified() + "/cgroup.controllers")
	return slices.Contains(strings.Fields(string(text)), controller)
}

// available tells whether the layout has a controller, which is the same in both versions
// but for its name. Without, the configuration has to be refused with the controller's
// name, and nothing is left; that is checked here.
func available(s *harness.Sandbox, v1, v2 string) bool {
	s.T.Helper()
	if onV1(v1) || v2 != "" && onV2(v2) {
		return true
	}
	name := v2
	if name == "" || unified() == "/nonexistent" {
		name = v1
	}
	s.Run().Fails("linux.resources.", "the "+name+" controller is not available")
	s.CheckHost()
	return false
}

// resources sets linux.resources from JSON.
func resources(t testing.TB, text string) harness.Edit {
	t.Helper()
	res := new(specs.LinuxResources)
	if err := json.Unmarshal([]byte(text), res); err != nil {
		t.Fatal(err)
	}
	return func(s *specs.Spec) { s.Linux.Resources = res }
}

// begin creates and starts the container.
func begin(s *harness.Sandbox) {
	s.T.Helper()
	s.Create().Succeeds()
	s.Davit("start", s.ID).Succeeds()
}

// directory is the container's cgroup that has a file, of those that its process is in.
func directory(s *harness.Sandbox, file string) string {
	s.T.Helper()
	dirs, _ := filepath.Glob(mountpoint + "/*/" + s.ID)
	for _, dir := range append(dirs, mountpoint+"/"+s.ID) {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return dir
		}
	}
	s.T.Fatalf("no cgroup of the container has the file %s", file)
	return ""
}

// directories are all cgroups of the container.
func directories(s *harness.Sandbox) []string {
	dirs, _ := filepath.Glob(mountpoint + "/*/" + s.ID)
	if _, err := os.Stat(mountpoint + "/" + s.ID); err == nil {
		dirs = append(dirs, mountpoint+"/"+s.ID)
	}
	return dirs
}

// stats is the data of an event, as far as the tests look.
type stats struct {
	CPU struct {
		Usage      struct{ Total uint64 }
		Throttling struct{ Periods, ThrottledPeriods, ThrottledTime uint64 }
		PSI        *struct{ Some, Full struct{ Total uint64 } }
	}
	Memory struct {
		Usage struct{ Limit, Usage, Max, Failcnt uint64 }
	}
	Pids    struct{ Current, Limit uint64 }
	Hugetlb map[string]struct{ Usage, Max, Failcnt uint64 }
	Blkio   struct {
		IoServiceBytesRecursive []struct {
			Major, Minor, Value uint64
			Op                  string
		}
	}
}

type event struct {
	Type, ID string
	Data     *stats
}

// look reads the container's statistics.
func look(s *harness.Sandbox) *stats {
	s.T.Helper()
	r := s.Davit("events", "--stats", s.ID)
	r.Succeeds()
	var e event
	if err := json.Unmarshal([]byte(r.Stdout()), &e); err != nil || e.Type != "stats" || e.ID != s.ID || e.Data == nil {
		s.T.Fatalf("events --stats wrote %s (%v)", r.Stdout(), err)
	}
	return e.Data
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func number(t testing.TB, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
