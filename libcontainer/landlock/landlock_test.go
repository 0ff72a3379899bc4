package landlock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func parse(text string) (*Policy, error) { return Parse(map[string]string{Annotation: text}) }

func TestParse(t *testing.T) {
	if p, err := Parse(map[string]string{"other": "{}"}); p != nil || err != nil {
		t.Errorf("without the annotation: %v, %v", p, err)
	}
	p, err := parse(`{"handledAccessFS": ["read_file", "write_file"], "handledAccessNet": ["all"], "scoped": ["signal", "abstract_unix_socket"],
		"rules": [{"paths": ["/", "/b"], "access": ["read_file"]}, {"paths": ["/c"], "access": ["all"]}, {"ports": [0, 65535], "access": ["bind_tcp"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	const rw = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	if p.BestEffort || p.FS != rw || p.Net != 3 || p.Scoped != 3 {
		t.Errorf("got %+v", p)
	}
	var rules []string
	for _, r := range p.Paths {
		rules = append(rules, fmt.Sprint(r.Path, " ", r.Access, " ", strings.TrimPrefix(r.Field, `annotations["run.davit.landlock"].`)))
	}
	for _, r := range p.Ports {
		rules = append(rules, fmt.Sprint(r.Port, " ", r.Access, " ", strings.TrimPrefix(r.Field, `annotations["run.davit.landlock"].`)))
	}
	want := []string{"/ 4 rules[0].paths[0]", "/b 4 rules[0].paths[1]", "/c 6 rules[1].paths[0]", "0 1 rules[2].ports[0]", "65535 1 rules[2].ports[1]"}
	if !slices.Equal(rules, want) {
		t.Errorf("rules %q\nwant  %q", rules, want)
	}
}

// What could mean less protection than somebody thinks is an error with its place.
func TestRefused(t *testing.T) {
	fs := `"handledAccessFS": ["read_file"]`
	for text, want := range map[string]string{
		``:              `annotations["run.davit.landlock"]: EOF`,
		`[]`:            `annotations["run.davit.landlock"]: json: cannot unmarshal array`,
		`{}`:            `annotations["run.davit.landlock"]: handles nothing`,
		`{` + fs + `}x`: `there is something behind the policy`,
		`{` + fs + `, "handledAccessFs": ["write_file"]}`:                                                      `member "handledaccessfs" is there twice`,
		`{` + fs + `, "rules": [{"paths": ["/"], "access": ["read_file"], "paths": ["/a"]}]}`:                  `member "paths" is there twice`,
		`{` + fs + `, "rule": []}`:                                                                             `unknown field "rule"`,
		`{` + fs + `, "mode": "loose"}`:                                                                        `.mode: "loose" is neither`,
		`{"handledAccessFS": ["read"]}`:                                                                        `.handledAccessFS[0]: "read" is unknown; known are "all", execute`,
		`{"handledAccessNet": ["bind_tcp", "read_file"]}`:                                                      `.handledAccessNet[1]: "read_file" is unknown`,
		`{"scoped": [""]}`:                                                                                     `.scoped[0]: "" is unknown`,
		`{` + fs + `, "rules": [{}]}`:                                                                          `.rules[0]: has neither paths nor ports`,
		`{` + fs + `, "rules": [{"paths": ["/"]}]}`:                                                            `.rules[0].access: must name at least one right`,
		`{` + fs + `, "rules": [{"paths": ["/"], "ports": [1], "access": ["read_file"]}]}`:                     `.rules[0]: has both paths and ports`,
		`{` + fs + `, "rules": [{"paths": ["/"], "access": ["read_file", "write_file", "make_dir"]}]}`:         `.rules[0].access: write_file, make_dir isn't in handledAccessFS`,
		`{` + fs + `, "rules": [{"ports": [1], "access": ["all"]}]}`:                                           `.rules[0].access: "all" of handledAccessNet is nothing`,
		`{` + fs + `, "rules": [{"ports": [1], "access": ["bind_tcp"]}]}`:                                      `isn't in handledAccessNet`,
		`{"handledAccessNet": ["all"], "rules": [{"ports": [65536], "access": ["bind_tcp"]}]}`:                 `cannot unmarshal number 65536`,
		`{` + fs + `, "rules": [{"paths": ["a"], "access": ["read_file"]}]}`:                                   `.rules[0].paths[0]: "a" is not an absolute path`,
		`{` + fs + `, "rules": [{"paths": ["/", "/a\u0000b"], "access": ["read_file"]}]}`:                      `.rules[0].paths[1]: "/a\x00b" is not an absolute path`,
		`{` + fs + `, "rules": [{"paths": ["/` + strings.Repeat("a", 4095) + `"], "access": ["all"]}]}`:        `is not an absolute path`,
		`{` + fs + `, "rules": [{"paths": ["/"` + strings.Repeat(`,"/"`, maxRules) + `], "access": ["all"]}]}`: `.rules: 4097 paths and ports, the limit is 4096`,
		`{` + fs + strings.Repeat(" ", maxText) + `}`:                                                          `the limit is 65536`,
	} {
		p, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.90s: %+v, %v, want %s", text, p, err, want)
			continue
		}
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(e.Field, `annotations["run.davit.landlock"]`) {
			t.Errorf("%.90s: %v has no field", text, err)
		}
	}
}

func TestFit(t *testing.T) {
	text := `{"mode": %q, "handledAccessFS": ["all"], "handledAccessNet": ["all"], "scoped": ["all"],
		"rules": [{"paths": ["/a"], "access": ["all"]}, {"paths": ["/b"], "access": ["ioctl_dev"]}, {"ports": [80], "access": ["bind_tcp"]}]}`
	// What each version brought, from the kernel's documentation of Landlock.
	for abi, want := range []struct {
		fs           uint64
		net, scoped  uint64
		paths, ports int
		attr         int
		lost         string
	}{
		0: {0, 0, 0, 0, 0, 8, "this kernel has no Landlock"},
		1: {1<<13 - 1, 0, 0, 1, 0, 8, "refer, truncate, ioctl_dev: this kernel's Landlock, ABI 1"},
		2: {1<<14 - 1, 0, 0, 1, 0, 8, "truncate, ioctl_dev: "},
		3: {1<<15 - 1, 0, 0, 1, 0, 8, "ioctl_dev: "},
		4: {1<<15 - 1, 3, 0, 1, 1, 16, "ioctl_dev: "},
		5: {1<<16 - 1, 3, 0, 2, 1, 16, "scoped: abstract_unix_socket, signal: "},
		6: {1<<16 - 1, 3, 3, 2, 1, 24, ""},
		7: {1<<16 - 1, 3, 3, 2, 1, 24, ""},
	} {
		loose, err := parse(fmt.Sprintf(text, "best-effort"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := loose.Fit(abi)
		if err != nil {
			t.Fatal(err)
		}
		if p.FS != want.fs || p.Net != want.net || p.Scoped != want.scoped || len(p.Paths) != want.paths || len(p.Ports) != want.ports || (len(p.Dropped) == 0) != (want.lost == "") {
			t.Errorf("ABI %d: got %+v", abi, p)
		}
		for _, r := range p.Paths {
			if r.Access&^p.FS != 0 {
				t.Errorf("ABI %d: a rule of %#x, handled are %#x", abi, r.Access, p.FS)
			}
		}
		attr := p.Attr(abi)
		if len(attr) != want.attr || binary.NativeEndian.Uint64(attr) != want.fs {
			t.Errorf("ABI %d: attr % x", abi, attr)
		}
		if len(loose.Paths) != 2 || loose.FS != everyFS {
			t.Error("Fit changed the policy itself")
		}
		strict, err := parse(fmt.Sprintf(text, "strict"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = strict.Fit(abi)
		if want.lost == "" && err != nil || want.lost != "" && (err == nil || !strings.Contains(err.Error(), want.lost)) {
			t.Errorf("ABI %d, strict: %v, want %q", abi, err, want.lost)
		}
	}
}

// The tables are complete: every bit of "all" has one name, and each name one bit.
func TestTables(t *testing.T) {
	for name, set := range map[string]struct {
		rights []right
		every  uint64
	}{"fs": {fsRights(), everyFS}, "net": {netRights(), everyNet}, "scopes": {scopes(), everyScope}} {
		var all uint64
		for _, r := range set.rights {
			if all&r.bit != 0 || r.bit&(r.bit-1) != 0 {
				t.Errorf("%s: %s has bit %#x", name, r.name, r.bit)
			}
			all |= r.bit
		}
		if all != set.every {
			t.Errorf("%s: names for %#x, \"all\" is %#x", name, all, set.every)
		}
	}
}

// Whatever the annotation: no panic, and a policy that comes out is one that the kernel's rules allow.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{}`, `{"handledAccessFS": ["all"], "rules": [{"paths": ["/"], "access": ["read_file"]}]}`,
		`{"mode": "best-effort", "handledAccessNet": ["bind_tcp"], "scoped": ["all"], "rules": [{"ports": [1], "access": ["all"]}]}`, `{"scoped": ["signal"]} {`} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, text string, abi int) {
		p, err := parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%v has no field", err)
			}
			return
		}
		fit, err := p.Fit(abi)
		if err != nil {
			return
		}
		if !p.BestEffort && len(fit.Dropped) > 0 {
			t.Fatalf("a strict policy lost %q", fit.Dropped)
		}
		for _, r := range fit.Paths {
			if r.Access == 0 || r.Access&^fit.FS != 0 || !strings.HasPrefix(r.Path, "/") || strings.IndexByte(r.Path, 0) >= 0 {
				t.Fatalf("a rule %+v, handled are %#x", r, fit.FS)
			}
		}
		for _, r := range fit.Ports {
			if r.Access == 0 || r.Access&^fit.Net != 0 {
				t.Fatalf("a rule %+v, handled are %#x", r, fit.Net)
			}
		}
	})
}
