package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestManualFiles holds the pages that packages install against the commands.
func TestManualFiles(t *testing.T) {
	manual, _ := Documents()
	if len(manual) != len(commands())+1 {
		t.Errorf("%d pages", len(manual))
	}
	for file, text := range manual {
		if have, err := os.ReadFile(filepath.Join("../docs/man", file)); err != nil || string(have) != text {
			t.Errorf("docs/man/%s isn't up to date (%v): run go generate ./docs/man", file, err)
		}
	}
	have, err := filepath.Glob("../docs/man/*.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range have {
		if manual[filepath.Base(file)] == "" {
			t.Errorf("%s is about nothing", file)
		}
	}
}

// TestManualIsComplete wants every flag, argument and example in its page.
func TestManualIsComplete(t *testing.T) {
	a := &app{}
	manual, _ := Documents()
	for _, c := range shapeOf(a).commands {
		text := manual["davit-"+c.name+".1"]
		for _, f := range c.flags {
			for _, w := range f.words() {
				if !strings.Contains(text, `\fB`+roff(w)+`\fR`) {
					t.Errorf("%s: %s is missing", c.name, w)
				}
			}
		}
		e := commands()[slices.IndexFunc(commands(), func(e entry) bool { return e.name == c.name })]
		_, examples, _ := strings.Cut(a.build(e).Description, examplesMark)
		for line := range strings.Lines(examples) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && !strings.Contains(text, roff(line)) {
				t.Errorf("%s: %q is missing", c.name, line)
			}
		}
	}
	for _, c := range commands() {
		if !strings.Contains(manual["davit.1"], ".BR "+roff("davit-"+c.name)+" (1)\n") {
			t.Errorf("davit.1 doesn't name %s", c.name)
		}
	}
}

func TestManualLint(t *testing.T) {
	manual, _ := Documents()
	linters := 0
	for _, linter := range [][]string{{"mandoc", "-T", "lint", "-W", "style"}, {"groff", "-man", "-Tutf8", "-ww", "-z"}} {
		if _, err := exec.LookPath(linter[0]); err != nil {
			continue
		}
		linters++
		for file, text := range manual {
			cmd := exec.Command(linter[0], linter[1:]...)
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.CombinedOutput()
			// Whether other pages are installed doesn't matter.
			complaints := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(s string) bool {
				return s == "" || strings.Contains(s, "referenced manual not found")
			})
			if len(complaints) > 0 || err != nil && len(out) == 0 {
				t.Errorf("%s %s: %v: %q", linter[0], file, err, complaints)
			}
		}
	}
	if linters == 0 {
		t.Skip("neither mandoc nor groff is installed")
	}
}

func TestRoff(t *testing.T) {
	p := newPage("x")
	p.Reset()
	p.words = []string{"ID", "[CONTROLLER:]PATH"}
	p.paragraph(`.hidden --flag, (-f) or "ID": a\b 'c' -1 - ID. /a/ID/b 2 - 1`)
	want := "\\&.hidden \\fB\\-\\-flag\\fR, (\\fB\\-f\\fR) or \"\\fIID\\fR\": a\\eb \\(aqc\\(aq \\-1 \\- \\fIID\\fR. /a/ID/b 2 \\- 1\n"
	if p.String() != want {
		t.Errorf("got %q", p.String())
	}
	p.Reset()
	p.code("'a'\n\n.b `c` ~ ^\n")
	if want := ".RS 4\n.nf\n\\(aqa\\(aq\n\\&\n\\&.b \\(gac\\(ga \\(ti \\(ha\n.fi\n.RE\n"; p.String() != want {
		t.Errorf("got %q", p.String())
	}
}
