package integration

import (
	"debug/elf"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// execFailures are programs that can't be executed, and what the user has to be told.
var execFailures = []struct {
	name    string
	arg     string
	path    string // where content goes; arg if empty
	content func(t *testing.T) string
	mode    os.FileMode
	create  bool // create finds out already
	want    []string
}{
	{name: "no such file", arg: "/bin/nothing", create: true, want: []string{"/bin/nothing", "no such file or directory"}},
	{name: "not in PATH", arg: "nothing", create: true, want: []string{"nothing", "executable file not found in $PATH"}},
	{name: "a component is a file", arg: "/etc/passwd/x", create: true, want: []string{"/etc/passwd/x"}},
	{name: "directory", arg: "/etc", create: true, want: []string{"/etc", "is a directory"}},
	{name: "not executable", arg: "/tool", content: text("#!/bin/sh\n"), mode: 0o644, create: true, want: []string{"/tool", "permission denied"}},
	{name: "not executable in PATH", arg: "tool", path: "/bin/tool", content: text("#!/bin/sh\n"), mode: 0o644, create: true, want: []string{"tool", "permission denied"}},
	{name: "empty file", arg: "/tool", content: text(""), mode: 0o755, want: []string{"/tool", "the file is empty"}},
	{name: "no shebang", arg: "/tool", content: text("echo hello\n"), mode: 0o755, want: []string{"/tool", "exec format error", "#!"}},
	{name: "missing shebang interpreter", arg: "/tool", content: text("#!/usr/bin/no-such-python -u\n"), mode: 0o755,
		want: []string{"/tool", "interpreter /usr/bin/no-such-python", "does not exist in the container"}},
	{name: "CRLF shebang", arg: "/tool", content: text("#!/bin/sh\r\necho hello\r\n"), mode: 0o755, want: []string{"/tool", "CR LF"}},
	{name: "shebang names nothing", arg: "/tool", content: text("#!\n"), mode: 0o755, want: []string{"/tool", "no interpreter"}},
	{name: "missing loader", arg: "/tool", content: dynamicELF, mode: 0o755, want: []string{"/tool", "/lib64/ld-", "does not exist in the container", "C library"}},
	{name: "another architecture", arg: "/tool", content: foreignELF, mode: 0o755, want: []string{"/tool", "exec format error", "s390x"}},
	{name: "damaged ELF", arg: "/tool", content: text("\x7fELF\x02\x01\x01"), mode: 0o755, want: []string{"/tool", "exec format error", "ELF"}},
}

func text(s string) func(*testing.T) string { return func(*testing.T) string { return s } }

// dynamicELF is a program of the host that needs a loader, which the rootfs doesn't have.
func dynamicELF(t *testing.T) string {
	for _, path := range []string{"/bin/true", "/usr/bin/true", "/bin/ls"} {
		f, err := elf.Open(path)
		if err != nil {
			continue
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				f.Close()
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
		}
		f.Close()
	}
	t.Skip("this host's /bin/true and /bin/ls are static")
	return ""
}

// foreignELF is a header of a program for a machine that this one isn't.
func foreignELF(*testing.T) string {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x02\x01")
	h[17], h[19], h[23] = byte(elf.ET_EXEC), byte(elf.EM_S390), byte(elf.EV_CURRENT)
	return string(h)
}

func TestExecFailures(t *testing.T) {
	t.Parallel()
	for _, c := range execFailures {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, harness.Args(c.arg))
			if c.content != nil {
				path := c.path
				if path == "" {
					path = c.arg
				}
				s.WriteFile(path, c.content(t), c.mode)
			}
			s.Run().Fails(c.want...)
			s.Davit("state", s.ID).Fails("container does not exist")
			created := s.Create()
			if c.create {
				created.Fails(c.want...)
				return
			}
			created.Succeeds()
			s.Davit("start", s.ID).Fails(c.want...)
			s.WaitStatus(specs.StateStopped)
			s.Davit("delete", s.ID).Succeeds()
			s.WriteConfig()
			s.Davit("run", "--detach", "--bundle", s.Bundle, s.ID).Fails(c.want...)
		})
	}
}
