package security

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// racer is a configuration, and what somebody who shares the rootfs exchanges while a container is made from it.
type racer struct {
	name string
	// swap lists directories of the rootfs, each exchanged with a link that points outside.
	swap  []string
	edits []harness.Edit
	// mounts lists sources of mounts that a container which could be made has to have in view:
	// one that is elsewhere is outside of its root.
	mounts []string
}

// raceRounds is how many containers are made of each racer; there are eleven of them.
const raceRounds = 60

func tmpfs(at, source string) harness.Edit {
	return harness.Mount(specs.Mount{Destination: at, Type: "tmpfs", Source: source})
}

// copyUp mounts a tmpfs that begins with what the image has there.
func copyUp(at, source string) harness.Edit {
	return harness.Mount(specs.Mount{Destination: at, Type: "tmpfs", Source: source, Options: []string{"tmpcopyup", "size=1m"}})
}

func bind(at, source string) harness.Edit {
	return harness.Mount(specs.Mount{Destination: at, Source: source, Options: []string{"bind"}})
}

// Somebody who shares a volume exchanges a directory and a link while davit mounts what is below.
func TestCVE_2021_30465(t *testing.T) {
	race(t, &racer{swap: []string{"/volume/dir"}, mounts: []string{"racer1", "racer2", "racer3"},
		edits: []harness.Edit{tmpfs("/volume/dir/made/deep", "racer1"), tmpfs("/volume/dir", "racer2"), tmpfs("/volume/dir/below", "racer3"), bind("/volume/dir/sub", "/proc/self/fdinfo")}})
}

// The same while davit makes the directories and files that mounts and nodes go on.
func TestCVE_2024_45310(t *testing.T) {
	race(t, &racer{swap: []string{"/nodes", "/files", "/job"}, mounts: []string{"racer"},
		edits: []harness.Edit{node("/nodes/below/a/b"), bind("/files/below/c/d", "/proc/version"), tmpfs("/job/below/e", "racer"),
			func(c *specs.Spec) { c.Process.Cwd = "/job/below/f/g" }}})
}

// Everything else that davit touches below a rootfs, exchanged while it does.
func TestRacingSwappers(t *testing.T) {
	for _, r := range []racer{
		{name: "devices in the image's /dev", swap: []string{"/dev", "/dev/below"}, edits: append(withoutDev(), node("/dev/below/x"))},
		{name: "proc and sys", swap: []string{"/proc", "/sys"}},
		{name: "masked and read-only paths", swap: []string{"/hidden", "/fixed"}, edits: []harness.Edit{func(c *specs.Spec) {
			c.Linux.MaskedPaths = append(c.Linux.MaskedPaths, "/hidden/sub", "/hidden/file", "/hidden")
			c.Linux.ReadonlyPaths = append(c.Linux.ReadonlyPaths, "/fixed/sub", "/fixed/file", "/fixed")
		}}},
		{name: "working directory and passwd", swap: []string{"/job", "/etc"}, edits: []harness.Edit{func(c *specs.Spec) { c.Process.Cwd = "/job/sub" }}},
		{name: "cgroups", swap: []string{"/sys", "/sys/fs"}, edits: []harness.Edit{harness.WithoutMount("/sys")}},
		{name: "parents of parents", swap: []string{"/a/b", "/a/b/c"}, mounts: []string{"racer1", "racer2"},
			edits: []harness.Edit{tmpfs("/a/b/c/../../b/c/m", "racer1"), tmpfs("/a/b/../b/c/../n", "racer2")}},
		{name: "terminal", swap: []string{"/dev", "/dev/pts"}, edits: []harness.Edit{terminal, harness.WithoutMount("/dev"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue")}},
		{name: "tmpcopyup", swap: []string{"/m/dir", "/m/dir/sub", "/m"}, mounts: []string{"racer"}, edits: []harness.Edit{copyUp("/m", "racer")}},
		{name: "bound devices", swap: []string{"/dev", "/dev/below"}, edits: append(withoutDev(), harness.UserNamespace(0, 1000))},
	} {
		t.Run(r.name, func(t *testing.T) { race(t, &r) })
	}
}

func race(t *testing.T, r *racer) {
	t.Helper()
	s := harness.New(t, r.edits...)
	s.Edit(harness.Args("/bin/sleep", "1000"))
	o := newOutside(t, s)
	var flags []string
	if s.Spec.Process.Terminal {
		socket := filepath.Join(s.Dir, "c")
		harness.ConsoleSocket(t, socket)
		flags = []string{"--console-socket", socket}
	}
	exchanges := swappers(t, s, o, r.swap)
	made := 0
	for round := range raceRounds {
		if r.round(t, s, o, flags) {
			made++
		}
		if o.unchanged(fmt.Sprintf("round %d", round)); t.Failed() {
			return
		}
	}
	t.Logf("%d exchanges in %d rounds; %d containers could be made", exchanges.Load(), raceRounds, made)
	if exchanges.Load() < raceRounds {
		t.Errorf("there were only %d exchanges: nobody raced", exchanges.Load())
	}
}

// round makes a container, looks where its mounts are, and deletes it.
func (r *racer) round(t *testing.T, s *harness.Sandbox, o *outside, flags []string) (made bool) {
	t.Helper()
	c := s.Create(append(flags, "--pid-file", filepath.Join(s.Dir, "pid"))...)
	if c.Code > 1 { // a hang ends by SIGKILL
		t.Fatalf("create ended with %d: %s", c.Code, c.Stderr())
	}
	hasReason(t, "create", c)
	if c.Code == 0 {
		proc := "/proc/" + readFile(t, filepath.Join(s.Dir, "pid"))
		table := readFile(t, proc+"/mountinfo")
		for _, m := range r.mounts {
			if !strings.Contains(table, " "+m+" ") {
				t.Errorf("the mount %s is not in the container, so it is outside of it:\n%s", m, table)
			}
		}
		inside(t, s, o, table, proc+"/cwd")
	}
	if d := s.Davit("delete", "--force", s.ID); d.Code != 0 {
		t.Errorf("delete: %s", d.Stderr())
	}
	if host := readFile(t, "/proc/self/mountinfo"); strings.Contains(host, s.Dir) {
		t.Errorf("there is a mount on the host:\n%s", host)
	}
	return c.Code == 0
}

// inside looks whether a container has something of the host's directory: as a mount, or as its working directory.
// Links are resolved below the rootfs, where the same path may well come to exist.
func inside(t *testing.T, s *harness.Sandbox, o *outside, table, cwd string) {
	t.Helper()
	for line := range strings.Lines(table) {
		if root := strings.Fields(line)[3]; strings.HasPrefix(root, s.Dir) && !strings.HasPrefix(root, s.Rootfs) { // proc_pid_mountinfo(5): what of its filesystem is mounted
			t.Errorf("a mount is of the host's directory: %s", line)
		}
	}
	noCopies(t, s, table, filepath.Dir(cwd)+"/root")
	var st unix.Stat_t
	if err := unix.Stat(cwd, &st); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(o.want, fmt.Sprintf(" dev=%d ino=%d ", st.Dev, st.Ino)) {
		t.Errorf("the working directory is %d:%d on the host", st.Dev, st.Ino)
	}
}

// noCopies looks for what the host's files say in the tmpfs that an image's directory is copied to.
func noCopies(t *testing.T, s *harness.Sandbox, table, root string) {
	t.Helper()
	for _, m := range s.Spec.Mounts {
		if !slices.Contains(m.Options, "tmpcopyup") {
			continue
		}
		dir := openMount(t, root, table, m.Source)
		if dir == nil {
			continue // exchanged since the table was read
		}
		must(t, filepath.WalkDir(fmt.Sprintf("/proc/self/fd/%d/", dir.Fd()), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && readFile(t, path) == "as it was" {
				t.Errorf("a file of the host is copied to %s", path)
			}
			return err
		}))
		dir.Close()
	}
}

// openMount opens the root directory of a container's mount, by its source; nil if it isn't where the table says any more.
func openMount(t *testing.T, root, table, source string) *os.File {
	t.Helper()
	at, err := os.Open(root)
	must(t, err)
	defer at.Close()
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); strings.Contains(line, " - tmpfs "+source+" ") {
			fd, err := unix.Openat2(int(at.Fd()), f[4], &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS})
			if err == nil {
				return os.NewFile(uintptr(fd), f[4])
			}
		}
	}
	return nil
}

// swappers exchange each directory with a link out of the rootfs until the test ends.
func swappers(t *testing.T, s *harness.Sandbox, o *outside, dirs []string) *atomic.Int64 {
	t.Helper()
	entries := make([]entry, len(dirs))
	for i, dir := range dirs {
		entries[i] = swapped(t, s, o, dir)
	}
	return exchange(t, entries)
}

// entry is a name in a directory, held by descriptor: what is above may be exchanged as well.
type entry struct {
	parent *os.File
	name   string
}

// exchange swaps each entry with NAME-other until the test ends, each in a tight loop on a thread of its own.
func exchange(t *testing.T, entries []entry) *atomic.Int64 {
	t.Helper()
	var exchanges atomic.Int64
	var swapping sync.WaitGroup
	stop := make(chan struct{})
	for _, e := range entries {
		swapping.Add(1)
		go func() {
			defer swapping.Done()
			defer e.parent.Close()
			runtime.LockOSThread() // and the thread ends with the goroutine
			for fd := int(e.parent.Fd()); ; {
				select {
				case <-stop:
					return
				default:
					if unix.Renameat2(fd, e.name, fd, e.name+"-other", unix.RENAME_EXCHANGE) == nil {
						exchanges.Add(1)
					}
				}
			}
		}()
	}
	t.Cleanup(func() { close(stop); swapping.Wait() })
	return &exchanges
}

// swapped makes a directory of the rootfs and, beside it, the link that it is exchanged with.
func swapped(t *testing.T, s *harness.Sandbox, o *outside, dir string) entry {
	t.Helper()
	at := s.Path(dir)
	for _, sub := range []string{"sub", "below", "c"} {
		mkdir(t, filepath.Join(at, sub))
	}
	writeFile(t, filepath.Join(at, "file"), "inside")
	if err := os.Symlink(climb+o.dir, at+"-other"); err != nil {
		t.Fatal(err)
	}
	parent, err := os.Open(filepath.Dir(at))
	if err != nil {
		t.Fatal(err)
	}
	return entry{parent, filepath.Base(at)}
}
