package rootless

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

const path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

// as is the beginning of a command line that a user runs with nothing but these variables.
func (u *account) as(env ...string) []string {
	id := strconv.Itoa(u.uid)
	return append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "env", "-i"}, env...)
}

// sandbox is a user's: a bundle as `davit spec --rootless` begins one, state below XDG_RUNTIME_DIR.
func (u *account) sandbox(t testing.TB, edits ...harness.Edit) *harness.Sandbox {
	t.Helper()
	harness.NeedTool(t, "setpriv", "util-linux")
	s := harness.New(t)
	runtime := filepath.Join(s.Dir, "run")
	must(t, os.Mkdir(runtime, 0o700))
	u.own(t, s.Dir)
	s.Root = filepath.Join(runtime, "davit")
	s.Prefix = u.as(path, "XDG_RUNTIME_DIR="+runtime)
	u.davit(s, "spec", "--rootless", "--bundle", s.Bundle).Do().Succeeds()
	data, err := os.ReadFile(filepath.Join(s.Bundle, "config.json"))
	must(t, err)
	s.Spec = &specs.Spec{}
	must(t, json.Unmarshal(data, s.Spec))
	s.Spec.Process.Terminal = false
	s.Spec.Root.Readonly = false
	s.Edit(edits...)
	return s
}

// own gives a tree to the user.
func (u *account) own(t testing.TB, dir string) {
	t.Helper()
	harness.Tool(t, "chown", "-R", fmt.Sprintf("%d:%d", u.uid, u.uid), dir)
}

// davit prepares a command of the sandbox's user that finds the state by itself.
func (u *account) davit(s *harness.Sandbox, args ...string) *harness.Cmd {
	s.T.Helper()
	return harness.Command(s.T, append(append(append([]string{}, s.Prefix...), harness.Binary(s.T)), args...)...)
}

// subordinate maps root to the user and all that follow to the user's subordinate ids.
func (u *account) subordinate() harness.Edit {
	return func(c *specs.Spec) {
		m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(u.uid), Size: 1}, {ContainerID: 1, HostID: u.sub, Size: subCount}}
		c.Linux.UIDMappings, c.Linux.GIDMappings = m, m
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fields joins what a program printed by single spaces.
func fields(text string) string { return strings.Join(strings.Fields(text), " ") }
