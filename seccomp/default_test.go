//go:build seccomp && cgo

package seccomp

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write testdata/default.json anew from the installed profile")

// The profile of Docker and its relatives as they keep it: entries depend on
// architectures and capabilities, and what an engine hands to a runtime is the
// selection for one container.
type engineProfile struct {
	DefaultAction   specs.LinuxSeccompAction `json:"defaultAction"`
	DefaultErrnoRet *uint                    `json:"defaultErrnoRet"`
	ArchMap         []struct {
		Arch specs.Arch   `json:"architecture"`
		Sub  []specs.Arch `json:"subArchitectures"`
	} `json:"archMap"`
	Syscalls []struct {
		specs.LinuxSyscall
		Includes engineFilter `json:"includes"`
		Excludes engineFilter `json:"excludes"`
	} `json:"syscalls"`
}

type engineFilter struct {
	Arches []string `json:"arches"`
	Caps   []string `json:"caps"`
}

// forContainer selects what applies to a container on amd64 with the given capabilities.
func (p *engineProfile) forContainer(caps []string) *specs.LinuxSeccomp {
	out := &specs.LinuxSeccomp{DefaultAction: p.DefaultAction, DefaultErrnoRet: p.DefaultErrnoRet}
	for _, m := range p.ArchMap {
		if m.Arch == specs.ArchX86_64 {
			out.Architectures = append([]specs.Arch{m.Arch}, m.Sub...)
		}
	}
	has := func(list []string) func(string) bool {
		return func(s string) bool { return slices.Contains(list, s) }
	}
	for _, s := range p.Syscalls {
		switch {
		case len(s.Includes.Arches) > 0 && !has(s.Includes.Arches)("amd64"), has(s.Excludes.Arches)("amd64"):
		case len(s.Includes.Caps) > 0 && !slices.ContainsFunc(s.Includes.Caps, has(caps)), slices.ContainsFunc(s.Excludes.Caps, has(caps)):
		default:
			out.Syscalls = append(out.Syscalls, s.LinuxSyscall)
		}
	}
	return out
}

// What engines give a container by default.
var defaultCapabilities = []string{"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE",
	"CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"}

// testdata/default.json is what an engine makes of the profile of Debian's golang-github-containers-common.
func TestDefaultProfile(t *testing.T) {
	const installed = "/usr/share/containers/seccomp.json"
	raw, err := os.ReadFile(installed)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s isn't installed (package golang-github-containers-common)", installed)
	}
	if err != nil {
		t.Fatal(err)
	}
	var p engineProfile
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(p.forContainer(defaultCapabilities), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/default.json"
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Logf("%s is of another version of the package than the installed one", file)
	}
}

// dockerProfile is the one that Docker wrote into a configuration.
func dockerProfile(t testing.TB) *specs.LinuxSeccomp {
	t.Helper()
	raw, err := os.ReadFile("../libcontainer/bundle/testdata/corpus/docker-root-01.config.json")
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	return spec.Linux.Seccomp
}

// The programs of engines' profiles take a few steps for a call, and no more
// instructions than the tree that libseccomp makes.
func TestSizeOfDefaultProfiles(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the profiles have amd64's architectures")
	}
	for name, cfg := range map[string]*specs.LinuxSeccomp{
		"Docker": dockerProfile(t), "containers-common": loadProfile(t, "testdata/default.json"), "allow list": loadProfile(t, "testdata/allowlist.json"),
	} {
		p, c := mustGenerate(t, cfg)
		theirs, err := libseccompProgram(t, p, true)
		if err != nil {
			t.Fatal(err)
		}
		ourSteps, theirSteps := averageSteps(t, p, c.program), averageSteps(t, p, theirs)
		if ourSteps > 15 || ourSteps > theirSteps || len(c.program) > len(theirs) {
			t.Errorf("%s: a call takes %.1f instructions of %d, in libseccomp's tree %.1f of %d", name, ourSteps, len(c.program)/insnSize, theirSteps, len(theirs)/insnSize)
		}
		t.Logf("%s: %d names; %d instructions, %.1f for a call; in libseccomp's tree %d and %.1f", name, p.names(), len(c.program)/insnSize, ourSteps, len(theirs)/insnSize, theirSteps)
	}
}

// averageSteps is how many instructions the calls of amd64 that a profile names take, on average.
func averageSteps(t *testing.T, p *profile, program []byte) float64 {
	t.Helper()
	var calls, sum int
	for i := range p.rules {
		for _, name := range p.rules[i].names {
			nr, ok := number(specs.ArchX86_64, name)
			if !ok {
				continue
			}
			_, n := steps(t, program, call{nr: nr, arch: unix.AUDIT_ARCH_X86_64})
			calls++
			sum += n
		}
	}
	return float64(sum) / float64(calls)
}
