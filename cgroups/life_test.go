package cgroups

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func mustCreate(t *testing.T, m Manager) {
	t.Helper()
	if err := m.Create(); err != nil {
		t.Fatal(err)
	}
}

func TestLife(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	p := sleeper(t)
	if err := m.Attach(p.Process.Pid); err != nil {
		t.Fatal(err)
	}
	list, err := m.Pids(false)
	if err != nil || len(list) != 1 || list[0] != p.Process.Pid {
		t.Fatalf("Pids = %v, %v; want [%d]", list, err, p.Process.Pid)
	}
	again, err := Open(m.Paths(), &Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if list, err = again.Pids(true); err != nil || len(list) != 1 {
		t.Fatalf("Pids of the opened manager = %v, %v", list, err)
	}
	if err := again.Kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := again.Destroy(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range m.Paths() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
}

func TestCreateRefusesProcesses(t *testing.T) {
	m := newManager(t, Config{})
	mustCreate(t, m)
	if err := m.Attach(sleeper(t).Process.Pid); err != nil {
		t.Fatal(err)
	}
	second := newManager(t, Config{})
	err := second.Create()
	var busy *NotEmptyError
	if !errors.As(err, &busy) || err.Error() != "container's cgroup is not empty: 1 process(es) found" {
		t.Fatalf("Create = %v", err)
	}
	for _, dir := range m.Paths() {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("the refused Create removed %s", dir)
		}
	}
}
