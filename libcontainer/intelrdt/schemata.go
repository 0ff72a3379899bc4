package intelrdt

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// share is a part of a class's share, as the configuration has it.
type share struct {
	field string
	lines []string
}

func (s *share) text() string { return strings.Join(s.lines, "\n") + "\n" }

// wanted lists the shares in the order in which they are written: what comes later overrides.
func wanted(cfg *specs.LinuxIntelRdt) []share {
	var list []share
	if s := cfg.L3CacheSchema; s != "" {
		list = append(list, share{field + ".l3CacheSchema", []string{s}})
	}
	if s := cfg.MemBwSchema; s != "" {
		list = append(list, share{field + ".memBwSchema", []string{s}})
	}
	if len(cfg.Schemata) > 0 {
		list = append(list, share{field + ".schemata", cfg.Schemata})
	}
	return list
}

// domain is a resource of one part of the machine: the L3 cache with number 0, say.
type domain struct{ resource, id string }

// domains splits a line of schemata, such as L3:0=7f0;1=1f, and tells whether it is one.
func domains(line string, each func(d domain, value string)) bool {
	resource, list, ok := strings.Cut(line, ":")
	if !ok {
		return false
	}
	for item := range strings.SplitSeq(list, ";") {
		id, value, ok := strings.Cut(item, "=")
		if !ok {
			return false
		}
		each(domain{strings.TrimSpace(resource), strings.TrimSpace(id)}, strings.TrimSpace(value))
	}
	return true
}

// compare holds the share of an existing class against what the configuration
// wants. What that doesn't mention may be anything.
func compare(t Tree, g *Group, shares []share) error {
	if len(shares) == 0 {
		return nil
	}
	text, err := t.Read(path.Join(g.Class, schemata))
	if err != nil {
		return &Error{Field: field + ".closID", Reason: fmt.Sprintf("read the share of class %q", g.Class), Err: err}
	}
	have := make(map[domain]string)
	for line := range strings.Lines(text) {
		domains(line, func(d domain, value string) { have[d] = value })
	}
	type want struct{ value, field string }
	all := make(map[domain]want)
	var order []domain
	for _, s := range shares {
		for _, line := range s.lines {
			ok := domains(line, func(d domain, value string) {
				if _, ok := all[d]; !ok {
					order = append(order, d)
				}
				all[d] = want{value, s.field}
			})
			if !ok {
				return &Error{Field: s.field, Reason: fmt.Sprintf("%q is not a line of schemata", line), Hint: "as in L3:0=7f0;1=1f"}
			}
		}
	}
	for _, d := range order {
		value, ok := have[d]
		if w := all[d]; !ok || !same(t, d.resource, w.value, value) {
			if !ok {
				value = "nothing"
			}
			return &Error{Field: w.field, Reason: fmt.Sprintf("class %q exists with another share: %s:%s is %s there, not %s", className(g), d.resource, d.id, value, w.value),
				Hint: "use another closID, or the same schemata"}
		}
	}
	return nil
}

func className(g *Group) string {
	if g.Class == "." {
		return "/"
	}
	return g.Class
}

// same compares values of a resource: bandwidth is a number that the kernel
// rounds up to its granularity, everything else a mask of hexadecimal digits.
func same(t Tree, resource, want, have string) bool {
	if want == have {
		return true
	}
	base := 16
	if bandwidth(resource) {
		base = 10
	}
	w, err := strconv.ParseUint(strings.TrimPrefix(want, "0x"), base, 64)
	if err != nil {
		return false
	}
	h, err := strconv.ParseUint(have, base, 64)
	if err != nil || w == h {
		return err == nil
	}
	if !bandwidth(resource) {
		return false
	}
	step, err := t.Read(path.Join("info", resource, "bandwidth_gran"))
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(step), 10, 64)
	return err == nil && n > 0 && (w+n-1)/n*n == h
}

// bandwidth tells memory bandwidth (MB, and SMBA of AMD) from caches.
func bandwidth(resource string) bool { return resource == "MB" || resource == "SMBA" }
