package devices

import (
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

// V1 writes the policy for a version 1 cgroup, in whatever state that is. Version 1 knows
// one rule for all devices and exceptions to it, no exceptions to exceptions: a list that
// needs those is an error, as the kernel would take them and grant too much.
func (p *Policy) V1() ([]Line, error) {
	lines := []Line{{Allow: p.allow, Value: "a"}}
	exceptions, err := p.exceptions()
	if err != nil {
		return nil, err
	}
	for _, r := range exceptions {
		for _, v := range r.lines() {
			lines = append(lines, Line{Allow: r.allow, Value: v, Field: r.field})
		}
	}
	return lines, nil
}

// exceptions returns the rules with access widened by what other rules grant to the same
// devices: the version 1 kernel wants one rule to grant all of a request.
func (p *Policy) exceptions() ([]rule, error) {
	for _, r := range p.rules {
		if r.allow == p.allow {
			return nil, &RuleError{r.field, "cgroup v1 can't make an exception to what an earlier entry says of these devices; list each device by number, or use cgroup v2"}
		}
	}
	rules := merge(p.rules)
	for i := range rules {
		for _, r := range rules {
			if r.covers(rules[i].pattern) {
				rules[i].access |= r.access
			}
		}
	}
	return rules, nil
}

// V1Update returns the lines that lead from a cgroup's devices.list to the policy while its
// processes run: what is new is allowed before what is gone is denied.
func (p *Policy) V1Update(list string) ([]Line, error) {
	now, restricted := parseList(list)
	if p.allow || !restricted {
		return p.V1() // the exceptions to "all is allowed" aren't shown, so none is kept
	}
	rules, err := p.exceptions()
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, r := range rules {
		for _, q := range r.split() {
			if r.access&^now[q] != 0 {
				lines = append(lines, Line{Allow: true, Value: format(q, r.access), Field: r.field})
			}
			now[q] &^= r.access
		}
	}
	gone := make([]string, 0, len(now))
	for q, access := range now {
		if access != 0 {
			gone = append(gone, format(q, access))
		}
	}
	slices.Sort(gone)
	for _, v := range gone {
		lines = append(lines, Line{Value: v})
	}
	return lines, nil
}

// parseList reads devices.list. restricted is false where all is allowed by default; the
// exceptions to that aren't shown.
func parseList(list string) (allowed map[pattern]Access, restricted bool) {
	allowed = make(map[pattern]Access)
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
		allowed[p] = access
	}
	return allowed, true
}

// split spells out a rule about both kinds of devices: "a" in a version 1 line means all
// devices whatever else it says.
func (p pattern) split() []pattern {
	if p.kind != anyType {
		return []pattern{p}
	}
	return []pattern{{block, p.major, p.minor}, {char, p.major, p.minor}}
}

func (r rule) lines() []string {
	var lines []string
	for _, p := range r.split() {
		lines = append(lines, format(p, r.access))
	}
	return lines
}

func format(p pattern, access Access) string {
	kind := 'b'
	if p.kind == char {
		kind = 'c'
	}
	return fmt.Sprintf("%c %s:%s %v", kind, number(p.major), number(p.minor), access)
}

func number(n int64) string {
	if n == wildcard {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}
