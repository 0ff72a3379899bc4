package security

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/tests/harness"
)

// The process of a created container is the stage, in a sealed memfd.
func TestInitIsASealedMemfd(t *testing.T) {
	t.Parallel()
	s := harness.New(t)
	s.Create().Succeeds()
	exe := fmt.Sprintf("/proc/%d/exe", s.PID())
	link, err := os.Readlink(exe)
	if err != nil || !strings.HasPrefix(link, "/memfd:davit-stage") {
		t.Errorf("%s is %s, %v", exe, link, err)
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const want = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
		t.Errorf("its seals are %#x, %v", seals, err)
	}
	if w, err := os.OpenFile(exe, os.O_WRONLY, 0); err == nil {
		if _, err := w.Write([]byte("#!")); err == nil {
			t.Error("it can be written")
		}
		w.Close()
	}
	s.Delete()
}

// CVE-2019-5736: what a container can reach of the runtime must not be the host's binary. One watches
// every /proc/PID/exe while others are made in its PID namespace.
func TestCVE_2019_5736(t *testing.T) {
	t.Parallel()
	inode, before := binaryState(t)
	s := harness.New(t, harness.AllCapabilities(), harness.Args("/probe", "hunt", "4000", fmt.Sprint(inode), "/proc"))
	s.InstallProbe()
	s.WriteConfig()
	hunter := s.Command("run", "--bundle", s.Bundle, s.ID)
	hunter.Begin()
	hunter.Written("hunting")
	prey := harness.New(t, harness.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", s.PID())))
	prey.WriteConfig()
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		prey.Davit("run", "--bundle", prey.Bundle, prey.ID).Succeeds()
	}
	r := hunter.End()
	r.Succeeds()
	if !strings.Contains(r.Stdout(), "seen=true found=0 written=0") {
		t.Errorf("the hunter tells %q", r.Stdout())
	}
	if _, after := binaryState(t); after != before {
		t.Error("davit's binary has changed")
	}
}

// In the host's PID namespace davit itself is in view. Without CAP_SYS_PTRACE its binary can't be opened.
func TestCVE_2019_5736_HostPIDNamespace(t *testing.T) {
	t.Parallel()
	inode, before := binaryState(t)
	s := harness.New(t, harness.WithoutNamespace(specs.PIDNamespace), harness.Args("/probe", "hunt", "1500", fmt.Sprint(inode), "/proc", "/hostproc"),
		harness.Mount(specs.Mount{Destination: "/hostproc", Source: "/proc", Options: []string{"rbind"}}))
	s.InstallProbe()
	s.WriteConfig()
	hunter := s.Command("run", "--bundle", s.Bundle, s.ID)
	hunter.Begin()
	hunter.Written("hunting")
	prey := harness.New(t)
	prey.WriteConfig()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		prey.Davit("run", "--bundle", prey.Bundle, prey.ID).Succeeds()
	}
	r := hunter.End()
	r.Succeeds()
	if !strings.Contains(r.Stdout(), "seen=true found=0 written=0") {
		t.Errorf("the hunter tells %q", r.Stdout())
	}
	if _, after := binaryState(t); after != before {
		t.Error("davit's binary has changed")
	}
}

// An image whose program is /proc/self/exe would make the runtime execute itself.
func TestCVE_2019_5736_ExecutesItself(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3", "/link", "/script"} {
		s := harness.New(t, harness.Args(path, "--version"))
		replace(t, s, "/link", "/proc/self/exe")
		s.WriteFile("/script", "#!/proc/self/exe\n", 0o755)
		r := s.Run()
		if r.Code == 0 || strings.Contains(r.Stdout()+r.Stderr(), "davit version") {
			t.Errorf("%s: exit code %d, %s%s", path, r.Code, r.Stdout(), r.Stderr())
		}
	}
}

func binaryState(t *testing.T) (inode uint64, state string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(harness.Binary(t), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino, fmt.Sprint(st.Size, st.Mtim, st.Mode)
}
