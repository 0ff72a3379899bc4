package libcontainer

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		path, dir, rest string
		ok              bool
	}{
		{"/a/b", "/a", "/b", true}, {"/a", "/a", "", true}, {"/ab", "/a", "b", false}, {"/a", "/a/b", "/a", false}, {"/a", "/", "/a", true},
	} {
		rest, ok := below(c.path, c.dir)
		if ok != c.ok || ok && rest != c.rest {
			t.Errorf("%s below %s: %q, %v", c.path, c.dir, rest, ok)
		}
	}
}

func TestCovering(t *testing.T) {
	points := []mountPoint{{at: "/", name: "root"}, {at: "/a", name: "outer"}, {at: "/a/b", name: "inner"}, {at: "/a", name: "again"}}
	for at, want := range map[string]string{"/x": "root", "/a": "again", "/a/c": "again", "/a/b/c": "inner", "/ab": "root"} {
		if got := covering(points, at); got == nil || got.name != want {
			t.Errorf("%s: %v, want %s", at, got, want)
		}
	}
	if got := covering(points[1:], "/x"); got != nil {
		t.Errorf("/x is covered by %v", got)
	}
}

// Links in a rootfs never lead out of it, and only what is missing is made.
func TestMountPointsInHostileRoot(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	link := func(to, at string) {
		if err := os.Symlink(to, filepath.Join(root, at)); err != nil {
			t.Fatal(err)
		}
	}
	link(outside, "out")
	link("../../../../../.."+outside, "up")
	link("/real", "in")
	link("/nowhere", "dangling")
	if err := os.Mkdir(filepath.Join(root, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	tree, err := openRootTree(root)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.close()
	for _, c := range []struct {
		path      string
		directory bool
		there     string // below the root; "" is an error
		mode      uint32
	}{
		{"/new/dir", true, "new/dir", unix.S_IFDIR}, {"/new/dir", true, "new/dir", unix.S_IFDIR}, {"/new/file", false, "new/file", unix.S_IFREG},
		{"/in/x", true, "real/x", unix.S_IFDIR}, {"../../esc", true, "esc", unix.S_IFDIR},
		{"/out/x", true, "", 0}, {"/up/x", false, "", 0}, {"/dangling", true, "", 0}, {"/new/file/x", true, "", 0},
	} {
		err := tree.make(c.path, c.directory)
		if (err == nil) != (c.there != "") {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		var st unix.Stat_t
		if c.there != "" && (unix.Lstat(filepath.Join(root, c.there), &st) != nil || st.Mode&unix.S_IFMT != c.mode) {
			t.Errorf("%s didn't become %s of type %o", c.path, c.there, c.mode)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside of the root there is %v", left)
	}
}
