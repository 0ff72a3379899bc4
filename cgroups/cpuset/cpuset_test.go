package cpuset

import (
	"fmt"
	"strings"
	"testing"
)

func TestEach(t *testing.T) {
	for list, want := range map[string]string{
		"":             "",
		"0":            "0-0",
		"0-3,7":        "0-3 7-7",
		" 0 , 2-3 ":    "0-0 2-3",
		"0,":           "0-0",
		",,1,":         "1-1",
		"0\n":          `"0\n" is neither a number nor a range`,
		"007":          "7-7",
		"2147483647":   "2147483647-2147483647",
		"2147483648":   `"2147483648" is neither a number nor a range`,
		"1,x":          `1-1 "x" is neither a number nor a range`,
		"3-1":          `"3-1" ends before it starts`,
		"-1":           `"-1" is neither a number nor a range`,
		"1-":           `"1-" is neither a number nor a range`,
		"+1":           `"+1" is neither a number nor a range`,
		"1 - 2":        `"1 - 2" is neither a number nor a range`,
		"1-2-3":        `"1-2-3" is neither a number nor a range`,
		"0-7:1/2":      `"0-7:1/2" is neither a number nor a range`,
		"\u0661":       `"` + "\u0661" + `" is neither a number nor a range`,
		"all":          `"all" is neither a number nor a range`,
		"0x1":          `"0x1" is neither a number nor a range`,
		"99999999999,": `"99999999999" is neither a number nor a range`,
	} {
		var got []string
		if err := Each(list, func(first, last int) { got = append(got, fmt.Sprintf("%d-%d", first, last)) }); err != nil {
			got = append(got, err.Error())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct {
		list    string
		highest int
		unit    int
		want    string
	}{
		{"", 7, 8, "[]"}, {" , ", 7, 1, "[]"},
		{"0-2,8", 100, 1, "[7 1]"}, {"0-2,8,", 100, 8, "[7 1 0 0 0 0 0 0]"}, {"64", 100, 8, "[0 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0]"},
		{"8,0", 8, 1, "[1 1]"},
		{"0-9", 8, 1, "9 is beyond the highest number, 8"}, {"0-2147483647", 8191, 8, "2147483647 is beyond the highest number, 8191"},
		{"1,y,2000000000", 8191, 8, `"y" is neither a number nor a range`},
	} {
		mask, err := Mask(c.list, c.highest, c.unit)
		got := fmt.Sprint(mask)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q up to %d: %s, want %s", c.list, c.highest, got, c.want)
		}
	}
}

// What Each takes Mask takes, and has the same numbers in it.
func FuzzMask(f *testing.F) {
	for _, s := range []string{"0-3,7", "0,", "3-1", " 5 ", "8191", "8192"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		const highest = 8191
		want, over := map[int]bool{}, false
		eachErr := Each(list, func(first, last int) {
			if last > highest {
				over = true
				return
			}
			for n := first; n <= last; n++ {
				want[n] = true
			}
		})
		mask, err := Mask(list, highest, 8)
		if (err != nil) != (eachErr != nil || over) {
			t.Fatalf("%q: Each says %v, Mask %v", list, eachErr, err)
		}
		if err != nil {
			return
		}
		for n := range len(mask) * 8 {
			if want[n] != (mask[n/8]&(1<<(n%8)) != 0) {
				t.Fatalf("%q: bit %d of %x", list, n, mask)
			}
		}
	})
}
