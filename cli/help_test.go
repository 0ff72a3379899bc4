package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v3"
)

func TestHelpForms(t *testing.T) {
	for _, e := range commands() {
		_, want, _ := davit(t, "help", e.name)
		if !strings.HasPrefix(want, "davit "+e.name+": "+e.summary) || !strings.Contains(want, "\nUsage: davit "+e.name) || !strings.Contains(want, "\nExamples:\n") {
			t.Errorf("help %s:\n%s", e.name, want)
		}
		for _, args := range [][]string{{e.name, "--help"}, {e.name, "-h"}, {"--help", e.name}, {e.name, "-help"}} {
			code, out, errs := davit(t, args...)
			if code != 0 || out != want || errs != "" {
				t.Errorf("%v: exit %d, stderr %q, stdout:\n%s", args, code, errs, out)
			}
		}
	}
}

func TestHelpAmongFlags(t *testing.T) {
	code, out, errs := davit(t, "create", "--bundle", "/b", "ID", "--help")
	if code != 0 || errs != "" || !strings.Contains(out, "Usage: davit create") {
		t.Errorf("exit %d, stderr %q, stdout %q", code, errs, out)
	}
}

func TestOverview(t *testing.T) {
	_, want, _ := davit(t, "help")
	for _, args := range [][]string{{}, {"--help"}, {"-h"}} {
		if code, out, errs := davit(t, args...); code != 0 || out != want || errs != "" {
			t.Errorf("%v: exit %d, stderr %q, stdout:\n%s", args, code, errs, out)
		}
	}
	for _, e := range commands() {
		if !strings.Contains(want, "\n  "+e.name+" ") || !strings.Contains(want, e.summary) || !strings.Contains(want, "\n"+e.group+":\n") {
			t.Errorf("%s is missing", e.name)
		}
	}
	for line := range strings.Lines(gettingStarted) {
		if !strings.Contains(want, strings.TrimSpace(line)) {
			t.Errorf("%q is missing", line)
		}
	}
}

// TestHelpIsComplete wants a sentence for every flag, none twice, and no line too wide.
func TestHelpIsComplete(t *testing.T) {
	for _, e := range commands() {
		cmd := (&app{}).build(e)
		_, out, _ := davit(t, "help", e.name)
		for _, f := range cmd.VisibleFlags() {
			doc := f.(urfave.DocGenerationFlag)
			placeholder, usage := unquote(doc.GetUsage())
			if usage == "" || doc.TakesValue() != (placeholder != "") {
				t.Errorf("%s --%s: usage %q", e.name, f.Names()[0], doc.GetUsage())
			}
			if strings.Count(out, flagForms(f.Names(), placeholder)) != 1 {
				t.Errorf("%s --%s isn't in:\n%s", e.name, f.Names()[0], out)
			}
		}
		wide(t, out)
	}
	_, out, _ := davit(t)
	wide(t, out)
	if strings.Contains(out, "\x1b") {
		t.Error("colours without a terminal")
	}
}

func wide(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if utf8.RuneCountInString(line) > 101 && !strings.HasPrefix(line, "  ") || strings.HasSuffix(line, " \n") {
			t.Errorf("line %q", line)
		}
	}
}

func TestHiddenFlags(t *testing.T) {
	for command, flag := range map[string]string{"kill": "--all", "update": "--kernel-memory"} {
		if _, out, _ := davit(t, "help", command); strings.Contains(out, flag) {
			t.Errorf("%s shows %s", command, flag)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"create", "start", "state", "list", "run", "h"}
	for word, want := range map[string]string{
		"craete": "create", "stat": "start", "stae": "state", "ist": "list", "rnu": "", "x": "", "zebra": "", "": "", "startt": "start",
	} {
		got := didYouMean(word, names)
		if want == "" && got != "" || want != "" && !strings.Contains(got, `"`+want+`"`) {
			t.Errorf("%s: %q", word, got)
		}
	}
	for _, d := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}} {
		if got := distance(d.a, d.b); got != d.want {
			t.Errorf("%q to %q: %d", d.a, d.b, got)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text    string
		columns int
		want    string
	}{{"", 10, ""}, {"a bb ccc", 4, "a bb|ccc"}, {"abcdefgh i", 3, "abcdefgh|i"}, {"ü ü ü", 3, "ü ü|ü"}} {
		if got := strings.Join(wrap(tt.text, tt.columns), "|"); got != tt.want {
			t.Errorf("%q in %d: %q", tt.text, tt.columns, got)
		}
	}
}
