// Package devices turns linux.resources.devices into what the kernel enforces: lines for a
// version 1 devices cgroup, or an eBPF program for one of the unified hierarchy.
//
// # What a list means
//
// Nothing is allowed but what the list allows. Its entries are taken in order and for each
// kind of access (read, write, mknod) the last one that matches a device decides, so a
// request for several kinds may be granted by several entries together (runtime-spec,
// config-linux.md, "Allowed Device list").
//
// The devices that every container has (runtime-spec, "Default Devices", the pseudo
// terminals, and /dev/net/tun, which VPN software in containers has come to rely on) and
// mknod of any device are allowed as if listed right after the last entry about all
// devices. What the list says after that entry, a denial too, has the last word.
//
// # Beside systemd
//
// In the unified hierarchy the policy is davit's own program on the container's cgroup.
// systemd, which replaces the programs of its units at every daemon-reload, leaves it
// alone: the kernel asks all programs from the root down and each must agree.
package devices

import (
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Access is a set of kinds of access, with the bits of bpf(2)'s BPF_DEVCG_ACC_*.
type Access uint8

// Kinds of access.
const (
	Mknod Access = 1 << iota
	Read
	Write
	all = Mknod | Read | Write
)

func (a Access) String() string {
	s := make([]byte, 0, 3)
	for i, c := range [...]byte{'m', 'r', 'w'} {
		if a&(1<<i) != 0 {
			s = append(s, c)
		}
	}
	return string(s)
}

// Kinds of device nodes, with the values of bpf(2)'s BPF_DEVCG_DEV_*.
const (
	anyType = 0
	block   = 1
	char    = 2
)

// wildcard stands for every major or minor number.
const wildcard = -1

// pattern is a set of devices.
type pattern struct {
	kind         uint8
	major, minor int64
}

var everything = pattern{anyType, wildcard, wildcard}

// covers tells whether every device of q is in p.
func (p pattern) covers(q pattern) bool {
	return (p.kind == anyType || p.kind == q.kind) &&
		(p.major == wildcard || p.major == q.major) &&
		(p.minor == wildcard || p.minor == q.minor)
}

// meets tells whether a device can be in both p and q.
func (p pattern) meets(q pattern) bool {
	return (p.kind == anyType || q.kind == anyType || p.kind == q.kind) &&
		(p.major == wildcard || q.major == wildcard || p.major == q.major) &&
		(p.minor == wildcard || q.minor == wildcard || p.minor == q.minor)
}

type rule struct {
	pattern
	access Access
	allow  bool
	field  string // of the entry in config.json; "" for a default
}

// Policy is a list in its simplest equivalent form.
type Policy struct {
	allow  bool   // what holds where no rule decides
	rules  []rule // in order, the last one that matches decides
	source []rule // as listed, with the defaults
}

// RuleError is an entry that can't be applied.
type RuleError struct {
	Field  string // JSON path in config.json
	Reason string
}

func (e *RuleError) Error() string { return e.Field + ": " + e.Reason }

// NewPolicy checks a list and simplifies it.
func NewPolicy(list []specs.LinuxDeviceCgroup) (*Policy, error) {
	rules, err := parse(list)
	if err != nil {
		return nil, err
	}
	return simplify(withDefaults(rules)), nil
}

func parse(list []specs.LinuxDeviceCgroup) ([]rule, error) {
	rules := make([]rule, 0, len(list))
	for i, d := range list {
		r := rule{allow: d.Allow, field: fmt.Sprintf("linux.resources.devices[%d]", i)}
		var err error
		if r.kind, err = parseType(d.Type, r.field); err != nil {
			return nil, err
		}
		if r.major, err = parseNumber(d.Major, r.field+".major"); err != nil {
			return nil, err
		}
		if r.minor, err = parseNumber(d.Minor, r.field+".minor"); err != nil {
			return nil, err
		}
		if r.access, err = parseAccess(d.Access, r.field); err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseType(s, field string) (uint8, error) {
	switch s {
	case "", "a":
		return anyType, nil
	case "b":
		return block, nil
	case "c":
		return char, nil
	}
	return 0, &RuleError{field + ".type", fmt.Sprintf("%q is none of a, b and c", s)}
}

// parseNumber takes -1 for a wildcard, as engines write it.
func parseNumber(n *int64, field string) (int64, error) {
	switch {
	case n == nil || *n == wildcard:
		return wildcard, nil
	case *n < 0 || *n > math.MaxUint32:
		return 0, &RuleError{field, fmt.Sprintf("%d is not a device number", *n)}
	}
	return *n, nil
}

// parseAccess takes an absent access for all of it, as runc does: engines rely on a bare
// {"allow": false} to deny.
func parseAccess(s, field string) (Access, error) {
	if s == "" {
		return all, nil
	}
	var a Access
	for _, c := range s {
		switch c {
		case 'r':
			a |= Read
		case 'w':
			a |= Write
		case 'm':
			a |= Mknod
		default:
			return 0, &RuleError{field + ".access", fmt.Sprintf("%q is not a composition of r, w and m", s)}
		}
	}
	return a, nil
}

// withDefaults inserts the devices every container has; see the package comment for where.
func withDefaults(rules []rule) []rule {
	at := 0
	for i, r := range rules {
		if r.pattern == everything {
			at = i + 1
		}
	}
	defaults := []rule{
		{pattern: pattern{anyType, wildcard, wildcard}, access: Mknod},
		{pattern: pattern{char, 1, 3}, access: all},          // null
		{pattern: pattern{char, 1, 5}, access: all},          // zero
		{pattern: pattern{char, 1, 7}, access: all},          // full
		{pattern: pattern{char, 1, 8}, access: all},          // random
		{pattern: pattern{char, 1, 9}, access: all},          // urandom
		{pattern: pattern{char, 5, 0}, access: all},          // tty
		{pattern: pattern{char, 5, 1}, access: all},          // console
		{pattern: pattern{char, 5, 2}, access: all},          // ptmx
		{pattern: pattern{char, 136, wildcard}, access: all}, // pts/*
		{pattern: pattern{char, 10, 200}, access: all},       // net/tun
	}
	for i := range defaults {
		defaults[i].allow = true
	}
	return slices.Insert(rules, at, defaults...)
}

// simplify removes what has no effect: access that later rules decide anyway, and rules
// that only say what holds without them.
func simplify(rules []rule) *Policy {
	p := &Policy{source: rules}
	for i, r := range slices.Backward(rules) {
		if r.pattern == everything && r.access == all {
			p.allow, rules = r.allow, rules[i+1:]
			break
		}
	}
	rules = slices.Clone(rules)
	for i := range rules {
		for _, later := range rules[i+1:] {
			if later.covers(rules[i].pattern) {
				rules[i].access &^= later.access
			}
		}
	}
	for _, r := range rules {
		opposed := func(o rule) bool { return o.allow != r.allow && o.access&r.access != 0 && o.meets(r.pattern) }
		if r.access == 0 || r.allow == p.allow && !slices.ContainsFunc(p.rules, opposed) {
			continue
		}
		p.rules = append(p.rules, r)
	}
	return p
}

// Unrestricted tells whether the policy allows everything, which a new cgroup does anyway.
func (p *Policy) Unrestricted() bool { return p.allow && len(p.rules) == 0 }
