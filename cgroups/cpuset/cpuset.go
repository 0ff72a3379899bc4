// Package cpuset reads lists of CPUs and of memory nodes, such as "0-3,7", as
// cpuset(7) has them ("List format"). It is the one place that knows the format:
// what a configuration's check lets through, what becomes a mask and what is
// compared with the host are the same.
package cpuset

import (
	"fmt"
	"strconv"
	"strings"
)

// Error is an element of a list that is none.
type Error struct {
	Element string // without spaces around it
	Reason  string // what is wrong with it, to be read after it
}

func (e *Error) Error() string { return fmt.Sprintf("%q %s", e.Element, e.Reason) }

// Each calls do with the first and the last number of each element. Spaces
// around an element and empty elements are passed over, as the kernel does.
// Numbers have at most 31 bits; which ones exist isn't known here. The error is
// an *Error; do has been called for what comes before that element.
func Each(list string, do func(first, last int)) error {
	for element := range strings.SplitSeq(list, ",") {
		element = strings.Trim(element, " ")
		if element == "" {
			continue
		}
		low, high, isRange := strings.Cut(element, "-")
		first, ok := number(low)
		last := first
		if ok && isRange {
			last, ok = number(high)
		}
		switch {
		case !ok:
			return &Error{element, "is neither a number nor a range"}
		case last < first:
			return &Error{element, "ends before it starts"}
		}
		do(first, last)
	}
	return nil
}

// number is strict about the form: "+1" and "" are none.
func number(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}

// Mask returns the bits of a list, the lowest byte first, in whole units of as
// many bytes as unit says; nothing for a list without a number. A number above
// highest is an error.
func Mask(list string, highest, unit int) ([]byte, error) {
	var mask []byte
	var beyond error
	err := Each(list, func(first, last int) {
		if last > highest {
			if beyond == nil {
				beyond = fmt.Errorf("%d is beyond the highest number, %d", last, highest)
			}
			return
		}
		if need := (last/8/unit + 1) * unit; need > len(mask) {
			mask = append(mask, make([]byte, need-len(mask))...)
		}
		for n := first; n <= last; n++ {
			mask[n/8] |= 1 << (n % 8)
		}
	})
	if err == nil {
		err = beyond
	}
	if err != nil {
		return nil, err
	}
	return mask, nil
}
