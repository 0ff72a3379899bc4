package plan

import (
	"testing"
)

// BenchmarkCompile is what compiling costs between reading a configuration and
// handing it to the stage: both programs of a Docker container, encoded.
func BenchmarkCompile(b *testing.B) {
	in := input(corpusSpec(b, "docker-root-01"))
	late := lateFor(in.Spec)
	b.ReportAllocs()
	for b.Loop() {
		p, err := Compile(in)
		if err != nil {
			b.Fatal(err)
		}
		process, err := p.Process(late)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.World.Encode(); err != nil {
			b.Fatal(err)
		}
		if _, err := process.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrograms leaves the encoding out.
func BenchmarkPrograms(b *testing.B) {
	in := input(corpusSpec(b, "docker-root-01"))
	late := lateFor(in.Spec)
	b.ReportAllocs()
	for b.Loop() {
		p, err := Compile(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Process(late); err != nil {
			b.Fatal(err)
		}
	}
}
