package bundle

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newDir makes a bundle of testdata/base.json with edits.
func newDir(t testing.TB, edits string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configName), change(t, edits), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoad(t *testing.T) {
	dir := newDir(t, ``)
	b, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	if b.Dir != dir || b.Rootfs != filepath.Join(dir, "rootfs") || !bytes.Equal(b.Raw, raw) || b.Spec.Hostname != "box" {
		t.Errorf("got %+v", b)
	}
}

// Relative directories become absolute, links stay links.
func TestLoadRelative(t *testing.T) {
	dir := newDir(t, ``)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(link))
	b, err := Load("./link/../link/")
	if err != nil {
		t.Fatal(err)
	}
	if b.Dir != link || b.Rootfs != link+"/rootfs" {
		t.Errorf("got %s and %s, want %s", b.Dir, b.Rootfs, link)
	}
	t.Chdir(dir)
	if b, err = Load(""); err != nil || b.Dir != dir {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestLoadAbsoluteRootfs(t *testing.T) {
	other := t.TempDir()
	b, err := Load(newDir(t, `root.path = "`+other+`/./x/.."`))
	if err != nil || b.Rootfs != other {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestLoadMissing(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	if err == nil || err.Error() != "JSON specification file config.json not found" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	_, err = Load(filepath.Join(dir, "none"))
	if want := "open bundle " + dir + "/none: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = LoadFile(dir, dir+"/kept.json")
	if want := "JSON specification file " + dir + "/kept.json not found"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadRootfs(t *testing.T) {
	for _, tc := range []struct{ edit, reason string }{
		{`root.path = "none"`, "no such file or directory"},
		{`root.path = "config.json"`, "not a directory"},
	} {
		dir := newDir(t, tc.edit)
		_, err := Load(dir)
		found, _ := errors.AsType[*Error](err)
		if found == nil || found.Path != "root.path" || !strings.Contains(found.Reason, tc.reason) {
			t.Errorf("%s: got %v", tc.edit, err)
		}
		// The kept copy of a configuration outlives the root filesystem.
		b, err := LoadFile(dir, filepath.Join(dir, configName))
		if err != nil || !filepath.IsAbs(b.Rootfs) {
			t.Errorf("%s: LoadFile: %+v, %v", tc.edit, b, err)
		}
	}
}

func TestLoadFileElsewhere(t *testing.T) {
	kept := filepath.Join(newDir(t, `hostname = "kept"`), configName)
	dir := newDir(t, ``)
	b, err := LoadFile(dir, kept)
	if err != nil || b.Spec.Hostname != "kept" || b.Dir != dir || b.Rootfs != filepath.Join(dir, "rootfs") {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestLoadBroken(t *testing.T) {
	_, err := Load(newDir(t, `mounts[1].options[1] = 5`))
	if want := "mounts[1].options[1]: expected string, got number"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Load(newDir(t, `linux.maskedPaths = ["x"]`))
	if want := `linux.maskedPaths[0]: must be an absolute path, "x" is relative`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What stands in for the file must neither hang nor fill the memory.
func TestLoadNoFile(t *testing.T) {
	for _, tc := range []struct {
		name  string
		put   func(file string) error
		words string
	}{
		{"FIFO", func(file string) error { return unix.Mkfifo(file, 0o600) }, "not a regular file"},
		{"directory", func(file string) error { return os.Mkdir(file, 0o700) }, "not a regular file"},
		{"loop", func(file string) error { return os.Symlink(configName, file) }, "too many levels of symbolic links"},
		{"device", func(file string) error { return os.Symlink("/dev/zero", file) }, "not a regular file"},
		{"too large", func(file string) error { return truncated(file, maxConfigSize+1) }, "the limit is 16777216"},
		{"as large as allowed", func(file string) error { return truncated(file, maxConfigSize) }, "not valid JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := newDir(t, ``)
			file := filepath.Join(dir, configName)
			if err := errors.Join(os.Remove(file), tc.put(file)); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := Load(dir)
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), tc.words) {
					t.Errorf("got %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("Load hangs")
			}
		})
	}
}

func truncated(file string, size int64) error {
	return errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, size))
}

// A file may grow between fstat and read.
func TestReadAll(t *testing.T) {
	want := bytes.Repeat([]byte("x"), 1<<20)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, want, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readConfig(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	// Files of procfs say that their size is zero.
	if got, err = readConfig("/proc/self/status"); err != nil || len(got) < 500 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
