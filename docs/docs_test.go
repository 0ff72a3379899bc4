// Package docs holds the pages to what they speak of: links lead somewhere, make has the
// targets, and the same figure is the same everywhere.
package docs

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tree is the sources.
var tree = os.DirFS("..")

// pages are the texts for people by their paths.
func pages(t *testing.T) map[string]string {
	t.Helper()
	text := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := fs.Glob(tree, pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %q, %v", pattern, paths, err)
		}
		for _, p := range paths {
			text[p] = read(t, p)
		}
	}
	return text
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := fs.ReadFile(tree, file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// anchors are what headings can be linked by: lower case, hyphens for blanks, no other punctuation.
func anchors(page string) map[string]bool {
	have := make(map[string]bool)
	for line := range strings.Lines(page) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		title = regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
		have[strings.ReplaceAll(title, " ", "-")] = true
	}
	return have
}

func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all, found := pages(t), 0
	for page, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			file, anchor, hasAnchor := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = path.Join(path.Dir(page), file)
			}
			if _, err := fs.Stat(tree, target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if hasAnchor && !anchors(all[target])[anchor] {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d links found", found)
	}
}

// TestPagesAreLinked wants every page to be found from README, by however many steps.
func TestPagesAreLinked(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s#]+)`)
	all := pages(t)
	seen := map[string]bool{"README.md": true}
	for todo := []string{"README.md"}; len(todo) > 0; todo = todo[1:] {
		for _, m := range link.FindAllStringSubmatch(all[todo[0]], -1) {
			target := path.Join(path.Dir(todo[0]), m[1])
			if _, ok := all[target]; ok && !seen[target] {
				seen[target] = true
				todo = append(todo, target)
			}
		}
	}
	for page := range all {
		if !seen[page] {
			t.Errorf("no way leads to %s from README", page)
		}
	}
}

func TestMakeTargets(t *testing.T) {
	targets := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	// In code alone: "make sure" is no command.
	code := regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]+`")
	command := regexp.MustCompile("(?m)(?:^|`|&& )make ([a-z][a-z0-9-]*)")
	found := 0
	for page, text := range pages(t) {
		for _, c := range code.FindAllString(text, -1) {
			for _, m := range command.FindAllStringSubmatch(c, -1) {
				found++
				if !targets[m[1]] {
					t.Errorf("%s says make %s, and there is no such target", page, m[1])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands found", found)
	}
}

// row is the cells of the table's row that begins with a name.
func row(t *testing.T, page, name string) []string {
	t.Helper()
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| "+name+" |") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			return cells
		}
	}
	t.Fatalf("docs/speed.md has no row %q", name)
	return nil
}

// TestSpeedOfReadme compares README's table with the one that it is taken from: milliseconds
// rounded to two digits or three, ratios those of the last run.
func TestSpeedOfReadme(t *testing.T) {
	all := pages(t)
	_, table, _ := strings.Cut(all["README.md"], "## How fast")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| |") {
			continue
		}
		rows++
		name, _, _ := strings.Cut(line[2:], " |")
		short, long := row(t, table, name), row(t, all["docs/speed.md"], name)
		for short, long := range map[string]string{short[1]: long[1], short[2]: long[2], short[3]: long[3]} {
			have, err := strconv.ParseFloat(short, 64)
			if err != nil {
				if short != long {
					t.Errorf("%s: %s, and %s in docs/speed.md", name, short, long)
				}
				continue
			}
			_, fraction, _ := strings.Cut(short, ".")
			if want, err := strconv.ParseFloat(long, 64); err != nil || strconv.FormatFloat(want, 'f', len(fraction), 64) != strconv.FormatFloat(have, 'f', len(fraction), 64) {
				t.Errorf("%s: %s, and %s in docs/speed.md", name, short, long)
			}
		}
		for i, short := range short[4:6] {
			if last := long[i+5][strings.LastIndex(long[i+5], "/")+1:]; strings.TrimSpace(last) != short {
				t.Errorf("%s: ratio %s, and %s in docs/speed.md", name, short, long[i+5])
			}
		}
	}
	if rows < 5 {
		t.Errorf("only %d rows found", rows)
	}
}
