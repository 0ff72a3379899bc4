// Package checkpoint tests the moving of containers: `davit checkpoint` and `davit restore`, with the real CRIU.
//
// What is refused and how is tested wherever CRIU is installed. Containers are moved where CRIU works with the kernel
// (`criu check`), which it does in the machine of `make vm-test`.
package checkpoint

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv("DAVIT_VM") != "" {
		// CRIU, have no hardware breakpoints (its fault 130): the kernel rewrites its own code for the first and the last one,
		// and an emulated processor has been seen to trip over that.
		os.Setenv("CRIU_FAULT", "130")
	}
	os.Exit(harness.Main(m))
}

// criuWorks is why CRIU can't do anything on this host, or "".
var criuWorks = sync.OnceValue(func() string {
	out, err := exec.Command("criu", "check").CombinedOutput()
	if err == nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[0]
})

// needCRIU skips a test where there is no CRIU, or none that works on this kernel.
func needCRIU(t *testing.T) {
	t.Helper()
	harness.NeedRoot(t)
	harness.NeedTool(t, "criu", "criu")
	if why := criuWorks(); why != "" {
		t.Skip("this host's criu doesn't work on its kernel: " + why)
	}
}

// counting is a container that counts in a file on the host, and tells its pid.
type counting struct {
	*harness.Sandbox
	data   string // bound to /data
	images string
}

const count = `echo $$ >/data/pid; echo kept >/tmp2/file; i=0; while :; do i=$((i+1)); echo $i >/data/n.new; mv /data/n.new /data/n; sleep 0.1; done`

func newCounting(t *testing.T, edits ...harness.Edit) *counting {
	t.Helper()
	s := harness.New(t)
	c := &counting{Sandbox: s, data: filepath.Join(s.Dir, "data"), images: filepath.Join(s.Dir, "images")}
	if err := os.Mkdir(c.data, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Edit(harness.Shell(count),
		harness.Mount(specs.Mount{Destination: "/data", Type: "bind", Source: c.data, Options: []string{"rbind", "rw"}}),
		harness.Mount(specs.Mount{Destination: "/tmp2", Type: "tmpfs", Source: "tmpfs"}))
	s.Edit(edits...)
	t.Cleanup(s.Delete)
	return c
}

func (c *counting) start() {
	c.T.Helper()
	c.Create().Succeeds()
	c.Davit("start", c.ID).Succeeds()
	c.counts()
}

// read is what is in a file of the container's on the host.
func (c *counting) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(c.data, name))
	return strings.TrimSpace(string(data))
}

func (c *counting) number() int {
	n, _ := strconv.Atoi(c.read("n"))
	return n
}

// counts waits until the container has gone on counting.
func (c *counting) counts() {
	c.T.Helper()
	before := c.number()
	harness.Eventually(c.T, "the container to count", func() bool { return c.number() > before+1 })
}

func (c *counting) checkpoint(flags ...string) *harness.Result {
	c.T.Helper()
	return c.Davit(append(append([]string{"checkpoint", "--image-path", c.images}, flags...), c.ID)...)
}

func (c *counting) restore(id string, flags ...string) *harness.Result {
	c.T.Helper()
	return c.Davit(append(append([]string{"restore", "--image-path", c.images, "--bundle", c.Bundle, "--detach"}, flags...), id)...)
}

// goesOn proves that it counts on from where it was, and didn't start again.
func (c *counting) goesOn(from int) {
	c.T.Helper()
	c.counts()
	if n := c.number(); n < from {
		c.T.Errorf("it counted to %d before, and is at %d now", from, n)
	}
}

// mounts are the container's mounts, in the order of their paths: root, mount point, flags, type.
func (c *counting) mounts() string {
	c.T.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(c.PID()) + "/mountinfo")
	if err != nil {
		c.T.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(data)) {
		left, right, _ := strings.Cut(line, " - ")
		f, fstype := strings.Fields(left), strings.Fields(right)[0]
		list = append(list, strings.Join([]string{f[4], f[3], f[5], fstype}, " ")+"\n")
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

// confinement is what the kernel says of the first process's rights and limits.
func (c *counting) confinement() string {
	c.T.Helper()
	dir := "/proc/" + strconv.Itoa(c.PID()) + "/"
	var b strings.Builder
	status, _ := os.ReadFile(dir + "status")
	for line := range strings.Lines(string(status)) {
		for _, key := range []string{"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp", "Umask:"} {
			if strings.HasPrefix(line, key) {
				b.WriteString(line)
			}
		}
	}
	for _, file := range []string{"limits", "oom_score_adj", "attr/current"} {
		data, _ := os.ReadFile(dir + file)
		b.Write(data)
	}
	return b.String()
}
