package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The corpus holds what real engines wrote: every file must load as it is.
func TestCorpus(t *testing.T) {
	configs, processes := 0, 0
	files, err := filepath.Glob("testdata/corpus/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, ".process.json") {
				processes++
				p, err := ParseProcess(raw)
				if err != nil {
					t.Fatal(err)
				}
				if err := CheckProcess(p, "1.0.2-dev"); err != nil {
					t.Fatal(err)
				}
				return
			}
			configs++
			b, err := LoadFile("/run/bundle", file)
			if err != nil {
				t.Fatal(err)
			}
			if string(b.Raw) != string(raw) {
				t.Error("Raw differs from the file")
			}
			if len(b.Spec.Mounts) == 0 || len(b.Spec.Linux.Namespaces) == 0 || b.Spec.Process == nil {
				t.Error("parts of the configuration are missing")
			}
		})
	}
	if configs != 37 || processes != 17 {
		t.Errorf("the corpus has %d configurations and %d processes, expected 37 and 17", configs, processes)
	}
}
