package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Some tests need a second process or a mount namespace. It is this test binary
// again, told by an environment variable which part to play in which store.
const (
	roleEnv = "STATE_TEST_ROLE"
	rootEnv = "STATE_TEST_ROOT"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role, os.Getenv(rootEnv)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func play(role, root string) error {
	s, err := Open(root)
	if err != nil {
		return err
	}
	d, err := s.Get("c")
	if err != nil {
		return err
	}
	switch role {
	case "lock":
		if err := d.Lock(context.Background()); err != nil {
			return err
		}
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadByte() // until killed
		return nil
	case "mount":
		return playMount(d)
	}
	return errors.New("unknown role " + role)
}

func playMount(d *Dir) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	outside, err := os.MkdirTemp("", "outside")
	if err != nil {
		return err
	}
	defer os.RemoveAll(outside)
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		return err
	}
	inside := filepath.Join(d.Path(), "exec", "p")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		return err
	}
	// A bind mount of the same filesystem: the device number does not tell.
	if err := unix.Mount(outside, inside, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	err = d.Remove()
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), inside+": it is a mount point") {
		return fmt.Errorf("Remove with a mount inside: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		return fmt.Errorf("Remove went into the mount: %v", err)
	}
	if _, err := os.Stat(filepath.Join(d.Path(), recordName)); err != nil {
		return fmt.Errorf("the record went before the rest could: %v", err)
	}
	if err := unix.Unmount(inside, 0); err != nil {
		return err
	}
	return d.Remove()
}

// command prepares this binary in a role on the container "c" of a store.
func command(role, root string, attr *syscall.SysProcAttr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role, rootEnv+"="+root)
	cmd.SysProcAttr = attr
	return cmd
}

// store opens a store in a new directory that does not exist yet.
func store(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "a", "root"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func create(t *testing.T, s *Store, id string) *Dir {
	t.Helper()
	d, err := s.Create(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func get(t *testing.T, s *Store, id string) *Dir {
	t.Helper()
	d, err := s.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
