package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// decision is what a profile says about a system call.
type decision struct {
	rules  []conditional // the first that holds decides
	action action        // where none holds
}

// conditional is a rule of one system call whose conditions all have to hold.
type conditional struct {
	action action
	args   []specs.LinuxSeccompArg // one for each argument, sorted by it
}

// maxConditionals bounds the work on a profile, in which a few lines can put
// thousands of conditions on each of hundreds of calls. A program has room for
// some thousand different ones (BPF_MAXINSNS).
const maxConditionals = 1 << 16

// decider finds the decision about a call, and remembers it.
type decider struct {
	p       *profile
	entries map[string][]int     // indexes into p.rules, ascending
	made    map[string]*decision // by names, which NUL separates
	weighed int                  // conditional rules until now
}

func newDecider(p *profile) *decider {
	d := &decider{p: p, entries: make(map[string][]int, p.names()), made: make(map[string]*decision)}
	for i := range p.rules {
		for _, name := range p.rules[i].names {
			if list := d.entries[name]; len(list) == 0 || list[len(list)-1] != i {
				d.entries[name] = append(list, i)
			}
		}
	}
	return d
}

// decide returns what the profile says about a call that has these names: more
// than one are aliases on some architecture.
func (d *decider) decide(names ...string) (*decision, error) {
	key := strings.Join(names, "\x00")
	if made := d.made[key]; made != nil {
		return made, nil
	}
	var entries []int
	for _, name := range names {
		entries = append(entries, d.entries[name]...)
	}
	slices.Sort(entries)
	made, err := d.decideBy(slices.Compact(entries), names)
	if err == nil {
		d.made[key] = made
	}
	return made, err
}

func (d *decider) decideBy(entries []int, names []string) (*decision, error) {
	result := &decision{action: d.p.defaultAction}
	entries = slices.DeleteFunc(entries, func(i int) bool { return d.p.rules[i].action == d.p.defaultAction })
	for _, i := range entries {
		if r := &d.p.rules[i]; len(r.args) == 0 {
			result.action = r.action
			return result, nil
		}
	}
	asked := make(map[string]action)
	for _, i := range entries {
		r := &d.p.rules[i]
		for _, args := range r.alternatives() {
			if d.weighed++; d.weighed > maxConditionals {
				return nil, fieldErrorf("linux.seccomp.syscalls", "put more than %d conditions on calls, of which no program has room for", maxConditionals)
			}
			key := conditionsKey(args)
			other, found := asked[key]
			if found && other != r.action {
				return nil, fieldErrorf(r.field(""), "asks for %s on %q under the same conditions as another entry does for another action", r.action, strings.Join(names, ", "))
			}
			if !found {
				asked[key] = r.action
				result.rules = append(result.rules, conditional{r.action, args})
			}
		}
	}
	slices.SortStableFunc(result.rules, func(a, b conditional) int { return len(a.args) - len(b.args) })
	return result, nil
}

// alternatives are the conditions of each rule that an entry stands for.
func (r *rule) alternatives() [][]specs.LinuxSeccompArg {
	if !r.anyArg {
		sorted := slices.Clone(r.args)
		slices.SortFunc(sorted, func(a, b specs.LinuxSeccompArg) int { return int(a.Index) - int(b.Index) })
		return [][]specs.LinuxSeccompArg{sorted}
	}
	list := make([][]specs.LinuxSeccompArg, len(r.args))
	for i := range r.args {
		list[i] = r.args[i : i+1]
	}
	return list
}

// conditionsKey is the same for conditions that mean the same.
func conditionsKey(args []specs.LinuxSeccompArg) string {
	k := make([]byte, 0, 64)
	for _, arg := range args {
		value, mask := operands(arg)
		k = append(k, byte(arg.Index))
		k = append(k, arg.Op...)
		k = binary.NativeEndian.AppendUint64(k, value)
		k = binary.NativeEndian.AppendUint64(k, mask)
	}
	return string(k)
}

// strictest is the decision where conditions can't be read: what denies most
// of all that could come of them, in the kernel's order of actions.
func (d *decision) strictest() action {
	a := d.action
	for _, r := range d.rules {
		if r.action.stricter(a) {
			a = r.action
		}
	}
	return a
}

// stricter compares as the kernel does where several filters answer (seccomp(2)):
// KILL_PROCESS, the one negative number, comes before all others.
func (a action) stricter(b action) bool { return int32(a.kind()) < int32(b.kind()) }

// shadowed finds rules that have no effect because one without conditions
// decides the same system call differently.
func (p *profile) shadowed() (warnings []string) {
	decided := make(map[string]*rule, p.names())
	for i := range p.rules {
		if r := &p.rules[i]; len(r.args) == 0 && r.action != p.defaultAction {
			for _, name := range r.names {
				if decided[name] == nil {
					decided[name] = r
				}
			}
		}
	}
	for i := range p.rules {
		r := &p.rules[i]
		for _, name := range r.names {
			if d := decided[name]; d != nil && d.action != r.action {
				warnings = append(warnings, fmt.Sprintf("%s: no effect on %q, which syscalls[%d] decides without conditions", r.field(""), name, d.index))
			}
		}
	}
	return warnings
}
