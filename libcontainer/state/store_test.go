package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestValidateID(t *testing.T) {
	for _, id := range []string{"a", "A-b_c+d.e", "0", "...", ".a", "-", "+", strings.Repeat("x", 255)} {
		if err := ValidateID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "../x", "/", "a b", "a\n", "a\x00", "é", "a@b", "a:b", "*", "~", strings.Repeat("x", 256)} {
		if err := ValidateID(id); !errors.Is(err, ErrInvalidID) || !strings.HasPrefix(err.Error(), "invalid container ID format: ") {
			t.Errorf("%q: %v", id, err)
		}
	}
	// An ID that is an attack on a log stays one short line.
	err := ValidateID(strings.Repeat("x\n", 100000))
	if msg := err.Error(); strings.Contains(msg, "\n") || len(msg) > 1000 {
		t.Errorf("message of %d bytes", len(msg))
	}
}

func TestOpenRefuses(t *testing.T) {
	for root, want := range map[string]string{
		"/":     "Option --root argument should not be set to /",
		"//":    "Option --root argument should not be set to /",
		"/x/..": "Option --root argument should not be set to /",
		"":      "state root: the --root argument is empty",
	} {
		if _, err := Open(root); err == nil || err.Error() != want {
			t.Errorf("root %q: %v", root, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file as root: %v", err)
	}
}

func TestOpenRelative(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s, err := Open("x/../y")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if want := filepath.Join(dir, "y"); s.Root() != want {
		t.Errorf("root %s, want %s", s.Root(), want)
	}
}

// TestRootOnDemand: only a new container makes the root.
func TestRootOnDemand(t *testing.T) {
	s := store(t)
	if ids, err := s.List(); err != nil || len(ids) != 0 {
		t.Errorf("List: %v, %v", ids, err)
	}
	if _, err := s.Get("c"); !errors.Is(err, ErrNotExist) {
		t.Errorf("Get: %v", err)
	}
	if _, err := os.Stat(s.Root()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading made the root: %v", err)
	}
	d := create(t, s, "c")
	for _, dir := range []string{filepath.Dir(s.Root()), s.Root(), d.Path()} {
		if st, err := os.Stat(dir); err != nil || st.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", dir, st.Mode(), err)
		}
	}
	if d.Owner() != os.Geteuid() || d.ID() != "c" || d.Path() != s.Root()+"/c" {
		t.Errorf("owner %d, id %s, path %s", d.Owner(), d.ID(), d.Path())
	}
}

func TestCreateGetList(t *testing.T) {
	s := store(t)
	if _, err := s.Create("../x"); !errors.Is(err, ErrInvalidID) {
		t.Errorf("Create of a bad id: %v", err)
	}
	if _, err := s.Get("a/b"); !errors.Is(err, ErrInvalidID) {
		t.Errorf("Get of a bad id: %v", err)
	}
	for _, id := range []string{"b", "a", "a.1", "Z"} {
		create(t, s, id)
	}
	_, err := s.Create("a")
	if !errors.Is(err, ErrExist) || !strings.HasPrefix(err.Error(), `container with given ID already exists: "a"`) {
		t.Errorf("Create of a taken id: %v", err)
	}
	_, err = s.Get("c")
	if !errors.Is(err, ErrNotExist) || !strings.HasPrefix(err.Error(), `container does not exist: "c"`) {
		t.Errorf("Get of an unknown id: %v", err)
	}
	// What is not a container is no container: a file, a link, a foreign name.
	if err := os.WriteFile(s.Root()+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", s.Root()+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Root()+"/@cache", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"file", "link"} {
		if _, err := s.Get(id); !errors.Is(err, ErrNotExist) {
			t.Errorf("Get(%s): %v", id, err)
		}
		if _, err := s.Create(id); !errors.Is(err, ErrExist) {
			t.Errorf("Create(%s): %v", id, err)
		}
	}
	ids, err := s.List()
	if want := []string{"Z", "a", "a.1", "b"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("List: %q, %v", ids, err)
	}
}

func TestUnsafe(t *testing.T) {
	dir := func(mode uint32, uid int) string {
		t.Helper()
		path := t.TempDir()
		if err := unix.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if uid >= 0 {
			if err := os.Chown(path, uid, -1); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	for _, mode := range []uint32{0o777, 0o770, 0o702, 0o720} {
		_, err := Open(dir(mode, -1))
		var ue *UnsafeError
		if !errors.As(err, &ue) || !strings.Contains(ue.Why, "chmod go-w") {
			t.Errorf("root with mode %o: %v", mode, err)
		}
	}
	for _, mode := range []uint32{0o700, 0o755, 0o711, 0o1700, 0o1777} {
		s, err := Open(dir(mode, -1))
		if err != nil {
			t.Errorf("root with mode %o: %v", mode, err)
			continue
		}
		s.Close()
	}

	// In a sticky root, a container is checked like a root that is not.
	s, err := Open(dir(0o1777, -1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var ue *UnsafeError
	open := create(t, s, "open")
	if err := os.Chmod(open.Path(), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("open"); !errors.As(err, &ue) {
		t.Errorf("a container that others can write to: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to make directories of other users")
	}
	if _, err := Open(dir(0o700, 12345)); !errors.As(err, &ue) || !strings.Contains(ue.Why, "uid 12345") {
		t.Errorf("another user's root: %v", err)
	}
	if _, err := Open(dir(0o1777, 12345)); !errors.As(err, &ue) {
		t.Errorf("another user's sticky root: %v", err)
	}
	planted := create(t, s, "planted")
	if err := os.Chown(planted.Path(), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("planted"); !errors.As(err, &ue) || !strings.Contains(ue.Why, "uid 12345") {
		t.Errorf("a container that another user planted: %v", err)
	}
}

// TestOneWins: of many that create the same container, one does.
func TestOneWins(t *testing.T) {
	s := store(t)
	create(t, s, "first") // makes the root
	results := make(chan error)
	for range 20 {
		go func() {
			d, err := s.Create("c")
			if err == nil {
				err = d.Close()
			}
			results <- err
		}()
	}
	won := 0
	for range 20 {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, ErrExist) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of 20 created the container", won)
	}
}
