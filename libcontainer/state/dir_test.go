package state

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestConfigByteExact(t *testing.T) {
	d := create(t, store(t), "c")
	if _, err := d.LoadConfig(); !errors.Is(err, ErrNotExist) || !strings.Contains(err.Error(), "delete --force") {
		t.Errorf("LoadConfig of a half-made container: %v", err)
	}
	for _, raw := range [][]byte{{}, []byte("{\t\"a\": 1 }\r\n\x00\xff"), bytes.Repeat([]byte("x"), 3<<20)} {
		if err := d.SaveConfig(raw); err != nil {
			t.Fatal(err)
		}
		got, err := d.LoadConfig()
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%d bytes came back as %d, %v", len(raw), len(got), err)
		}
	}
	st, err := os.Stat(d.Path() + "/config.json")
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	names, _ := os.ReadDir(d.Path())
	if len(names) != 1 {
		t.Errorf("files left: %v", names)
	}
}

// TestFileKinds: a file that is not one is an error, not a hang or a detour.
func TestFileKinds(t *testing.T) {
	d := create(t, store(t), "c")
	path := d.Path() + "/" + configName
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func() error{
		"fifo":      func() error { return unix.Mkfifo(path, 0o600) },
		"directory": func() error { return os.Mkdir(path, 0o700) },
		"symlink":   func() error { return os.Symlink(secret, path) },
		"huge file": func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, maxFile+1)) },
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if b, err := d.LoadConfig(); err == nil {
			t.Errorf("%s: read %q", name, b)
		}
		os.Remove(path)
	}
	if err := os.Symlink(secret, path+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveConfig([]byte("x")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("write through a symlink: %v", err)
	}
	if b, _ := os.ReadFile(secret); string(b) != "s" {
		t.Errorf("the link's target now holds %q", b)
	}
}

func TestFifo(t *testing.T) {
	d := create(t, store(t), "c")
	if d.HasFifo() {
		t.Error("a FIFO from the start")
	}
	if f, err := d.OpenFifoPath(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("OpenFifoPath without one: %v, %v", f, err)
	}
	if err := d.RemoveFifo(); err != nil {
		t.Errorf("RemoveFifo without one: %v", err)
	}

	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 12345, 54321
	}
	old := unix.Umask(0o077)
	err := d.MakeFifo(uid, gid)
	unix.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(d.Path()+"/exec.fifo", &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode != unix.S_IFIFO|0o622 || int(st.Uid) != uid || int(st.Gid) != gid {
		t.Errorf("mode %o of %d:%d", st.Mode, st.Uid, st.Gid)
	}
	if !d.HasFifo() {
		t.Error("HasFifo does not see it")
	}
	if err := d.MakeFifo(uid, gid); !errors.Is(err, unix.EEXIST) || !d.HasFifo() {
		t.Errorf("a second MakeFifo: %v, the first is there: %v", err, d.HasFifo())
	}

	f, err := d.OpenFifoPath()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_PATH == 0 {
		t.Errorf("flags %x, %v", flags, err)
	}
	if f.Name() != d.Path()+"/exec.fifo" {
		t.Errorf("name %s", f.Name())
	}
	if err := d.RemoveFifo(); err != nil || d.HasFifo() {
		t.Errorf("RemoveFifo: %v, still there: %v", err, d.HasFifo())
	}
	if err := os.WriteFile(d.Path()+"/exec.fifo", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d.HasFifo() {
		t.Error("a regular file passes for the FIFO")
	}
	if f, err := d.OpenFifoPath(); err == nil {
		t.Errorf("opened a regular file: %v", f)
	}
}

// TestFifoChownFails: the FIFO does not stay when it cannot be given away.
func TestFifoChownFails(t *testing.T) {
	d := create(t, store(t), "c")
	if os.Geteuid() == 0 {
		t.Skip("root may give files to everybody: run it as another user too")
	}
	if err := d.MakeFifo(12345, 0); err == nil {
		t.Fatal("chown succeeded")
	}
	if d.HasFifo() {
		t.Error("the FIFO was left")
	}
}

func TestExecPath(t *testing.T) {
	d := create(t, store(t), "c")
	if p, err := d.ExecPath("probe-1"); err != nil || p != d.Path()+"/exec/probe-1" {
		t.Errorf("%s, %v", p, err)
	}
	if p, err := d.ExecPath("../../other"); !errors.Is(err, ErrInvalidID) {
		t.Errorf("%s, %v", p, err)
	}
}

func TestLock(t *testing.T) {
	s := store(t)
	a := create(t, s, "c")
	b := get(t, s, "c")
	if err := a.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.TryLock(); !errors.Is(err, ErrLocked) {
		t.Fatalf("TryLock of a locked container: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := b.Lock(ctx); !errors.Is(err, ErrLocked) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Lock with a deadline: %v", err)
	}
	// Both ways of waiting get it once it is free.
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		got := make(chan error)
		go func() { got <- b.Lock(ctx) }()
		select {
		case err := <-got:
			t.Fatalf("Lock of a locked container: %v", err)
		case <-time.After(30 * time.Millisecond):
		}
		if err := a.Unlock(); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if err := b.Unlock(); err != nil {
			t.Fatal(err)
		}
		if err := a.Lock(ctx); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	if err := b.TryLock(); err != nil {
		t.Errorf("TryLock after Close: %v", err)
	}
}

// TestLockOfTheDead: a killed process holds nothing back.
func TestLockOfTheDead(t *testing.T) {
	s := store(t)
	d := create(t, s, "c")
	cmd := command("lock", s.Root(), nil)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := d.TryLock(); !errors.Is(err, ErrLocked) {
		t.Fatalf("TryLock: %v", err)
	}
	cmd.Process.Kill()
	if err := d.Lock(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestLockOfRemoved: who waited for a container that is removed meanwhile must
// not go on with it, nor with its successor.
func TestLockOfRemoved(t *testing.T) {
	s := store(t)
	a := create(t, s, "c")
	b := get(t, s, "c")
	if err := a.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() { got <- b.Lock(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	if err := a.Remove(); err != nil {
		t.Fatal(err)
	}
	next := create(t, s, "c")
	a.Close()
	if err := <-got; !errors.Is(err, ErrNotExist) {
		t.Errorf("Lock of a removed container: %v", err)
	}
	if err := b.SaveConfig(nil); !errors.Is(err, ErrNotExist) {
		t.Errorf("write to a removed container: %v", err)
	}
	if err := b.Remove(); err != nil {
		t.Errorf("Remove of a removed container: %v", err)
	}
	if err := next.TryLock(); err != nil {
		t.Errorf("the container that came after: %v", err)
	}
	if ids, _ := s.List(); len(ids) != 1 {
		t.Errorf("containers: %v", ids)
	}
}
