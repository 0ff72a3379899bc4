package nsenter

import (
	"fmt"
	"math"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// seedPlans writes plans for the fuzzer to begin with.
func seedPlans(t *testing.T, dir string) []string {
	t.Helper()
	var all Program
	for i, op := range everyOp() {
		fill(op, 7*i)
		all = append(all, Instr{Op: op})
	}
	programs := []Program{all, {{Op: ReportReady{}}}, {{Op: Join{Fd: MaxSlots - 1}}}, {{Op: Seccomp{Filter: make([]byte, 400)}}},
		program(Mount{Target: "/a", Options: []string{"", "x=y", ""}}, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true", ""}, Env: []string{"A=b"}})}
	for i := range all {
		programs = append(programs, all[i:i+1], all[:i+1])
	}
	var paths []string
	for i, p := range programs {
		plan, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint("plan", i))
		if err := os.WriteFile(path, plan, 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// TestDecoderUnderSanitizers fuzzes the stage's decoder for a few seconds; see stage/fuzz. DAVIT_FUZZ_TIME asks for another duration, such as 2m30s.
func TestDecoderUnderSanitizers(t *testing.T) {
	if testing.Short() {
		t.Skip("fuzzing takes long: not in -short")
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	dir := t.TempDir()
	fuzzer := filepath.Join(dir, "decode_fuzz")
	flags := []string{"-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}
	if out, err := osexec.Command(cc, append(flags, "-x", "c", "/dev/null", "-c", "-o", os.DevNull)...).CombinedOutput(); err != nil {
		t.Skipf("there is no C compiler with the address sanitizer: %s: %v\n%s", cc, err, out)
	}
	empty := filepath.Join(dir, "empty.c")
	if err := os.WriteFile(empty, []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := osexec.Command(cc, append(flags, empty, "-o", fuzzer)...).CombinedOutput(); err != nil {
		t.Skipf("the address sanitizer's library is not installed: %v\n%s", err, out)
	}
	if out, err := osexec.Command(cc, append(flags, "-Istage", "stage/fuzz/decode_fuzz.c", "-o", fuzzer)...).CombinedOutput(); err != nil {
		t.Fatalf("build the fuzzer: %v\n%s", err, out)
	}
	seconds := "5"
	if text := os.Getenv("DAVIT_FUZZ_TIME"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("DAVIT_FUZZ_TIME: %v", err)
		}
		seconds = fmt.Sprint(int(math.Ceil(d.Seconds())))
	}
	cmd := osexec.Command(fuzzer, append([]string{fmt.Sprint(os.Getpid()), seconds}, seedPlans(t, dir)...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("decode_fuzz %s %s: %v\n%s", cmd.Args[1], seconds, err, out)
	}
	var runs, accepted uint64
	if _, err := fmt.Sscanf(string(out), "executions %d accepted %d", &runs, &accepted); err != nil || accepted == 0 || accepted == runs {
		t.Fatalf("the fuzzer didn't do its work: %q", out)
	}
	t.Logf("seed %s: %s", cmd.Args[1], strings.TrimSpace(string(out)))
}
