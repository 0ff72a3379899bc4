package devices

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Line is a write to devices.allow, or to devices.deny, of a version 1 cgroup
// (cgroup-v1/devices.rst).
type Line struct {
	Allow bool
	Value string
	Field string // JSON path of the entry in config.json, "" for a default
}

// V1 is what a version 1 cgroup has to hold: one rule for all devices, and exceptions to
// it. The kernel (security/device_cgroup.c) grants a request by one exception as a whole
// where all is denied, and refuses it for any that it meets where all is allowed; there
// are no exceptions to exceptions.
type V1 struct {
	allow      bool
	exceptions map[pattern]exception

	// WithoutMknod is set if mknod of devices that the list allows nothing of had to be left
	// out of what every container is allowed: the list denies it of some.
	WithoutMknod bool
}

type exception struct {
	access Access
	field  string
}

// V1 plans the policy for a version 1 cgroup. Whichever rule for all devices can be had with
// exceptions of its kind alone is taken. A policy that needs both kinds, some devices
// allowed and among these some denied, is an error that names the entry: the kernel would
// take such lines in silence and enforce something else.
func (p *Policy) V1() (*V1, error) {
	plan, err := p.v1()
	if err == nil || !slices.ContainsFunc(p.source, rule.isMknodOfAll) {
		return plan, err
	}
	for _, stricter := range withoutMknodOfAll(p.source) {
		if plan, again := simplify(stricter).v1(); again == nil {
			plan.WithoutMknod = true
			return plan, nil
		}
	}
	return nil, err
}

// withoutMknodOfAll returns what to do without that default, the better first: only nodes of devices
// that the list allows something of can be made, as linux.devices asks for nodes that are
// to be read alone; or those that the list allows to make.
func withoutMknodOfAll(rules []rule) [2][]rule {
	at := slices.IndexFunc(rules, rule.isMknodOfAll)
	strict := slices.Delete(slices.Clone(rules), at, at+1)
	var named []rule
	for _, r := range strict[at:] {
		if r.allow && r.field != "" && r.pattern != everything {
			named = append(named, rule{pattern: r.pattern, access: Mknod, allow: true})
		}
	}
	return [2][]rule{slices.Insert(slices.Clone(strict), at, named...), strict}
}

// isMknodOfAll tells the default that allows to make any device node.
func (r rule) isMknodOfAll() bool { return r.field == "" && r.pattern == everything }

func (p *Policy) v1() (*V1, error) {
	places := p.places()
	plan, err := p.withDefault(p.allow, places)
	if err == nil {
		return plan, nil
	}
	if plan, other := p.withDefault(!p.allow, places); other == nil {
		return plan, nil
	}
	return nil, err
}

// place is a set of devices that the policy speaks of, and what it says about those of
// them that no narrower place has.
type place struct {
	pattern
	access Access
}

// places returns the patterns of the rules for each type of device, and those that two of
// them have in common: a list can treat no finer set differently. Wider ones come first.
func (p *Policy) places() []place {
	seen := make(map[pattern]bool)
	var all []place
	add := func(q pattern) {
		if !seen[q] {
			seen[q] = true
			all = append(all, place{q, p.access(q)})
		}
	}
	for _, kind := range [...]uint8{block, char} {
		add(pattern{kind, wildcard, wildcard})
		var majors, minors []int64 // that have a pattern for all of theirs
		for _, r := range p.rules {
			if r.kind != anyType && r.kind != kind || r.major > mostMajor || r.minor > mostMinor {
				continue
			}
			switch {
			case r.minor == wildcard:
				majors = append(majors, r.major)
			case r.major == wildcard:
				minors = append(minors, r.minor)
			}
			add(pattern{kind, r.major, r.minor})
		}
		for _, major := range majors {
			for _, minor := range minors {
				if major != wildcard {
					add(pattern{kind, major, minor})
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b place) int { return cmp.Compare(b.wildcards(), a.wildcards()) })
	return all
}

// The largest numbers that a device can have (dev_t has 12 and 20 bits). A pattern with
// larger ones matches none, and version 1 takes the largest of 32 bits for a wildcard.
const (
	mostMajor = 1<<12 - 1
	mostMinor = 1<<20 - 1
)

func (p pattern) wildcards() (n int) {
	if p.major == wildcard {
		n++
	}
	if p.minor == wildcard {
		n++
	}
	return n
}

// access is what the policy allows of a device that is in q and in no narrower place.
func (p *Policy) access(q pattern) Access {
	var a Access
	if p.allow {
		a = all
	}
	for _, r := range p.rules {
		if !r.covers(q) {
			continue
		}
		if a &^= r.access; r.allow {
			a |= r.access
		}
	}
	return a
}

// last returns the field of the last entry that gives devices in q, or takes from them,
// some of the access.
func (p *Policy) last(q pattern, allow bool, access Access) string {
	for _, r := range slices.Backward(p.rules) {
		if r.allow == allow && r.access&access != 0 && r.covers(q) && r.field != "" {
			return r.field
		}
	}
	return ""
}

// withDefault plans for one rule for all devices. Every exception has all that its devices
// are excepted from, as the kernel wants one to grant all of a request.
func (p *Policy) withDefault(allow bool, places []place) (*V1, error) {
	plan := &V1{allow: allow, exceptions: make(map[pattern]exception)}
	excepted := func(q place) Access {
		if allow {
			return all &^ q.access
		}
		return q.access
	}
	var wide []place // those with wildcards: nothing else covers another place
	for _, q := range places {
		needed := excepted(q)
		for _, w := range wide {
			if !w.covers(q.pattern) {
				continue
			}
			if more := excepted(w) &^ excepted(q); more != 0 {
				return nil, p.hole(w.pattern, q.pattern, allow, more)
			}
			if excepted(w) == excepted(q) {
				needed = 0
			}
		}
		if q.wildcards() > 0 {
			wide = append(wide, q)
		}
		if needed != 0 {
			plan.exceptions[q.pattern] = exception{needed, p.last(q.pattern, !allow, needed)}
		}
	}
	return plan, nil
}

// hole is the error for devices that are treated as the rest is, inside a set of them that
// isn't.
func (p *Policy) hole(outer, inner pattern, allow bool, access Access) error {
	verb := "deny"
	if allow {
		verb = "allow"
	}
	field := cmp.Or(p.last(inner, allow, access), p.last(outer, !allow, access), "linux.resources.devices")
	return &RuleError{field, fmt.Sprintf(
		"cgroup v1 can't %s %s of %s alone among %s, where it is the other way round: it has no exceptions to exceptions; list each device by number, or use cgroup v2",
		verb, access, name(inner), name(outer))}
}

// Lines returns the writes that bring a cgroup from whatever it holds to the plan.
func (v *V1) Lines() []Line {
	lines := []Line{{Allow: v.allow, Value: "a"}}
	for _, q := range sortedPatterns(v.exceptions) {
		e := v.exceptions[q]
		lines = append(lines, Line{Allow: !v.allow, Value: format(q, e.access), Field: e.field})
	}
	return lines
}

// sortedPatterns puts wider patterns first, which the kernel searches first.
func sortedPatterns[V any](m map[pattern]V) []pattern {
	list := make([]pattern, 0, len(m))
	for q := range m {
		list = append(list, q)
	}
	slices.SortFunc(list, func(a, b pattern) int {
		return cmp.Or(cmp.Compare(b.wildcards(), a.wildcards()), cmp.Compare(a.kind, b.kind), cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor))
	})
	return list
}

func format(p pattern, access Access) string { return name(p) + " " + access.String() }

// name writes a pattern of one type as version 1 does.
func name(p pattern) string {
	kind := "b "
	if p.kind == char {
		kind = "c "
	}
	return kind + number(p.major) + ":" + number(p.minor)
}

func number(n int64) string {
	if n == wildcard {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}

// parseList reads devices.list. restricted is false where all is allowed by default; the
// exceptions to that aren't shown.
func parseList(list string) (exceptions map[pattern]exception, restricted bool) {
	exceptions = make(map[pattern]exception)
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		if f[0] == "a" {
			return nil, false
		}
		p := pattern{kind: block, major: wildcard, minor: wildcard}
		if f[0] == "c" {
			p.kind = char
		}
		major, minor, _ := strings.Cut(f[1], ":")
		if n, err := strconv.ParseInt(major, 10, 64); err == nil {
			p.major = n
		}
		if n, err := strconv.ParseInt(minor, 10, 64); err == nil {
			p.minor = n
		}
		access, err := parseAccess(f[2], "")
		if err != nil {
			continue
		}
		exceptions[p] = exception{access: access}
	}
	return exceptions, true
}
