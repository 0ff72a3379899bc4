package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

const dockerConfig = "testdata/corpus/docker-root-01.config.json"

func dockerBundle(b *testing.B) (dir string, raw []byte) {
	raw, err := os.ReadFile(dockerConfig)
	if err != nil {
		b.Fatal(err)
	}
	// The text stays as the engine wrote it, but for the root's place.
	spec, err := Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	raw = bytes.Replace(raw, []byte(spec.Root.Path), []byte("rootfs"), 1)
	dir = b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configName), raw, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o700); err != nil {
		b.Fatal(err)
	}
	return dir, raw
}

func BenchmarkLoad(b *testing.B) {
	dir, raw := dockerBundle(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(dir); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	_, raw := dockerBundle(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	_, raw := dockerBundle(b)
	spec, err := Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(spec, "/bundle"); err != nil {
			b.Fatal(err)
		}
	}
}
