package bundle

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Check applies every rule of the spec that needs no host, and those rules of
// the kernel that hold on every host, to a decoded configuration. It returns
// all it finds as [Errors].
//
// bundleDir is the absolute directory that relative paths start at; nothing is
// looked up there. Whether a joined namespace is really another one than the
// runtime's is left to whoever opens it, except for the literal
// /proc/self/ns/….
func Check(spec *specs.Spec, bundleDir string) error {
	if spec == nil {
		return Errors{{Path: "$", Reason: "there is no configuration"}}
	}
	c := checker{spec: spec}
	c.specStrings(spec)
	c.version(spec.Version)
	c.root(bundleDir)
	c.namespaces()
	c.hostnames()
	if spec.Process != nil {
		p := top.member("process")
		c.process(&p, spec.Process)
	}
	c.mounts()
	c.hooks()
	c.annotations()
	c.linux()
	return c.result()
}

// CheckProcess is Check for a process that joins a running container.
// ociVersion is that container's. Paths in errors start at the process object.
func CheckProcess(p *specs.Process, ociVersion string) error {
	if p == nil {
		return Errors{{Path: "$", Reason: "there is no process"}}
	}
	var c checker
	c.processStrings(&top, p)
	c.version(ociVersion)
	c.process(&top, p)
	return c.result()
}

// top is where all paths start. It is never written to.
var top path

// checker collects what the checks find.
type checker struct {
	spec *specs.Spec
	ns   namespaceSet
	errs Errors
}

// fail records a finding. The caller may add a Hint to it.
func (c *checker) fail(at path, reason string) *Error {
	e := &Error{Path: at.String(), Reason: reason}
	c.errs = append(c.errs, e)
	return e
}

// failf is fail with a formatted reason. Strings from the configuration are
// formatted by %q: a newline in one must not forge a line of a log.
func (c *checker) failf(at path, format string, args ...any) *Error {
	return c.fail(at, fmt.Sprintf(format, args...))
}

func (c *checker) result() error {
	if len(c.errs) == 0 {
		return nil
	}
	return c.errs
}

// absolute checks a path that the spec wants absolute.
func (c *checker) absolute(at path, value string) {
	switch {
	case value == "":
		c.fail(at, "must not be empty")
	case value[0] != '/':
		c.failf(at, "must be an absolute path, %q is relative", value)
	}
}

// oneLine checks a string that is written to a file of the kernel where a
// second line would be a second request.
func (c *checker) oneLine(at path, value string) {
	if strings.Contains(value, "\n") {
		c.failf(at, "must not contain a newline: %q", value)
	}
}

func (c *checker) root(bundleDir string) {
	if c.spec.Root == nil {
		c.fail(top.member("root"), "is required").Hint = `add "root": {"path": "rootfs"}`
		return
	}
	at := top.member("root")
	switch name := c.spec.Root.Path; {
	case name == "":
		c.fail(at.member("path"), "must not be empty").Hint = `the conventional value is "rootfs"`
	case !filepath.IsAbs(name) && !filepath.IsAbs(bundleDir):
		c.failf(at.member("path"), "%q is relative, and the bundle directory it starts at is not known", name)
	}
}

// maxUTSName is __NEW_UTS_LEN of the kernel, in bytes.
const maxUTSName = 64

func (c *checker) hostnames() {
	for _, n := range [...]struct{ member, value string }{
		{"hostname", c.spec.Hostname},
		{"domainname", c.spec.Domainname},
	} {
		at := top.member(n.member)
		if len(n.value) > maxUTSName {
			c.failf(at, "is %d bytes long, the kernel takes %d", len(n.value), maxUTSName)
		}
		if n.value != "" && !c.ns.isolates(nsUTS) {
			c.fail(at, "needs a uts namespace that is not the runtime's: the host's name would change").Hint =
				`add {"type": "uts"} to linux.namespaces`
		}
	}
}

func (c *checker) annotations() {
	if _, ok := c.spec.Annotations[""]; ok {
		at := top.member("annotations")
		c.fail(at.key(""), "keys must not be empty")
	}
}

func (c *checker) hooks() {
	h := c.spec.Hooks
	if h == nil {
		return
	}
	at := top.member("hooks")
	for _, point := range hookPoints(h) {
		list := at.member(point.name)
		for i := range point.hooks {
			hook := list.at(i)
			c.absolute(hook.member("path"), point.hooks[i].Path)
			if t := point.hooks[i].Timeout; t != nil && *t <= 0 {
				c.failf(hook.member("timeout"), "must be greater than zero seconds, it is %d", *t).Hint =
					"leave it out for no timeout"
			}
		}
	}
}

type hookPoint struct {
	name  string
	hooks []specs.Hook
}

func hookPoints(h *specs.Hooks) [6]hookPoint {
	return [...]hookPoint{
		//lint:ignore SA1019 deprecated for authors of configurations, required of runtimes
		{"prestart", h.Prestart},
		{"createRuntime", h.CreateRuntime},
		{"createContainer", h.CreateContainer},
		{"startContainer", h.StartContainer},
		{"poststart", h.Poststart},
		{"poststop", h.Poststop},
	}
}

// sortedKeys makes the order of findings in a map the same each time.
func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
