package intelrdt

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Update gives the container's class another share: that of cfg, whose other
// members are ignored. What cfg doesn't mention stays. undo gives back what the
// class had; after an error that is done.
//
// A class that several containers are in changes for all of them. The default
// class is that of the whole system and not to be changed for a container.
func (g *Group) Update(t Tree, cfg *specs.LinuxIntelRdt) (undo func() error, err error) {
	undo = func() error { return nil }
	shares := wanted(cfg)
	if len(shares) == 0 {
		return undo, nil
	}
	if g.Class == "." {
		return nil, &Error{Field: shares[0].field, Reason: "the container is in the default class, which is the system's", Hint: "create it with a closID of its own, or none"}
	}
	changed := make(map[string]bool)
	for _, s := range shares {
		for _, line := range s.lines {
			if strings.ContainsRune(line, '\n') || !domains(line, func(d domain, _ string) { changed[d.resource] = true }) {
				return nil, &Error{Field: s.field, Reason: fmt.Sprintf("%q is not a line of schemata", line), Hint: "as in L3:0=7f0;1=1f"}
			}
		}
	}
	file := path.Join(g.Class, schemata)
	old, err := t.Read(file)
	if err != nil {
		return nil, &Error{Field: field, Reason: "read the share of class " + g.Class, Err: err}
	}
	undo = func() error { return restore(t, file, old, changed) }
	for _, s := range shares {
		if err := t.Write(file, s.text()); err != nil {
			refused := &Error{Field: s.field, Reason: "change the share of class " + g.Class, Err: err, Hint: lastStatus(t)}
			return nil, errors.Join(refused, undo())
		}
	}
	return undo, nil
}

// restore writes back the lines of some resources.
func restore(t Tree, file, old string, resources map[string]bool) error {
	var errs []error
	for line := range strings.Lines(old) {
		line = strings.TrimSpace(line)
		if name, _, _ := strings.Cut(line, ":"); resources[strings.TrimSpace(name)] {
			errs = append(errs, t.Write(file, line+"\n"))
		}
	}
	return errors.Join(errs...)
}
