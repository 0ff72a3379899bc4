package jsontext

// OptionalString reads a string; null leaves the old one.
func (d *Decoder) OptionalString(v *string) {
	if !d.Null() {
		*v = d.string()
	}
}

// OptionalBool reads a boolean; null leaves the old one.
func (d *Decoder) OptionalBool(v *bool) {
	if !d.Null() {
		d.Bool(v)
	}
}

// NotNull refuses a null in the place of a value that has to be there.
func (d *Decoder) NotNull() {
	if d.next() == 'n' {
		d.Refuse()
	}
}

// moreStrings is the least room that is made for strings when what there was is
// used up.
const moreStrings = 64

// Strings reads an array of strings; null resets the slice. The slices of a text
// lie side by side. Appending to one doesn't change another.
func (d *Decoder) Strings(v *[]string) {
	if d.Null() {
		*v = nil
		return
	}
	list := d.spare[:0]
	for ok := d.Array(); ok; ok = d.Element() {
		if len(list) == cap(list) {
			n := len(list)
			list = append(list, make([]string, max(moreStrings, n))...)[:n]
		}
		list = append(list, d.string())
	}
	n := len(list)
	d.spare = list[n:]
	*v = list[:n:n]
	if n == 0 {
		*v = []string{}
	}
}

// StringMap reads an object of strings; null resets the map. Members are added
// to those that are already there.
func (d *Decoder) StringMap(v *map[string]string) {
	if d.Null() {
		*v = nil
		return
	}
	if *v == nil {
		*v = map[string]string{}
	}
	for ok := d.Object(); ok; ok = d.Member() {
		name := d.Name
		(*v)[name] = d.string()
	}
}
