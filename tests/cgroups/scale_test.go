package cgroups

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"davit/tests/harness"
)

// hierarchies are the roots of all that is mounted.
func hierarchies() []string {
	if unified() == mountpoint {
		return []string{mountpoint}
	}
	files, _ := filepath.Glob(mountpoint + "/*/cgroup.procs")
	for i := range files {
		files[i] = filepath.Dir(files[i])
	}
	return files
}

// least is the shortest time that something takes.
func least(rounds int, f func()) time.Duration {
	shortest := time.Hour
	for range rounds {
		start := time.Now()
		f()
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}

// Start and exec don't slow down with a thousand cgroups beside the container's. On a busy
// host a comparison may be off, so there are three.
func TestAThousandCgroupsBeside(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand cgroups, which takes long: not in -short")
	}
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.WriteConfig()
	figures := func() (life, join time.Duration) {
		const rounds = 15
		life = least(rounds, func() { s.Davit("run", "-d", "--bundle", s.Bundle, s.ID).Succeeds(); s.Delete() })
		begin(s)
		defer s.Delete()
		return life, least(rounds, func() { s.Davit("exec", s.ID, "true").Succeeds() })
	}
	for attempt := 1; ; attempt++ {
		life, join := figures()
		remove := thousand(t, s)
		life2, join2 := figures()
		remove()
		a, b := float64(life2)/float64(life), float64(join2)/float64(join)
		t.Logf("run and delete %v, with a thousand cgroups in each hierarchy %v (%.2f times); exec %v, then %v (%.2f times)", life, life2, a, join, join2, b)
		if a < 1.3 && b < 1.3 {
			return
		}
		if attempt == 3 {
			t.Fatal("a thousand cgroups slow davit down")
		}
	}
}

// thousand makes cgroups beside the container's in each hierarchy.
func thousand(t *testing.T, s *harness.Sandbox) (remove func()) {
	t.Helper()
	var made []string
	remove = func() {
		for _, dir := range made {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
		made = nil
	}
	t.Cleanup(remove)
	for _, root := range hierarchies() {
		for i := range 1000 {
			dir := fmt.Sprintf("%s/%s-beside-%d", root, strings.TrimPrefix(s.ID, "davit-"), i)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			made = append(made, dir)
		}
	}
	return remove
}

// With a hundred containers every figure of each is read once.
func TestStatsOfManyReadsNothingTwice(t *testing.T) {
	strace := harness.NeedTool(t, "strace", "strace")
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	s.WriteConfig()
	const n = 20
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%d", s.ID, i)
		s.Spec.Linux.CgroupsPath = "/" + ids[i]
		s.WriteConfig()
		s.Davit("run", "-d", "--bundle", s.Bundle, ids[i]).Succeeds()
	}
	defer func() {
		for _, id := range ids {
			s.Davit("delete", "--force", id).Succeeds()
		}
	}()
	log := filepath.Join(s.Dir, "trace")
	s.Prefix = []string{strace, "-f", "-qq", "-y", "-e", "trace=openat", "-o", log}
	r := s.Davit("stats", "--format", "json")
	s.Prefix = nil
	r.Succeeds()
	if lines := strings.Count(r.Stdout(), "\n"); lines != n {
		t.Errorf("statistics of %d containers, there are %d", lines, n)
	}
	opened := make(map[string]int)
	figures := 0
	for line := range strings.Lines(readFile(t, log)) {
		_, path, ok := strings.Cut(line, ") = ")
		_, path, ok2 := strings.Cut(path, "<")
		path, _, ok3 := strings.Cut(path, ">")
		if !ok || !ok2 || !ok3 || !strings.Contains(path, s.ID) {
			continue
		}
		if strings.HasPrefix(path, mountpoint) {
			figures++
		}
		if opened[path]++; opened[path] == 2 {
			t.Errorf("%s is opened twice", path)
		}
	}
	t.Logf("%.1f files and directories of cgroups a container", float64(figures)/n)
	if figures < 5*n {
		t.Errorf("only %d files were read for %d containers", figures, n)
	}
}
