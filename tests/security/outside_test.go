package security

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// outside is a directory of the host that nothing of a container may change: the canary.
type outside struct {
	t      testing.TB
	dir    string
	want   string
	linked bool // a file has another name in the rootfs, which may be removed
}

// newOutside makes a canary that has what a misled davit would look for.
func newOutside(t testing.TB, s *harness.Sandbox) *outside {
	t.Helper()
	o := &outside{t: t, dir: filepath.Join(s.Dir, "outside")}
	for _, d := range []string{"sub", "sys/fs/cgroup", "self/attr", "net", "pts", "shm", "etc", "below", "deep/er"} {
		if err := os.MkdirAll(filepath.Join(o.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"file", "self/attr/exec", "sys/kernel", "etc/passwd", "null-to-be"} {
		writeFile(t, filepath.Join(o.dir, f), "as it was")
	}
	o.want = o.list()
	return o
}

// list describes every file, its content, and when it was last changed in any way.
func (o *outside) list() string {
	o.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		text := ""
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		changed := st.Ctim
		if o.linked && d.Type().IsRegular() {
			changed = st.Mtim
		}
		fmt.Fprintf(&b, "%s dev=%d ino=%d %o %d:%d changed %d.%09d %q\n", path, st.Dev, st.Ino, st.Mode, st.Uid, st.Gid, changed.Sec, changed.Nsec, text)
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return b.String()
}

func (o *outside) unchanged(when string) {
	o.t.Helper()
	now := o.list()
	if now == o.want {
		return
	}
	for line := range strings.Lines(now) {
		if !strings.Contains(o.want, line) {
			o.t.Errorf("%s: outside of the rootfs there is now %s", when, line)
		}
	}
	for line := range strings.Lines(o.want) {
		if !strings.Contains(now, line) {
			o.t.Errorf("%s: outside of the rootfs there was %s", when, line)
		}
	}
}

// climb is more than any test's directory is deep.
const climb = "../../../../../../../../../../../../../../../.."

// links are the ways in which a link in the rootfs may point to a directory of the host.
func (o *outside) links() map[string]string {
	return map[string]string{
		"absolute": o.dir, "climbing": climb + o.dir, "to a missing file": o.dir + "/made/by/davit",
		"through proc": "/proc/1/root" + o.dir, "through a descriptor": "/proc/self/cwd/" + climb + o.dir,
	}
}

// replace puts a symbolic link in a path's place.
func replace(t testing.TB, s *harness.Sandbox, path, to string) {
	t.Helper()
	clear(t, s, path)
	if err := os.Symlink(to, s.Path(path)); err != nil {
		t.Fatal(err)
	}
}

// clear makes place for something at a path of the rootfs.
func clear(t testing.TB, s *harness.Sandbox, path string) {
	t.Helper()
	if err := os.RemoveAll(s.Path(path)); err != nil {
		t.Fatal(err)
	}
	mkdir(t, filepath.Dir(s.Path(path)))
}

func mkdir(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// hasReason fails the test where davit neither succeeded nor said why.
func hasReason(t testing.TB, what string, r *harness.Result) {
	t.Helper()
	if r.Code != 0 && !strings.Contains(r.Stderr(), "level=error") {
		t.Errorf("%s: exit code %d without a reason: %s", what, r.Code, r.Stderr())
	}
}

// everyLink runs a container for each kind of link in path's place. A refusal has to be an error of davit's; a success is fine as long as nothing outside changed.
func everyLink(t *testing.T, path string, mustFail bool, edits ...harness.Edit) {
	t.Helper()
	names := (&outside{dir: "/"}).links()
	for name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, edits...)
			o := newOutside(t, s)
			replace(t, s, path, o.links()[name])
			r := s.Run()
			if mustFail {
				r.Fails()
			}
			hasReason(t, path+" is a link", r)
			o.unchanged(path + " -> " + o.links()[name])
		})
	}
	t.Run("loop", func(t *testing.T) {
		t.Parallel()
		s := harness.New(t, edits...)
		replace(t, s, path, path)
		s.Run().Fails(path)
	})
}

// withoutDev leaves the image's own /dev in place.
func withoutDev() []harness.Edit {
	return []harness.Edit{harness.WithoutMount("/dev"), harness.WithoutMount("/dev/pts"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue")}
}

func makeNode(t testing.TB, path string, major, minor uint32) {
	t.Helper()
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor))); err != nil {
		t.Fatal(err)
	}
}
