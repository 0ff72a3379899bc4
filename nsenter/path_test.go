package nsenter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// tree is a rootfs with a directory outside of it, which nothing may touch.
type tree struct {
	t             *testing.T
	root, outside string
}

func newTree(t *testing.T) *tree {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{t, dir + "/root", dir + "/outside"}
	for _, d := range []string{tr.root, tr.outside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

func (tr *tree) link(name, to string) {
	tr.t.Helper()
	p := filepath.Join(tr.root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Symlink(to, p); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) file(name, content string) {
	tr.t.Helper()
	if err := os.WriteFile(filepath.Join(tr.root, name), []byte(content), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) untouched() {
	tr.t.Helper()
	if e, err := os.ReadDir(tr.outside); err != nil || len(e) != 0 {
		tr.t.Errorf("outside of the root: %v, %v", e, err)
	}
}

// run runs instructions on the tree and executes something harmless.
func (tr *tree) run(ops ...Op) *outcome {
	tr.t.Helper()
	return run(tr.t, program(append(append([]Op{Rootfs{Path: tr.root}}, ops...), exec("/bin/true"))...))
}

func TestMkdir(t *testing.T) {
	long := strings.Repeat("n", 255)
	for _, c := range []struct {
		name, path, made string
		setup            func(tr *tree)
		errno            unix.Errno
	}{
		{name: "nested", path: "/a/b/c", made: "a/b/c"},
		{name: "relative", path: "a/b", made: "a/b"},
		{name: "slashes and dots", path: "a//b/./c/", made: "a/b/c"},
		{name: "back and forth", path: "/a/../b", made: "b"},
		{name: "above the root", path: "/../../x", made: "x"},
		{name: "the root", path: "/", made: "."},
		{name: "nothing", path: "", errno: unix.ENOENT},
		{name: "there already", path: "/a", made: "a", setup: func(tr *tree) { os.Mkdir(tr.root+"/a", 0o700) }},
		{name: "absolute link", path: "/l/x", made: "t/u/x", setup: func(tr *tree) { tr.link("l", "/t/u") }},
		{name: "relative link upwards", path: "/d/l/x", made: "etc/x", setup: func(tr *tree) { tr.link("d/l", "../../../../etc") }},
		{name: "link that dangles at the end", path: "/l", made: "new/dir", setup: func(tr *tree) { tr.link("l", "new/dir") }},
		{name: "link with a slash", path: "/l", made: "new", setup: func(tr *tree) { tr.link("l", "new/") }},
		{name: "link to a link", path: "/l/x", made: "q/r/x", setup: func(tr *tree) { tr.link("l", "m/r"); tr.link("m", "/q") }},
		{name: "link and back", path: "/l/../x", made: "t/x", setup: func(tr *tree) { tr.link("l", "/t/u") }},
		{name: "link to the root", path: "/l/x", made: "x", setup: func(tr *tree) { tr.link("l", "/") }},
		{name: "loop", path: "/l/x", errno: unix.ELOOP, setup: func(tr *tree) { tr.link("l", "m"); tr.link("m", "l") }},
		{name: "link to itself through what is missing", path: "/l/x", errno: unix.ELOOP, setup: func(tr *tree) { tr.link("l", "new/../l") }},
		{name: "link to outside", path: "/l/x", setup: func(tr *tree) { tr.link("l", tr.outside) }},
		{name: "30 links", path: "/l0/x", made: "l30/x", setup: func(tr *tree) {
			for i := range 30 {
				tr.link(fmt.Sprint("l", i), fmt.Sprint("l", i+1))
			}
		}},
		{name: "41 links", path: "/l0/x", errno: unix.ELOOP, setup: func(tr *tree) {
			for i := range 41 {
				tr.link(fmt.Sprint("l", i), fmt.Sprint("l", i+1))
			}
		}},
		{name: "longest name", path: "/a/" + long, made: "a/" + long},
		{name: "name too long", path: "/a/" + long + "n", errno: unix.ENAMETOOLONG},
		{name: "path too long", path: strings.Repeat("/a", 2048), errno: unix.ENAMETOOLONG},
		{name: "path too long by links", path: "/l/" + long, errno: unix.ENAMETOOLONG,
			setup: func(tr *tree) { tr.link("l", "/"+strings.Repeat(long+"/", 15)) }},
		{name: "file at the end", path: "/f", errno: unix.ENOTDIR, setup: func(tr *tree) { tr.file("f", "") }},
		{name: "file in the way", path: "/f/x", errno: unix.ENOTDIR, setup: func(tr *tree) { tr.file("f", "") }},
		{name: "file behind a link", path: "/l/x", errno: unix.ENOTDIR, setup: func(tr *tree) { tr.file("f", ""); tr.link("l", "f") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTree(t)
			if c.setup != nil {
				c.setup(tr)
			}
			o := tr.run(Mkdir{Path: c.path, Mode: 0o755})
			if c.errno != 0 {
				o.failed(t, "mkdir", c.errno)
			} else {
				o.succeeded(t)
				made := c.made
				if made == "" {
					made = tr.outside + "/x"
				}
				if st, err := os.Lstat(filepath.Join(tr.root, made)); err != nil || !st.IsDir() {
					t.Errorf("it is not where it should be: %v", err)
				}
			}
			tr.untouched()
		})
	}
}

func TestMkdirModes(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	tr := newTree(t)
	os.Chmod(tr.root, 0o755)
	tr.run(Mkdir{Path: "/a/b/c", Mode: 0o2710}).succeeded(t)
	for name, want := range map[string]os.FileMode{"a": 0o755, "a/b": 0o755, "a/b/c": 0o710 | os.ModeSetgid} {
		if st, err := os.Stat(tr.root + "/" + name); err != nil || st.Mode().Perm() != want.Perm() {
			t.Errorf("%s: %v, %v; want %v", name, st.Mode(), err, want)
		}
	}
}

// TestMkdirRace has another process exchange a directory for a link to the outside, over and over (CVE-2021-30465, CVE-2024-45310).
func TestMkdirRace(t *testing.T) {
	tr := newTree(t)
	if err := os.Mkdir(tr.root+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	tr.link("evil", tr.outside)
	// In the root the link leads to a place of the same name.
	if err := os.MkdirAll(tr.root+tr.outside, 0o755); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, tr.root+"/d", unix.AT_FDCWD, tr.root+"/evil", unix.RENAME_EXCHANGE)
			}
		}
	})
	for round := range 20 {
		ops := make([]Op, 0, 60)
		for i := range cap(ops) {
			ops = append(ops, Mkdir{Path: fmt.Sprintf("/d/%d/%d/x", round, i), Mode: 0o755})
		}
		// It may fail: what it may not is to leave the root.
		_ = tr.run(ops...)
	}
	close(stop)
	wg.Wait()
	tr.untouched()
}

func TestSymlink(t *testing.T) {
	tr := newTree(t)
	tr.link("l", tr.outside+"/x")
	tr.link("dir", "/real")
	tr.file("f", "stays")
	os.Mkdir(tr.root+"/d", 0o755)
	tr.run(Symlink{Path: "/new/dir/name", To: "../to"}, Symlink{Path: "/dir/name", To: "to"},
		Symlink{Path: "/f", To: "to"}, Symlink{Path: "/l", To: "replaced", Replace: 1}).succeeded(t)
	for name, want := range map[string]string{"new/dir/name": "../to", "real/name": "to", "l": "replaced"} {
		if to, err := os.Readlink(tr.root + "/" + name); err != nil || to != want {
			t.Errorf("%s points to %q (%v), want %q", name, to, err, want)
		}
	}
	if b, _ := os.ReadFile(tr.root + "/f"); string(b) != "stays" {
		t.Error("a file that was there was replaced")
	}
	tr.run(Symlink{Path: "/d", To: "x", Replace: 1}).failed(t, "unlink", unix.EISDIR)
	for _, path := range []string{"", "/", ".", "/a/..", "/.."} {
		tr.run(Symlink{Path: path, To: "x"}).failed(t, "open the directory", unix.EINVAL)
	}
	tr.untouched()
}

func TestSendFile(t *testing.T) {
	tr := newTree(t)
	tr.file("file", "content")
	tr.link("link", "/file")
	tr.link("out", tr.outside)
	os.Mkdir(tr.root+"/dir", 0o755)
	if err := unix.Mkfifo(tr.root+"/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(tr.root)+"/secret", []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	tr.link("secret", filepath.Dir(tr.root)+"/secret")
	for path, want := range map[string]any{"/file": "content", "link": "content", "/missing": unix.ENOENT, "/dir": unix.EINVAL,
		"/fifo": unix.EINVAL, "/secret": unix.ENOENT, "/file/x": unix.ENOTDIR} {
		o := tr.run(SendFile{Path: path, Kind: uint64(FilePasswd)}).succeeded(t)
		if len(o.reports) != 1 {
			t.Fatalf("%s: reports %v", path, o.reports)
		}
		f := o.reports[0].(File)
		if errno, ok := want.(unix.Errno); ok {
			if !errors.Is(f.Err, errno) || f.Fd != -1 {
				t.Errorf("%s: fd %d, error %v; want %v", path, f.Fd, f.Err, errno)
			}
			continue
		}
		if f.Err != nil || f.Kind != FilePasswd {
			t.Fatalf("%s: %v", path, f)
		}
		file := os.NewFile(uintptr(f.Fd), path)
		b, err := io.ReadAll(file)
		file.Close()
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
}
