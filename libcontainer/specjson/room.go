package specjson

// A room, whose type is generated, is the memory of one decoding: of what a
// configuration has once, and of as many elements of its lists as it usually
// has. Memory of another size costs a process that uses it for the first time
// two page faults and the allocator's preparations, more than decoding into it.
// What is left over is never touched.

// section makes a pointer to a struct point to its place and reports whether its
// value follows. For null the pointer stays nil. All pointers share one
// instance of it.
func section[P comparable](d *room, v *P, place P) bool {
	var none P
	if d.Null() {
		if *v != none { // the place is in use, and not zero
			d.Refuse()
		}
		return false
	}
	*v = place
	return true
}

// optional makes memory for the value of a pointer. For null it resets the
// pointer and returns nil.
func optional[T any](d *room, v **T) *T {
	if d.Null() {
		*v = nil
	} else if *v == nil {
		*v = new(T)
	}
	return *v
}

// moreElements is the least number of elements that memory is made for when the
// room for them is used up. Growing from one would take several sizes of memory.
const moreElements = 4

// table reads an object as a map; null resets it. Members are added to those
// that are already there.
func table[T any](d *room, v *map[string]T, element func(*room, *T)) {
	if d.Null() {
		*v = nil
		return
	}
	if *v == nil {
		*v = map[string]T{}
	}
	for ok := d.Object(); ok; ok = d.Member() {
		name := d.Name
		var e T
		element(d, &e)
		(*v)[name] = e
	}
}
