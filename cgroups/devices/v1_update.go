package devices

import "slices"

// Change leads a running container's version 1 cgroup from one state to another.
type Change struct {
	Lines []Line
	// Abrupt is set if the rule for all devices is written, which drops every exception:
	// until the last line is written the cgroup holds neither the old state nor the new,
	// so the processes are better stopped meanwhile.
	Abrupt bool
}

// Change returns the writes from what devices.list shows to the plan. Where all was and
// stays denied by default only differences are written, what is new before what goes, so
// that no process ever lacks what both states allow or has what neither does. The
// exceptions to "all is allowed" aren't shown, so from and to that everything is written.
func (v *V1) Change(list string) Change {
	now, restricted := parseList(list)
	if v.allow || !restricted {
		return Change{v.Lines(), true}
	}
	return Change{Lines: difference(now, v.exceptions)}
}

// Back returns the writes that undo a change to a cgroup whose devices.list was before and
// is now now. What can't be read, the exceptions to "all is allowed", can't be brought
// back: then there is nothing to write, and what is now stays.
func Back(before, now string) Change {
	was, restricted := parseList(before)
	if before == now || !restricted {
		return Change{}
	}
	old := &V1{exceptions: was}
	return old.Change(now)
}

func difference(from, to map[pattern]exception) []Line {
	var lines []Line
	for _, q := range sortedPatterns(to) {
		if e := to[q]; e.access&^from[q].access != 0 {
			lines = append(lines, Line{Allow: true, Value: format(q, e.access), Field: e.field})
		}
	}
	for _, q := range slices.Backward(sortedPatterns(from)) {
		if gone := from[q].access &^ to[q].access; gone != 0 {
			lines = append(lines, Line{Value: format(q, gone)})
		}
	}
	return lines
}
