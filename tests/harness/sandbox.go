package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Sandbox is where one test runs its container: a bundle, a state directory,
// an id and a cgroup that nobody else has.
type Sandbox struct {
	T      testing.TB
	ID     string // also the cgroup's name; no other sandbox's id contains it
	Dir    string // holds all that follows
	Root   string // davit's --root
	Bundle string
	Rootfs string
	Spec   *specs.Spec // written as config.json by each command that reads it

	// Prefix of every davit command line, such as a tracer.
	Prefix []string
	// Flags of davit itself, before the command.
	Flags  []string
	before *HostState
}

// New makes a sandbox. When the test ends, the host has to be as it is now.
func New(t testing.TB, edits ...Edit) *Sandbox {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	id := fmt.Sprintf("davit-test-%d-%d-x", os.Getpid(), suite.counter.Add(1))
	s := &Sandbox{T: t, ID: id, Dir: dir, Root: filepath.Join(dir, "state"), Bundle: filepath.Join(dir, "bundle"), Spec: BaseSpec("/" + id)}
	s.Rootfs = filepath.Join(s.Bundle, "rootfs")
	// Reachable for whoever is root in a user namespace.
	for d := dir; strings.HasPrefix(d, os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	CopyRootfs(t, s.Rootfs)
	Binary(t)
	s.Edit(edits...)
	s.before = s.HostState()
	t.Cleanup(s.finish)
	return s
}

// Edit changes the configuration that later commands use.
func (s *Sandbox) Edit(edits ...Edit) {
	for _, e := range edits {
		e(s.Spec)
	}
}

// WriteConfig writes the bundle's config.json.
func (s *Sandbox) WriteConfig() {
	s.T.Helper()
	data, err := json.MarshalIndent(s.Spec, "", "\t")
	if err != nil {
		s.T.Fatal(err)
	}
	s.WriteRaw(data)
}

// WriteRaw writes config.json as it is given.
func (s *Sandbox) WriteRaw(data []byte) {
	s.T.Helper()
	if err := os.WriteFile(filepath.Join(s.Bundle, "config.json"), data, 0o644); err != nil {
		s.T.Fatal(err)
	}
}

// Path is a path of the container, seen from the host.
func (s *Sandbox) Path(p string) string { return filepath.Join(s.Rootfs, p) }

// WriteFile puts a file into the rootfs.
func (s *Sandbox) WriteFile(path, content string, mode os.FileMode) {
	s.T.Helper()
	at := s.Path(path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		s.T.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), mode); err != nil {
		s.T.Fatal(err)
	}
	if err := os.Chmod(at, mode); err != nil {
		s.T.Fatal(err)
	}
}

// InstallProbe puts the probe into the rootfs as /probe.
func (s *Sandbox) InstallProbe() {
	s.T.Helper()
	path, err := suite.probe()
	if err != nil {
		s.T.Fatal(err)
	}
	linkOrCopy(s.T, path, s.Path("probe"))
}

// Run runs the container in the foreground.
func (s *Sandbox) Run(edits ...Edit) *Result {
	s.T.Helper()
	s.Edit(edits...)
	s.WriteConfig()
	return s.Davit("run", "--bundle", s.Bundle, s.ID)
}

// Output runs the container in the foreground and returns what it wrote. It has to succeed.
func (s *Sandbox) Output(edits ...Edit) string {
	s.T.Helper()
	r := s.Run(edits...)
	r.Succeeds()
	return r.Stdout()
}

// Sh runs a shell script in the container and returns its output.
func (s *Sandbox) Sh(script string, edits ...Edit) string {
	s.T.Helper()
	return s.Output(append(edits, Shell(script))...)
}

// Create creates the container, with flags.
func (s *Sandbox) Create(flags ...string) *Result {
	s.T.Helper()
	s.WriteConfig()
	return s.Davit(append(append([]string{"create", "--bundle", s.Bundle}, flags...), s.ID)...)
}

// State is what `davit state` says of the container.
func (s *Sandbox) State() *State {
	s.T.Helper()
	r := s.Davit("state", s.ID)
	r.Succeeds()
	var st State
	if err := json.Unmarshal([]byte(r.Stdout()), &st); err != nil {
		s.T.Fatalf("davit state wrote no JSON: %v\n%s", err, r.Stdout())
	}
	return &st
}

// State is the JSON of `davit state` and of the elements of `davit list`.
type State struct {
	specs.State
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"`
}

// PID is the process of the created or running container.
func (s *Sandbox) PID() int {
	s.T.Helper()
	pid := s.State().Pid
	if pid <= 0 {
		s.T.Fatalf("the container has no process")
	}
	return pid
}

// WaitStatus waits until the container exists and has a status.
func (s *Sandbox) WaitStatus(want specs.ContainerState) {
	s.T.Helper()
	Eventually(s.T, fmt.Sprintf("the status to be %q", want), func() bool {
		var st State
		r := s.Davit("state", s.ID)
		return r.Code == 0 && json.Unmarshal([]byte(r.Stdout()), &st) == nil && st.Status == want
	})
}

// Delete removes the container by force.
func (s *Sandbox) Delete() {
	s.T.Helper()
	s.Davit("delete", "--force", s.ID).Succeeds()
}

// finish compares the host with what it was, and cleans up what a failed test left.
func (s *Sandbox) finish() {
	if s.T.Failed() {
		s.Davit("delete", "--force", s.ID)
		s.sweep()
		return
	}
	s.CheckHost()
	if s.T.Failed() {
		s.Davit("delete", "--force", s.ID)
		s.sweep()
	}
}

// Eventually waits up to ten seconds for a condition.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := patience(10 * time.Second)
	for end := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}
