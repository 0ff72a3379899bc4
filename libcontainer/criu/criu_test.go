package criu

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// worker is a real CRIU.
func worker(t *testing.T, extra ...uintptr) *Worker {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, as CRIU does")
	}
	path, err := Find()
	if err != nil {
		t.Skip(err)
	}
	w, err := Start(path, extra)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestRealVersion(t *testing.T) {
	w := worker(t)
	resp, err := w.Do(&Request{Type: Version, KeepOpen: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Major < 3 || resp.Major > 20 || resp.Minor < 0 || resp.Minor > 100 {
		t.Errorf("CRIU says that it is %d.%d.%d", resp.Major, resp.Minor, resp.Sublevel)
	}
	if err := w.CheckVersion(); err != nil { // a second request on the same connection
		t.Error(err)
	}
}

// What CRIU makes of a dump's options is in its log: it has opened the directories and understood the request.
func TestRealRefusal(t *testing.T) {
	w := worker(t)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	const nobody = 1 << 22 // PID_MAX_LIMIT, which no process has
	req := &Request{Type: Dump, Options: &Options{ImagesDirFD: int32(dir.Fd()), PID: nobody, LogLevel: 4, LogFile: "it.log", Root: "/",
		External: []string{"net[4026531840]:x"}, ExtMounts: []Pair{{"/a", "/b"}}, ManageCgroups: true, CgroupMode: CgroupSoft, ShellJob: true}}
	_, err = w.Do(req, func(*Notification) error { return nil })
	var refused *Error
	if !errors.As(err, &refused) || refused.Type != Dump {
		t.Fatalf("a dump of no process: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(dir.Name(), "it.log"))
	if err != nil {
		t.Fatal(err)
	}
	if len(LastErrors(int(dir.Fd()), "it.log", 3)) == 0 {
		t.Errorf("no error in the log:\n%s", log)
	}
}

func TestRealEnd(t *testing.T) {
	w := worker(t)
	if err := unix.Kill(w.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := w.CheckVersion(); err == nil || !strings.Contains(err.Error(), "it ended without an answer") {
		t.Errorf("a CRIU that is dead: %v", err)
	}
}

// playing is a conversation with a CRIU that says what the test wants.
func playing(t *testing.T, play func(fd int)) *Worker {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		play(pair[1])
		unix.Close(pair[1])
	}()
	t.Cleanup(func() { unix.Close(pair[0]); <-done })
	return &Worker{sock: pair[0]}
}

func hear(fd int) []byte {
	buf := make([]byte, 4096)
	n, _ := unix.Read(fd, buf)
	return buf[:n]
}

func say(fd int, fill func(*encoder), rights ...int) {
	var e encoder
	fill(&e)
	var oob []byte
	if len(rights) > 0 {
		oob = unix.UnixRights(rights...)
	}
	_ = unix.Sendmsg(fd, e.buf, oob, nil, 0)
}

func TestNotifications(t *testing.T) {
	answered := make(chan []byte, 2)
	w := playing(t, func(fd int) {
		hear(fd)
		for _, script := range []string{"setup-namespaces", "orphan-pts-master"} {
			say(fd, func(e *encoder) {
				e.required(1, int32(Notify))
				e.boolean(2, true)
				e.message(5, func(e *encoder) { e.text(1, script); e.integer(2, 42) })
			}, 0)
			answered <- hear(fd)
		}
		say(fd, func(e *encoder) {
			e.required(1, int32(Restore))
			e.boolean(2, true)
			e.message(4, func(e *encoder) { e.integer(1, 42) })
		})
	})
	failure := errors.New("no")
	var heard []string
	_, err := w.Do(&Request{Type: Restore, Options: &Options{}}, func(n *Notification) error {
		heard = append(heard, n.Script)
		if n.PID != 42 || len(n.Files) != 1 {
			t.Errorf("notification %+v", n)
		}
		closeAll(n.Files)
		if n.Script == "setup-namespaces" {
			return nil
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("the callback's error became %v", err)
	}
	if !slices.Equal(heard, []string{"setup-namespaces", "orphan-pts-master"}) {
		t.Errorf("heard %q", heard)
	}
	for _, want := range []string{"\x08\x06\x18\x01", "\x08\x06"} {
		if got := <-answered; string(got) != want {
			t.Errorf("answered %x, want %x", got, want)
		}
	}
}

func TestStrangeAnswers(t *testing.T) {
	for name, play := range map[string]func(fd int){
		"listen to criu: field number 0":          func(fd int) { hear(fd); _, _ = unix.Write(fd, []byte{0}) },
		"it ended without an answer":              func(fd int) { hear(fd) },
		"a request of type 10 with one of type 9": func(fd int) { hear(fd); say(fd, func(e *encoder) { e.required(1, 9); e.boolean(2, true) }) },
		"criu refused: why (invalid argument)": func(fd int) {
			hear(fd)
			say(fd, func(e *encoder) { e.required(1, 10); e.integer(7, 22); e.text(9, "why") })
		},
		"criu 3.15 is too old": func(fd int) {
			hear(fd)
			say(fd, func(e *encoder) {
				e.required(1, 10)
				e.boolean(2, true)
				e.message(10, func(e *encoder) { e.integer(1, 3); e.integer(2, 15) })
			})
		},
	} {
		if err := playing(t, play).CheckVersion(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", "relative:"+dir)
	if _, err := Find(); !errors.Is(err, ErrNotFound) {
		t.Errorf("in an empty directory: %v", err)
	}
	file := filepath.Join(dir, Program)
	if err := os.Mkdir(file, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(); !errors.Is(err, ErrNotFound) {
		t.Errorf("a directory: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(); err != nil || got != file {
		t.Errorf("%q, %v", got, err)
	}
	if BestNetworkLock() != LockByNFTables {
		t.Error("there are no programs of iptables")
	}
}

func TestLastErrors(t *testing.T) {
	const log = `(00.000001) Version: 4.1
(00.000002) Warn  (criu/kerndat.c:1): no matter
(00.000003) Error (criu/first.c:1): one
(00.000004)      1: Error (criu/mount.c:12): mnt: two: three
(00.000005) Error (criu/last.c:9): four
(00.000006) Error (criu/cr-dump.c:1): Dumping FAILED.
Error (criu/util.c:656): execvp("x", ...) failed
`
	want := []string{"mnt: two: three", "four", `execvp("x", ...) failed`}
	if got := lastErrors(log, 3); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := lastErrors("nothing\n", 3); got != nil {
		t.Errorf("%q", got)
	}
}
