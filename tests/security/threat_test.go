package security

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"davit/tests/harness"
)

// Every test that docs/threat-model.md names exists, and each of its rows names one.
func TestThreatModel(t *testing.T) {
	t.Parallel()
	module, err := harness.ModuleDir()
	must(t, err)
	defined := make(map[string]bool)
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	must(t, filepath.WalkDir(module, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, m := range declaration.FindAllStringSubmatch(readFile(t, path), -1) {
			defined[m[1]] = true
		}
		return nil
	}))
	rows := 0
	for line := range strings.Lines(readFile(t, filepath.Join(module, "docs/threat-model.md"))) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[2]) == "tests" {
			continue
		}
		rows++
		for name := range strings.SplitSeq(cells[2], ",") {
			if name = strings.TrimSpace(name); !defined[name] {
				t.Errorf("%s: there is no test %q", strings.TrimSpace(cells[0]), name)
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d rows: are the tables still tables?", rows)
	}
}
