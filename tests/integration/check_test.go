package integration

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// What is refused when a container is made is said by the check before.
func TestCheckForetells(t *testing.T) {
	t.Parallel()
	for _, c := range append(badProcess(), append(badMounts(), badLinux()...)...) {
		if c.prep != nil || c.args != nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t)
			text, err := json.Marshal(s.Spec)
			if err != nil {
				t.Fatal(err)
			}
			var config doc
			if err := json.Unmarshal(text, &config); err != nil {
				t.Fatal(err)
			}
			if c.edit != nil {
				c.edit(config)
				if text, err = json.Marshal(config); err != nil {
					t.Fatal(err)
				}
			}
			if c.raw != nil {
				text = []byte(c.raw(string(text)))
			}
			s.WriteRaw(text)
			r := s.Davit("check", s.Bundle)
			if r.Code != 1 || !strings.Contains(r.Stdout(), "error    ") {
				t.Errorf("exit code %d, and it would be refused with %q:\n%s", r.Code, c.want, r.Stdout())
			}
		})
	}
}

// What runs is found to be without errors, and the check leaves no trace.
func TestCheckTouchesNothing(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Shell("echo ran"))
	s.WriteConfig()
	before := tree(t, s.Dir)
	r := s.Davit("check", s.Bundle)
	r.Succeeds()
	if !strings.HasSuffix(r.Stdout(), "\n0 errors, 0 warnings, 3 notes\n") || strings.Contains(r.Stdout(), "\x1b") {
		t.Errorf("%s", r.Stdout())
	}
	if after := tree(t, s.Dir); before != after {
		t.Errorf("the bundle was\n%s\nand is\n%s", before, after)
	}
	s.CheckHost()
	if out := s.Output(); out != "ran\n" {
		t.Errorf("%q", out)
	}
}

// tree lists files with their sizes and times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCheckExitCodes(t *testing.T) {
	t.Parallel()
	s := harness.New(t, func(c *specs.Spec) { c.Linux.MaskedPaths = nil })
	s.WriteConfig()
	r := s.Davit("check", s.Bundle)
	r.Succeeds()
	if !strings.Contains(r.Stdout(), "warning  linux.maskedPaths: ") {
		t.Errorf("%s", r.Stdout())
	}
	if r = s.Davit("check", "--strict", s.Bundle); r.Code != 1 {
		t.Errorf("strict: exit code %d\n%s", r.Code, r.Stdout())
	}
	r = s.Davit("check", "--strict", "--format", "json", s.Bundle)
	var out struct {
		Errors, Warnings int
		Findings         []struct{ Kind, Severity, Path, Message, Hint string }
	}
	if err := json.Unmarshal([]byte(r.Stdout()), &out); err != nil || r.Code != 1 || out.Errors != 0 || out.Warnings != 1 || len(out.Findings) < 2 {
		t.Errorf("%d, %v\n%s", r.Code, err, r.Stdout())
	}
	// By default in the working directory; a log line is for what isn't about the bundle.
	c := s.Command("check")
	c.Dir = s.Bundle
	c.Do().Succeeds()
	s.Davit("check", "--format", "xml").Fails("invalid format option", "xml")
	if r := s.Davit("check", "/nowhere"); r.Code != 1 || !strings.Contains(r.Stdout(), "error    stat /nowhere: no such file or directory") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stdout())
	}
}

// A line break in the configuration doesn't begin another finding.
func TestCheckForgedLine(t *testing.T) {
	t.Parallel()
	s := harness.New(t, harness.Args("/x\nerror    forged: line"))
	s.Spec.Annotations = map[string]string{"a\nerror    forged": "x"}
	s.Spec.Mounts = append(s.Spec.Mounts, specs.Mount{Destination: "/m", Source: "/y\nerror    forged: line", Options: []string{"bind"}})
	s.WriteConfig()
	r := s.Davit("check", s.Bundle)
	if r.Code != 1 || strings.Contains(r.Stdout(), "\nerror    forged") {
		t.Errorf("exit code %d\n%s", r.Code, r.Stdout())
	}
}

// An ordinary user may check a bundle of his, and is told what he can't see instead of being stopped.
func TestCheckUnprivileged(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Edit(func(c *specs.Spec) {
		c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		c.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 54321, Size: 1}}
		c.Linux.GIDMappings = c.Linux.UIDMappings
		c.Mounts = append(c.Mounts, specs.Mount{Destination: "/m", Source: "/root/hidden", Options: []string{"bind"}})
		c.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/root/hook"}}}
	})
	s.WriteConfig()
	st, err := os.Stat("/root")
	if err != nil || st.Mode().Perm()&0o007 != 0 {
		t.Skip("/root isn't closed to others here")
	}
	binary := filepath.Join(s.Dir, "davit")
	harness.Tool(t, "install", "-m", "0755", harness.Binary(t), binary)
	out := harness.Tool(t, "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", binary, "--root", s.Dir+"/none", "check", s.Bundle)
	for _, want := range []string{"note     mounts[7].source: /root/hidden can't be looked at", "note     hooks.poststop[0].path: /root/hook can't be looked at", "0 errors"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}
