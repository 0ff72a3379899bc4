// Package inspect says about a bundle all that can be said without running it:
// what is wrong with its config.json, what this host can't give it, and what is
// likely not meant. It opens and reads, and changes nothing.
package inspect

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer"
	"davit/libcontainer/bundle"
)

// Severity says what follows from a finding.
type Severity string

// The values of [Severity].
const (
	Error   Severity = "error"   // the container can't be created or started, here at least
	Warning Severity = "warning" // it can, but it is likely not what was meant, or less isolated than it looks
	Note    Severity = "note"    // worth knowing
)

// Kind says what a finding is about.
type Kind string

// The values of [Kind].
const (
	Config Kind = "config" // config.json against the specification: the same everywhere
	Host   Kind = "host"   // what this host has, the bundle's files included, and what the caller may
	Lint   Kind = "lint"   // what is allowed and likely not meant
)

// Finding is one thing to say about a bundle.
type Finding struct {
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // JSON path, $ for the document
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"` // what to try
}

// Options say how the container would be created.
type Options struct {
	NoPivot bool
	Runtime libcontainer.Options // what it says of cgroups
}

// inspector collects findings.
type inspector struct {
	opts     Options
	dir      string // the bundle's, absolute
	spec     *specs.Spec
	rootfs   string // "" if there is no directory
	kind     Kind   // of the findings that come
	findings []Finding
}

func (in *inspector) add(s Severity, path, message, hint string) {
	in.findings = append(in.findings, Finding{in.kind, s, path, message, hint})
}

func (in *inspector) error(path, message, hint string)   { in.add(Error, path, message, hint) }
func (in *inspector) warning(path, message, hint string) { in.add(Warning, path, message, hint) }
func (in *inspector) note(path, message, hint string)    { in.add(Note, path, message, hint) }

// Bundle inspects the bundle in a directory.
func Bundle(dir string, opts Options) []Finding {
	in := &inspector{opts: opts, kind: Config}
	in.run(dir)
	return in.findings
}

func (in *inspector) run(dir string) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		in.error("$", err.Error(), "")
		return
	}
	in.dir = dir
	file := filepath.Join(dir, "config.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		if _, derr := os.Stat(dir); derr != nil {
			in.error("$", derr.Error(), "give the bundle's directory")
		} else {
			in.error("$", err.Error(), `"davit spec" writes a config.json to begin with`)
		}
		return
	}
	b, err := bundle.LoadFile(dir, file)
	in.report(err)
	in.unknown(raw)
	if in.spec, err = bundle.Parse(raw); err != nil {
		return
	}
	in.kind = Lint
	in.lint()
	in.kind = Host
	if b == nil {
		in.note("$", "the host was not looked at: the errors come first", "")
		return
	}
	in.root(b)
	in.host(b)
}

// report takes an error of another package apart.
func (in *inspector) report(err error) {
	if err == nil {
		return
	}
	var list bundle.Errors
	if errors.As(err, &list) {
		for _, e := range list {
			in.error(e.Path, e.Reason, e.Hint)
		}
		return
	}
	var one *bundle.Error
	if errors.As(err, &one) {
		reason := one.Reason
		if one.Path == "$" {
			reason = "config.json: " + reason
		}
		in.error(one.Path, reason, one.Hint)
		return
	}
	path, message := place(err.Error())
	in.error(path, message, "")
}

// place finds the field that an error's text begins with, as all of davit's do that are about one.
func place(text string) (path, message string) {
	for _, top := range [...]string{"process", "linux", "mounts", "root", "hooks", "hostname", "domainname", "annotations"} {
		if !strings.HasPrefix(text, top) {
			continue
		}
		if field, rest, ok := strings.Cut(text, ": "); ok {
			return fieldPath(field), rest
		}
	}
	return "$", text
}

// fieldPath drops what people know a list's entry by: mounts[3] (/dev/shm).
func fieldPath(field string) string {
	path, name, ok := strings.Cut(field, " (")
	if ok {
		if _, rest, ok := strings.Cut(name, ")"); ok {
			path += rest
		}
	}
	if path == "" {
		return "$"
	}
	return path
}

// root looks for root.path.
func (in *inspector) root(b *bundle.Bundle) {
	st, err := os.Stat(b.Rootfs)
	switch {
	case err != nil:
		in.error("root.path", err.Error(), "a relative path starts at the bundle")
	case !st.IsDir():
		in.error("root.path", b.Rootfs+" is not a directory", "")
	default:
		in.rootfs = b.Rootfs
	}
}

// Count tells how many findings are of a severity.
func Count(findings []Finding, s Severity) int {
	n := 0
	for i := range findings {
		if findings[i].Severity == s {
			n++
		}
	}
	return n
}
