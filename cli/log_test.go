package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

var hostile = []string{
	"a\nlevel=error msg=\"forged\"",
	"a\r\n{\"level\":\"error\",\"msg\":\"forged\"}",
	`a","level":"debug`,
	"\x1b[2Jgone \x07 \x00 \x7f",
	"\u009b31m C1", "\u202egnp.exe", "\u2028line\u2029paragraph",
	"broken \xff\xfe\xc3", "tail \\", "\U000e0001 tag", "ünï 😀 stays",
}

func TestLinesCannotBeForged(t *testing.T) {
	for _, s := range hostile {
		for format, line := range map[string]func([]byte, time.Time, string, string, []slog.Attr) []byte{"text": textLine, "json": jsonLine, "plain": plainLine} {
			var b bytes.Buffer
			log := slog.New(&lineHandler{w: &b, line: line})
			log.With("id", s).WithGroup("g").Error(s, s, s, slog.Group("in", "k", s))
			got := b.String()
			body, ok := strings.CutSuffix(got, "\n")
			if !ok || !printable(body) {
				t.Errorf("%s: %q", format, got)
			}
			if format == "json" {
				var m map[string]string
				if err := json.Unmarshal([]byte(got), &m); err != nil || m["level"] != "error" || m["msg"] != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
					t.Errorf("%q: %v: %v", got, m, err)
				}
				if m["id"] != m["msg"] || m["g.in.k"] != m["msg"] {
					t.Errorf("%q: attributes are lost", got)
				}
			}
		}
		if got := appendVisible(nil, s); !printable(string(got)) {
			t.Errorf("%q: %q", s, got)
		}
	}
	if got := string(appendVisible(nil, "ünï 😀 \"quoted\" a\\b\n")); got != "ünï 😀 \"quoted\" a\\b\\n" {
		t.Errorf("got %q", got)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func FuzzAppendJSON(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := appendJSON(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || !printable(string(b)) {
			t.Fatalf("%q: %s: %v", s, b, err)
		}
		if want := string([]rune(s)); back != want {
			t.Fatalf("%q became %q", want, back)
		}
	})
}

func TestForgedErrors(t *testing.T) {
	id := "a\nlevel=error msg=x"
	file := filepath.Join(t.TempDir(), "log")
	code, _, errs := davit(t, "--root", emptyRoot(t), "--log", file, "state", id)
	b, err := os.ReadFile(file)
	if code != 1 || err != nil || strings.Count(errs, "\n") != 1 || strings.Count(string(b), "\n") != 1 {
		t.Errorf("exit %d, stderr %q, log %q, %v", code, errs, b, err)
	}
	if code, _, errs = davit(t, "x\ny"); code != 1 || strings.Count(errs, "\n") != 3 { // the error and two lines of usage
		t.Errorf("exit %d, stderr %q", code, errs)
	}
}

func TestLogFormats(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 30, 0, 5e8, time.UTC)
	attrs := []slog.Attr{slog.Int("pid", 7), slog.Any("err", errors.New("no"))}
	for format, tt := range map[string]struct{ got, want []byte }{
		"text":  {textLine(nil, at, "warning", "so it is", attrs), []byte(`time="2026-08-01T12:30:00Z" level=warning msg="so it is" pid="7" err="no"`)},
		"json":  {jsonLine(nil, at, "error", "so it is", attrs), []byte(`{"level":"error","msg":"so it is","time":"2026-08-01T12:30:00.5Z","pid":"7","err":"no"}`)},
		"plain": {plainLine(nil, at, "warning", "so it is", attrs), []byte(`davit: warning: so it is pid=7 err=no`)},
	} {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", format, tt.got, tt.want)
		}
	}
}

func TestLogLevels(t *testing.T) {
	for _, debug := range []bool{false, true} {
		var b bytes.Buffer
		a := &app{stderr: &b, global: globals{debug: debug}}
		if err := a.openLog(); err != nil {
			t.Fatal(err)
		}
		a.log.Debug("d")
		a.log.Info("i")
		a.log.Warn("w")
		a.log.Error("e")
		got := strings.Count(b.String(), "\n")
		if want := 3; debug && got != 4 || !debug && got != want {
			t.Errorf("debug %t: %q", debug, b.String())
		}
	}
}

// TestLogAppends lets many handlers, as many processes would, write the same file.
func TestLogAppends(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	var wg sync.WaitGroup
	for range 8 {
		a := &app{stderr: &bytes.Buffer{}, global: globals{logFile: file, logFormat: "json"}}
		if err := a.openLog(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range 200 {
				a.log.Error(strings.Repeat("x", 300))
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		if !json.Valid(line) {
			t.Fatalf("line %d is torn: %q", n, line)
		}
	}
	if n != 1600 {
		t.Errorf("%d lines", n)
	}
}
