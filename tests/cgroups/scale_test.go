package cgroups

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// measured is the least time of a few rounds that a command takes.
func measured(s *harness.Sandbox, rounds int, command func()) time.Duration {
	least := time.Hour
	for range rounds {
		start := time.Now()
		command()
		least = min(least, time.Since(start))
	}
	return least
}

// Start and exec don't slow down with a thousand cgroups beside the container's.
func TestAThousandCgroupsBeside(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand cgroups")
	}
	s := harness.New(t, harness.Args("/bin/sleep", "100"))
	rounds := 15
	run := func() { s.Davit("run", "-d", "--bundle", s.Bundle, s.ID).Succeeds(); s.Delete() }
	exec := func() { s.Davit("exec", s.ID, "true").Succeeds() }
	figures := func() (life, join time.Duration) {
		life = measured(s, rounds, run)
		begin(s)
		defer s.Delete()
		return life, measured(s, rounds, exec)
	}
	s.WriteConfig()
	life, join := figures()
	var made []string
	t.Cleanup(func() {
		for _, dir := range slices.Backward(made) {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	for _, root := range hierarchies() {
		for i := range 1000 {
			dir := fmt.Sprintf("%s/%s-beside-%d", root, strings.TrimPrefix(s.ID, "davit-"), i)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			made = append(made, dir)
		}
	}
	life2, join2 := figures()
	t.Logf("run and delete %v, with %d cgroups beside %v (%.2f times); exec %v, then %v (%.2f times)",
		life, len(made), life2, float64(life2)/float64(life), join, join2, float64(join2)/float64(join))
	if life2 > 2*life+5*time.Millisecond || join2 > 2*join+5*time.Millisecond {
		t.Errorf("a thousand cgroups slow davit down: run %v to %v, exec %v to %v", life, life2, join, join2)
	}
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
