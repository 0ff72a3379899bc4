package cgroups

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"davit/cgroups/cpuset"
)

// Stats reads what the container's controllers offer: a file that isn't there, as its
// controller or the kernel's option for it isn't, leaves its figures at zero.
func (m *manager) Stats() (*Stats, error) {
	if len(m.groups) == 0 {
		return nil, ErrNotExist
	}
	s := &Stats{Hugetlb: make(map[string]Hugetlb)}
	for _, g := range m.groups {
		r := &reader{g: g}
		if g.unified {
			r.unified(s)
		}
		for _, c := range g.controllers {
			r.v1(c, s)
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return s, nil
}

// reader reads files of one group; the first error that isn't a file's absence stays.
type reader struct {
	g   *group
	err error
}

// text returns a file's content, "" if there is no such file. A group that no figures are
// read from isn't even opened.
func (r *reader) text(file string) string {
	if r.err == nil {
		r.err = r.g.open()
	}
	if r.err != nil {
		return ""
	}
	s, err := readAt(r.g.fd, file)
	switch err {
	case nil:
		return s
	case unix.ENOENT, unix.EOPNOTSUPP: // the latter: switched off at boot, as psi=0
	case unix.ENODEV:
		r.err = fmt.Errorf("%w: %s", ErrNotExist, r.g.dir)
	default:
		r.err = &os.PathError{Op: "read", Path: r.g.file(file), Err: err}
	}
	return ""
}

func (r *reader) fail(file string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", r.g.file(file), err)
	}
}

// number returns a file's number, 0 if there is no such file.
func (r *reader) number(file string) uint64 {
	n, _ := r.known(file)
	return n
}

// known is number, and tells whether there is such a file.
func (r *reader) known(file string) (n uint64, ok bool) {
	s := strings.TrimSpace(r.text(file))
	if s == "" {
		return 0, false
	}
	n, err := parseUint(s)
	if err != nil {
		r.fail(file, err)
	}
	return n, true
}

// table returns a flat-keyed file, nil if there is no such file.
func (r *reader) table(file string) map[string]uint64 {
	text := r.text(file)
	if text == "" {
		return nil
	}
	t := make(map[string]uint64, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			continue
		}
		n, err := parseUint(value)
		if err != nil {
			r.fail(file, err)
			return nil
		}
		t[key] = n
	}
	return t
}

// list returns a file's numbers, separated by spaces.
func (r *reader) list(file string) (list []uint64) {
	for f := range strings.FieldsSeq(r.text(file)) {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			r.fail(file, err)
			return nil
		}
		list = append(list, n)
	}
	return list
}

// set returns the members of a cpuset list such as "0-3,7".
func (r *reader) set(file string) (members []uint16) {
	err := cpuset.Each(strings.TrimSpace(r.text(file)), func(first, last int) {
		for n := first; n <= min(last, math.MaxUint16); n++ {
			members = append(members, uint16(n))
		}
	})
	if err != nil {
		r.fail(file, err)
		return nil
	}
	return members
}

// psi reads a pressure file.
func (r *reader) psi(file string) *PSI {
	text := r.text(file)
	if text == "" {
		return nil
	}
	p := &PSI{}
	for line := range strings.Lines(text) {
		// some avg10=0.00 avg60=0.00 avg300=0.00 total=0
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		d := &p.Some
		if f[0] == "full" {
			d = &p.Full
		}
		for _, pair := range f[1:] {
			key, value, _ := strings.Cut(pair, "=")
			var err error
			switch key {
			case "avg10":
				d.Avg10, err = strconv.ParseFloat(value, 64)
			case "avg60":
				d.Avg60, err = strconv.ParseFloat(value, 64)
			case "avg300":
				d.Avg300, err = strconv.ParseFloat(value, 64)
			case "total":
				d.Total, err = strconv.ParseUint(value, 10, 64)
			}
			if err != nil {
				r.fail(file, err)
			}
		}
	}
	return p
}

// hugePageSizes names the kernel's huge page sizes as cgroup files do. /sys has
// "hugepages-2048kB".
func hugePageSizes() []string {
	entries, err := os.ReadDir("/sys/kernel/mm/hugepages")
	if err != nil {
		return nil
	}
	var sizes []string
	for _, e := range entries {
		s, ok := strings.CutPrefix(e.Name(), "hugepages-")
		kb, err := strconv.ParseUint(strings.TrimSuffix(s, "kB"), 10, 64)
		if !ok || err != nil {
			continue
		}
		sizes = append(sizes, pageSizeName(kb))
	}
	return sizes
}

func pageSizeName(kb uint64) string {
	switch {
	case kb >= 1<<20 && kb%(1<<20) == 0:
		return strconv.FormatUint(kb>>20, 10) + "GB"
	case kb >= 1<<10 && kb%(1<<10) == 0:
		return strconv.FormatUint(kb>>10, 10) + "MB"
	}
	return strconv.FormatUint(kb, 10) + "KB"
}
