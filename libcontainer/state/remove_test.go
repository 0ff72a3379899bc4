package state

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRemove(t *testing.T) {
	s := store(t)
	d := create(t, s, "c")
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	for _, err := range []error{
		os.WriteFile(precious, nil, 0o600),
		d.SaveConfig([]byte("{}")),
		d.Save(record("c")),
		d.MakeFifo(os.Getuid(), os.Getgid()),
		os.WriteFile(d.Path()+"/state.json.tmp", []byte("half"), 0o600),
		os.MkdirAll(d.Path()+"/exec/p/notify", 0o700),
		os.WriteFile(d.Path()+"/exec/p/state.json", nil, 0o600),
		os.Symlink(outside, d.Path()+"/link"),
		os.Symlink(outside, d.Path()+"/exec/p/link"),
		os.Symlink("/nowhere", d.Path()+"/dangling"),
		os.WriteFile(d.Path()+"/read-only", nil, 0o400),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		if err := os.WriteFile(fmt.Sprintf("%s/exec/%d", d.Path(), i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(d.Path()); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
	if err := d.Remove(); err != nil {
		t.Errorf("a second Remove: %v", err)
	}
}

func TestRemoveHalfMade(t *testing.T) {
	d := create(t, store(t), "c")
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(d.Path()); !os.IsNotExist(err) {
		t.Errorf("the directory is there: %v", err)
	}
}

// TestRemoveTooDeep: what cannot be removed is an error, and keeps the record.
func TestRemoveTooDeep(t *testing.T) {
	s := store(t)
	d := create(t, s, "c")
	if err := d.Save(record("c")); err != nil {
		t.Fatal(err)
	}
	deep := d.Path() + strings.Repeat("/x", 200)
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.Path()+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := d.Remove()
	if err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("Remove: %v", err)
	}
	if _, err := d.Load(); err != nil {
		t.Errorf("the record: %v", err)
	}
	if _, err := os.Stat(d.Path() + "/file"); !os.IsNotExist(err) {
		t.Errorf("what can be removed was not: %v", err)
	}
}

// TestRemoveWhileWritten: files that appear meanwhile do not stop it.
func TestRemoveWhileWritten(t *testing.T) {
	d := create(t, store(t), "c")
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				os.WriteFile(fmt.Sprintf("%s/%d", d.Path(), i%50), nil, 0o600)
			}
		}
	}()
	err := d.Remove()
	close(stop)
	<-stopped
	if err == nil {
		if _, serr := os.Lstat(d.Path()); !os.IsNotExist(serr) {
			t.Errorf("Remove returned nil, the directory is there: %v", serr)
		}
	} else if !strings.Contains(err.Error(), "keeps putting files") {
		t.Error(err)
	}
}

func TestRemoveStopsAtMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	s := store(t)
	if err := create(t, s, "c").Save(record("c")); err != nil {
		t.Fatal(err)
	}
	cmd := command("mount", s.Root(), &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS})
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if ids, err := s.List(); err != nil || len(ids) != 0 {
		t.Errorf("left: %v, %v", ids, err)
	}
}
