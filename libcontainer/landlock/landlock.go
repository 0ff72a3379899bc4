// Package landlock reads the policy that a container's configuration has in the
// annotation run.davit.landlock, and fits it to what a kernel knows of
// Landlock (landlock(7)). It makes no system call.
//
// docs/landlock.md describes the format. In short: what is handled is denied,
// unless a rule allows it; what isn't handled stays as it was.
package landlock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Annotation is the key of the policy.
const Annotation = "run.davit.landlock"

// Limits of a policy: the annotation comes with an image's or a pod's metadata.
const (
	maxText  = 64 << 10 // bytes of JSON
	maxRules = 4096     // paths and ports together
)

// Policy is a checked policy. Its rights are bits of the kernel's interface.
type Policy struct {
	BestEffort bool   // go on without what the kernel lacks
	FS         uint64 // handled LANDLOCK_ACCESS_FS_* bits
	Net        uint64 // handled LANDLOCK_ACCESS_NET_* bits
	Scoped     uint64 // LANDLOCK_SCOPE_* bits
	Paths      []PathRule
	Ports      []PortRule
	Dropped    []string // what Fit left out, for a warning
}

// PathRule allows Access to a file or to everything beneath a directory of the container.
type PathRule struct {
	Path   string // absolute, in the container
	Access uint64
	Field  string // where it stands in the annotation
}

// PortRule allows Access to a TCP port.
type PortRule struct {
	Port   uint16
	Access uint64
	Field  string
}

// An Error is an annotation that can't be used, with the place in its JSON.
type Error struct {
	Field string
	Err   error
}

func (e *Error) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func errorf(field, format string, a ...any) error {
	return &Error{fieldOf(field), fmt.Errorf(format, a...)}
}

func fieldOf(name string) string {
	if name == "" {
		return `annotations["` + Annotation + `"]`
	}
	return `annotations["` + Annotation + `"].` + name
}

// document is the annotation's JSON.
type document struct {
	Mode       string     `json:"mode"`
	HandledFS  []string   `json:"handledAccessFS"`
	HandledNet []string   `json:"handledAccessNet"`
	Scoped     []string   `json:"scoped"`
	Rules      []ruleJSON `json:"rules"`
}

type ruleJSON struct {
	Paths  []string `json:"paths"`
	Ports  []uint16 `json:"ports"`
	Access []string `json:"access"`
}

// Parse reads the policy among a container's annotations; nil where there is none.
func Parse(annotations map[string]string) (*Policy, error) {
	text, ok := annotations[Annotation]
	if !ok {
		return nil, nil
	}
	if len(text) > maxText {
		return nil, errorf("", "%d bytes, the limit is %d", len(text), maxText)
	}
	var doc document
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields() // a misspelt member would be protection that isn't there
	if err := d.Decode(&doc); err != nil {
		return nil, errorf("", "%w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errorf("", "there is something behind the policy")
	}
	if key := repeatedKey([]byte(text)); key != "" {
		return nil, errorf("", "member %q is there twice", key)
	}
	return doc.policy()
}

func (doc *document) policy() (*Policy, error) {
	p := &Policy{}
	switch doc.Mode {
	case "", "strict":
	case "best-effort":
		p.BestEffort = true
	default:
		return nil, errorf("mode", `%q is neither "strict" nor "best-effort"`, doc.Mode)
	}
	var err error
	if p.FS, err = mask("handledAccessFS", doc.HandledFS, fsRights(), everyFS); err != nil {
		return nil, err
	}
	if p.Net, err = mask("handledAccessNet", doc.HandledNet, netRights(), everyNet); err != nil {
		return nil, err
	}
	if p.Scoped, err = mask("scoped", doc.Scoped, scopes(), everyScope); err != nil {
		return nil, err
	}
	if p.FS|p.Net|p.Scoped == 0 {
		return nil, errorf("", "handles nothing: it needs handledAccessFS, handledAccessNet or scoped")
	}
	for i := range doc.Rules {
		if err := p.addRule(fmt.Sprintf("rules[%d]", i), &doc.Rules[i]); err != nil {
			return nil, err
		}
	}
	if n := len(p.Paths) + len(p.Ports); n > maxRules {
		return nil, errorf("rules", "%d paths and ports, the limit is %d", n, maxRules)
	}
	return p, nil
}

func (p *Policy) addRule(field string, r *ruleJSON) error {
	switch {
	case len(r.Paths) > 0 && len(r.Ports) > 0:
		return errorf(field, "has both paths and ports: make two rules of it")
	case len(r.Paths) == 0 && len(r.Ports) == 0:
		return errorf(field, "has neither paths nor ports")
	case len(r.Access) == 0:
		return errorf(field+".access", "must name at least one right")
	}
	rights, handled, list := fsRights(), p.FS, "handledAccessFS"
	if len(r.Ports) > 0 {
		rights, handled, list = netRights(), p.Net, "handledAccessNet"
	}
	access, err := mask(field+".access", r.Access, rights, handled)
	if err != nil {
		return err
	}
	if stray := access &^ handled; stray != 0 {
		return errorf(field+".access", "%s isn't in %s: it is allowed everywhere", strings.Join(names(stray, rights), ", "), list)
	}
	if access == 0 {
		return errorf(field+".access", `"all" of %s is nothing`, list)
	}
	for i, path := range r.Paths {
		at := fmt.Sprintf("%s.paths[%d]", field, i)
		if !strings.HasPrefix(path, "/") || strings.IndexByte(path, 0) >= 0 || len(path) > 4095 {
			return errorf(at, "%q is not an absolute path of the container", path)
		}
		p.Paths = append(p.Paths, PathRule{path, access, fieldOf(at)})
	}
	for i, port := range r.Ports {
		p.Ports = append(p.Ports, PortRule{port, access, fieldOf(fmt.Sprintf("%s.ports[%d]", field, i))})
	}
	return nil
}

// mask turns names into bits; "all" stands for every.
func mask(field string, list []string, rights []right, every uint64) (uint64, error) {
	var m uint64
	for i, name := range list {
		bit := every
		if name != "all" {
			bit = bitOf(name, rights)
		}
		if bit == 0 && name != "all" {
			return 0, errorf(fmt.Sprintf("%s[%d]", field, i), "%q is unknown; known are \"all\", %s", name, strings.Join(names(^uint64(0), rights), ", "))
		}
		m |= bit
	}
	return m, nil
}

// repeatedKey finds a member that an object has twice: encoding/json lets the
// last one win, and a reader of the configuration may have seen the first.
func repeatedKey(text []byte) string {
	type level struct {
		object bool
		value  bool // the next token is a member's value
		seen   map[string]bool
	}
	var stack []level
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		tok, err := d.Token()
		if err != nil {
			return ""
		}
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		if key, ok := tok.(string); ok && top != nil && top.object && !top.value {
			key = strings.ToLower(key) // as encoding/json matches them
			if top.seen[key] {
				return key
			}
			top.seen[key], top.value = true, true
			continue
		}
		if top != nil {
			top.value = false
		}
		switch tok {
		case json.Delim('{'):
			stack = append(stack, level{object: true, seen: make(map[string]bool)})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
	}
}
