package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Cell is where an engine lives: see the package's documentation.
type Cell struct {
	Dir     string  // room for files, with the same path inside and outside; removed at the end
	Mark    string  // names cgroups and everything else that could be seen outside; part of Dir
	Cgroups Cgroups // what is seen of them inside
	Env     []string
	Pid     int // of the cell's init, as the host sees it

	t     testing.TB
	alive io.Closer // the cell ends when it is closed
	init  *exec.Cmd
}

var cells atomic.Int32

// NewCell makes a cell that ends with the test. It skips the test where the
// host can't show such cgroups.
func NewCell(t testing.TB, cgroups Cgroups) *Cell {
	t.Helper()
	if why := cgroups.Missing(); why != "" {
		t.Skip(why)
	}
	mark := marks() + strconv.Itoa(int(cells.Add(1)))
	c := &Cell{t: t, Mark: mark, Dir: filepath.Join(os.TempDir(), mark), Cgroups: cgroups}
	for _, d := range []string{"bin", "real", "home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "LC_ALL=C.UTF-8",
		"HOME=" + filepath.Join(c.Dir, "home"), "TMPDIR=" + filepath.Join(c.Dir, "tmp"),
	}
	t.Cleanup(c.end)
	plan := cellPlan{Dir: c.Dir, Cgroups: cgroups, Mask: c.makeRecorders()}
	if err := c.boot(plan); err != nil {
		t.Fatal(err)
	}
	return c
}

// boot starts the cell's init, and waits until it has prepared everything.
func (c *Cell) boot(plan cellPlan) error {
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	c.init = exec.Command("/proc/self/exe")
	c.init.Env = append(c.Env, cellVariable+"="+string(text))
	c.init.Stderr = os.Stderr
	c.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	if c.alive, err = c.init.StdinPipe(); err != nil {
		return err
	}
	out, err := c.init.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.init.Start(); err != nil {
		return fmt.Errorf("make a cell: %w", err)
	}
	c.Pid = c.init.Process.Pid
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		return fmt.Errorf("the cell's init doesn't work: %s", strings.TrimSpace(line))
	}
	return nil
}

// end kills all that lives in the cell, and removes what it made. What stays
// behind in cgroups is a fault of somebody.
func (c *Cell) end() {
	if c.Pid != 0 {
		_ = c.alive.Close()
		_ = c.init.Wait()
	}
	if c.t.Failed() && os.Getenv("DAVIT_ENGINES_KEEP") != "" {
		c.t.Logf("kept %s", c.Dir)
	} else if err := os.RemoveAll(c.Dir); err != nil {
		c.t.Errorf("remove the cell's directory: %v", err)
	}
	if err := sweepCgroups(c.Mark); err != nil {
		c.t.Errorf("remove the cell's cgroups: %v", err)
	}
}

// Path joins to a path below the cell's directory.
func (c *Cell) Path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

// Write makes a file below the cell's directory and returns its path.
func (c *Cell) Write(name, content string, mode os.FileMode) string {
	c.t.Helper()
	path := c.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		c.t.Fatal(err)
	}
	return path
}

// Inside is the path by which the host sees a file of the cell, such as one below /run.
func (c *Cell) Inside(path string) string {
	return filepath.Join("/proc", strconv.Itoa(c.Pid), "root", path)
}

// left is what there is in the cell at a moment.
func (c *Cell) left(stateRoots []string) listing {
	now := make(listing)
	table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", c.Pid))
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 {
			now.add("mount", f[4])
		}
	}
	for _, d := range cgroupDirs(c.Mark) {
		now.add("cgroup", d)
	}
	for _, root := range stateRoots {
		found, _ := filepath.Glob(c.Inside(filepath.Join(root, "*")))
		for _, f := range found {
			if name := filepath.Base(f); !strings.HasPrefix(name, "@") { // davit's cache; no container is named so
				now.add("container", name+" in "+root)
			}
		}
	}
	for _, comm := range descendants(c.Pid) {
		now.add("process", comm)
	}
	return now
}
