// Package rdttest is a resctrl filesystem for tests on machines without one. It
// behaves as the kernel's does: groups come with their files, a process is in
// one class and one monitoring group of it, bandwidth is rounded, and the
// number of groups is limited.
package rdttest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Tree is the filesystem. The zero value is not usable; see [New].
type Tree struct {
	mu     sync.Mutex
	groups map[string]*group // by directory; "." is the default class
	limit  int
	status string
	// Log has the changes in their order: "mkdir x", "write x/schemata …".
	Log []string
}

type group struct {
	schemata []string // lines such as L3:0=ff;1=ff
	tasks    []int
}

// Step is the granularity of bandwidth.
const Step = 10

// New makes a filesystem with two L3 caches and room for limit groups beside the default one.
func New(limit int) *Tree {
	return &Tree{groups: map[string]*group{".": {schemata: []string{"MB:0=100;1=100", "L3:0=7ff;1=7ff"}}}, limit: limit, status: "ok"}
}

// Groups lists the directories of all groups but the default one.
func (t *Tree) Groups() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for dir := range t.groups {
		if dir != "." {
			list = append(list, dir)
		}
	}
	slices.Sort(list)
	return list
}

// Tasks lists the processes in a group.
func (t *Tree) Tasks(dir string) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.groups[dir]; g != nil {
		return slices.Clone(g.tasks)
	}
	return nil
}

// Exists is [davit/libcontainer/intelrdt.Tree]'s.
func (t *Tree) Exists(dir string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if path.Base(dir) == "mon_groups" {
		dir = path.Dir(dir)
	}
	if group, domain, ok := strings.Cut("./"+dir, "/mon_data/"); ok {
		return t.groups[path.Clean(group)] != nil && (domain == "mon_L3_00" || domain == "mon_L3_01")
	}
	return t.groups[dir] != nil
}

// Counted is what each group's files of mon_data say for cache 0, and one more for cache 1.
const (
	CountedTotal     = 3000
	CountedLocal     = 2000
	CountedOccupancy = 1000
)

// counter reads a file below mon_data.
func counter(file string) (string, bool) {
	n := 0
	switch path.Base(file) {
	case "mbm_total_bytes":
		n = CountedTotal
	case "mbm_local_bytes":
		n = CountedLocal
	case "llc_occupancy":
		n = CountedOccupancy
	default:
		return "", false
	}
	if path.Base(path.Dir(file)) == "mon_L3_01" {
		n++
	}
	return strconv.Itoa(n) + "\n", true
}

// info has the files about the machine.
func info(file string) (string, bool) {
	switch file {
	case "info/L3/cbm_mask":
		return "7ff\n", true
	case "info/L3/min_cbm_bits", "info/MB/delay_linear":
		return "1\n", true
	case "info/L3/num_closids", "info/MB/num_closids":
		return "16\n", true
	case "info/MB/min_bandwidth", "info/MB/bandwidth_gran":
		return strconv.Itoa(Step) + "\n", true
	}
	return "", false
}

// Mkdir makes a class, or a monitoring group below mon_groups.
func (t *Tree) Mkdir(dir string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Log = append(t.Log, "mkdir "+dir)
	g := &group{}
	if parent, ok := monitored(dir); ok {
		if t.groups[parent] == nil {
			return fail("mkdir", dir, unix.ENOENT)
		}
	} else if strings.Contains(dir, "/") {
		return fail("mkdir", dir, unix.EPERM)
	} else {
		g.schemata = slices.Clone(t.groups["."].schemata)
	}
	switch {
	case t.groups[dir] != nil:
		return fail("mkdir", dir, unix.EEXIST)
	case len(t.groups)-1 >= t.limit:
		return fail("mkdir", dir, unix.ENOSPC)
	}
	t.groups[dir] = g
	return nil
}

// monitored splits the directory of a monitoring group.
func monitored(dir string) (class string, ok bool) {
	if path.Base(path.Dir(dir)) != "mon_groups" {
		return "", false
	}
	return path.Dir(path.Dir(dir)), true
}

// Rmdir removes a group. Its processes go to the default class.
func (t *Tree) Rmdir(dir string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Log = append(t.Log, "rmdir "+dir)
	if t.groups[dir] == nil || dir == "." {
		return fail("rmdir", dir, unix.ENOENT)
	}
	for other := range t.groups {
		if class, ok := monitored(other); other == dir || ok && class == dir {
			t.groups["."].tasks = append(t.groups["."].tasks, t.groups[other].tasks...)
			delete(t.groups, other)
		}
	}
	return nil
}

// Read reads tasks, schemata, and of info what tells of refusals and bandwidth.
func (t *Tree) Read(file string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if file == "info/last_cmd_status" {
		return t.status + "\n", nil
	}
	if text, ok := info(file); ok {
		return text, nil
	}
	if text, ok := counter(file); ok {
		return text, nil
	}
	g := t.groups[path.Dir(file)]
	if g == nil {
		return "", fail("open", file, unix.ENOENT)
	}
	var b strings.Builder
	switch path.Base(file) {
	case "tasks":
		for _, pid := range g.tasks {
			if unix.Kill(pid, 0) != unix.ESRCH { // who has ended is nowhere
				fmt.Fprintln(&b, pid)
			}
		}
	case "schemata":
		for _, line := range g.schemata {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	default:
		return "", fail("open", file, unix.ENOENT)
	}
	return b.String(), nil
}

// Write moves a process into a group, or changes a class's share.
func (t *Tree) Write(file, text string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Log = append(t.Log, "write "+file+" "+strings.TrimSpace(text))
	t.status = "ok"
	dir := path.Dir(file)
	g := t.groups[dir]
	if g == nil {
		return fail("open", file, unix.ENOENT)
	}
	switch path.Base(file) {
	case "tasks":
		return t.move(dir, g, text)
	case "schemata":
		return t.share(file, g, text)
	}
	return fail("open", file, unix.ENOENT)
}

func (t *Tree) move(dir string, g *group, text string) error {
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || unix.Kill(pid, 0) == unix.ESRCH {
		return fail("write", dir+"/tasks", unix.ESRCH)
	}
	has := func(pid int) func(int) bool { return func(p int) bool { return p == pid } }
	if class, ok := monitored(dir); ok && !slices.ContainsFunc(t.groups[class].tasks, has(pid)) {
		t.status = "Can't move task to different control group"
		return fail("write", dir+"/tasks", unix.EINVAL)
	} else if !ok {
		for other, o := range t.groups {
			if _, ok := monitored(other); !ok {
				o.tasks = slices.DeleteFunc(o.tasks, has(pid))
			}
		}
	}
	g.tasks = append(g.tasks, pid)
	return nil
}

func (t *Tree) share(file string, g *group, text string) error {
	if !strings.HasSuffix(text, "\n") {
		return fail("write", file, unix.EINVAL)
	}
	for line := range strings.Lines(text) {
		resource, list, _ := strings.Cut(strings.TrimSpace(line), ":")
		i := slices.IndexFunc(g.schemata, func(s string) bool { return strings.HasPrefix(s, resource+":") })
		if i < 0 {
			t.status = "Unknown or unsupported resource name '" + resource + "'"
			return fail("write", file, unix.EINVAL)
		}
		_, old, _ := strings.Cut(g.schemata[i], ":")
		values := parse(old)
		for id, value := range parse(list) {
			if values[id] == "" {
				t.status = "Invalid domain " + id
				return fail("write", file, unix.EINVAL)
			}
			if values[id] = value; resource == "MB" {
				n, err := strconv.Atoi(value)
				if err != nil {
					t.status = "Non-decimal digit in MB value " + value
					return fail("write", file, unix.EINVAL)
				}
				values[id] = strconv.Itoa((n + Step - 1) / Step * Step)
			}
		}
		g.schemata[i] = fmt.Sprintf("%s:0=%s;1=%s", resource, values["0"], values["1"])
	}
	return nil
}

func parse(list string) map[string]string {
	values := make(map[string]string)
	for item := range strings.SplitSeq(list, ";") {
		id, value, _ := strings.Cut(item, "=")
		values[id] = value
	}
	return values
}

func fail(op, name string, errno unix.Errno) error {
	return &fs.PathError{Op: op, Path: "/sys/fs/resctrl/" + name, Err: errno}
}
