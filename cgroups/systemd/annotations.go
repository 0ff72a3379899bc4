package systemd

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"davit/cgroups/systemd/dbus"
)

// annotationPrefix begins the annotations that are properties of the container's unit.
const annotationPrefix = "org.systemd.property."

// Annotated returns the unit's properties that a config asks for by annotations
// org.systemd.property.NAME, whose values are in GVariant's text format, sorted by annotation. A time
// that is called NAMESec in a unit file is NAMEUSec on the bus: it may be given as the former, in
// seconds.
func Annotated(annotations map[string]string) ([]Property, error) {
	var list []Property
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, annotationPrefix)
		if !ok {
			continue
		}
		p, err := property(name, annotations[key])
		if err != nil {
			return nil, fmt.Errorf("annotations[%q]: %w", key, err)
		}
		list = append(list, p)
	}
	return list, nil
}

func property(name, text string) (Property, error) {
	if len(name) < 3 || strings.TrimFunc(name, isLetter) != "" {
		return Property{}, fmt.Errorf("%q is not the name of a unit's property", name)
	}
	v, err := ParseVariant(text)
	if err != nil {
		return Property{}, err
	}
	if base, ok := strings.CutSuffix(name, "Sec"); ok && base != "" && 'a' <= base[len(base)-1] && base[len(base)-1] <= 'z' {
		if v, err = microseconds(v); err != nil {
			return Property{}, err
		}
		name = base + "USec"
	}
	return Property{name, v}, nil
}

func isLetter(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// microseconds converts a number of seconds, of any type of numbers.
func microseconds(v dbus.Variant) (dbus.Variant, error) {
	var n float64
	switch x := v.Value.(type) {
	case byte:
		n = float64(x)
	case int16:
		n = float64(x)
	case uint16:
		n = float64(x)
	case int32:
		n = float64(x)
	case uint32:
		n = float64(x)
	case int64:
		n = float64(x)
	case uint64:
		if x == math.MaxUint64 { // infinity
			return dbus.Variant{Sig: "t", Value: x}, nil
		}
		n = float64(x)
	case float64:
		n = x
	default:
		return v, fmt.Errorf("a time in seconds is a number, not of type %q", v.Sig)
	}
	if n *= 1e6; !(n >= 0 && n < 1<<63) {
		return v, fmt.Errorf("%v is not a time in seconds", v.Value)
	}
	return dbus.Variant{Sig: "t", Value: uint64(n)}, nil
}
