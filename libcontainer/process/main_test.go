package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Some processes under test have to do odd things. They are this test binary
// again, told by an environment variable which part to play.
const roleEnv = "PROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleEnv)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func play(role string) error {
	switch role {
	case "odd name":
		if err := os.WriteFile("/proc/self/comm", []byte(oddName), 0); err != nil {
			return err
		}
	case "dead leader":
		// init ran on the first thread and kept it: see below.
		go func() {
			fmt.Println("ready")
			bufio.NewReader(os.Stdin).ReadByte()
			os.Exit(7)
		}()
		runtime.Gosched()
		unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	case "reuse":
		return playReuse()
	case "no proc":
		return playNoProc()
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte()
	return nil
}

const oddName = ") Z 1\n(x) R"

func init() {
	if os.Getenv(roleEnv) == "dead leader" {
		runtime.LockOSThread()
	}
}

// part starts this binary in a role and waits until it says that it is ready.
// Closing its standard input, which the end of the test does, ends it.
func part(t *testing.T, role string, attr *syscall.SysProcAttr) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("the process in role %q: %q, %v", role, line, err)
	}
	return cmd
}

// alone runs a role to its end in namespaces of its own, and fails with what it
// printed unless it succeeds.
func alone(t *testing.T, role string, flags uintptr) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces and to mount in them")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// privateMounts keeps the mounts of a role in its own mount namespace.
func privateMounts() error {
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

func openFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/" + strconv.Itoa(os.Getpid()) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
