package security

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"davit/tests/harness"
)

// The list in docs/cve.md and the tests are the same: each row names tests that exist, the first of them by its number, and no test is left out.
func TestListOfCVEs(t *testing.T) {
	t.Parallel()
	module, err := harness.ModuleDir()
	must(t, err)
	defined := append(testNames(t, filepath.Join(module, "tests/security")), testNames(t, filepath.Join(module, "tests/rootless"))...)
	row := regexp.MustCompile(`(?m)^\| (CVE-\d+-\d+) \|.*\| ([^|]*) \|$`)
	var named []string
	for _, m := range row.FindAllStringSubmatch(readFile(t, filepath.Join(module, "docs/cve.md")), -1) {
		tests := strings.Split(m[2], ", ")
		if want := "Test" + strings.ReplaceAll(m[1], "-", "_"); tests[0] != want {
			t.Errorf("%s names %s, want %s first", m[1], tests[0], want)
		}
		for _, name := range tests {
			if !slices.Contains(defined, name) {
				t.Errorf("%s names %s, which doesn't exist", m[1], name)
			}
		}
		named = append(named, tests...)
	}
	if len(named) < 24 {
		t.Errorf("the table has %d tests: is it still a table?", len(named))
	}
	for _, name := range defined {
		if strings.HasPrefix(name, "TestCVE") && !slices.Contains(named, name) {
			t.Errorf("%s is in no row", name)
		}
	}
}

func testNames(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	must(t, err)
	var names []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		must(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(data), -1) {
			names = append(names, m[1])
		}
	}
	return names
}
