package process

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const statTail = " 1 4242 4242 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 3 0 987654321 10 20 18446744073709551615\n"

func TestParseStat(t *testing.T) {
	for _, name := range []string{"sh", "", ") R 1 (", "a b\nc)", "((((", "))))", "é\xff"} {
		got, err := parseStat([]byte("42 (" + name + ") S" + statTail))
		if want := (stat{'S', 3, 987654321}); err != nil || got != want {
			t.Errorf("name %q: %+v, %v", name, got, err)
		}
	}
	whole := "42 (sh) S" + statTail
	fields := strings.Fields(whole)
	broken := map[string]string{
		"empty":               "",
		"no name":             "42 sh S 1",
		"nothing after name":  "42 (sh)",
		"space after name":    "42 (sh) ",
		"no space after name": "42 (sh)S" + statTail,
		"two-letter state":    "42 (sh) SS" + statTail,
		"cut":                 strings.Join(fields[:21], " "),
		"negative start time": strings.Replace(whole, "987654321", "-1", 1),
		"huge start time":     strings.Replace(whole, "987654321", "18446744073709551616", 1),
		"no thread count":     strings.Replace(whole, "20 0 3", "20 0 x", 1),
	}
	for name, line := range broken {
		if st, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%s: %q was taken as %+v", name, line, st)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (sh) S" + statTail))
	f.Add([]byte("42 () ()) Z" + statTail))
	f.Fuzz(func(t *testing.T, line []byte) {
		st, err := parseStat(line)
		if err != nil {
			return
		}
		// What is taken must be found where the fields are counted from the end
		// of the name.
		tail := bytes.Split(line[bytes.LastIndexByte(line, ')')+2:], []byte{' '})
		n, ok := parseUint(tail[19])
		if !ok || n != st.startTime || tail[0][0] != st.state {
			t.Errorf("%q: %+v", line, st)
		}
	})
}

func TestParseUint(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "7": 7, "0010": 10, "18446744073709551615": 1<<64 - 1, "18446744073709551609": 1<<64 - 7,
	} {
		if n, ok := parseUint([]byte(s)); !ok || n != want {
			t.Errorf("%s: %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{"", "-1", "+1", "1x", " 1", "18446744073709551616", "99999999999999999999", "184467440737095516150"} {
		if n, ok := parseUint([]byte(s)); ok {
			t.Errorf("%q was taken as %d", s, n)
		}
	}
}

func TestParseSignal(t *testing.T) {
	good := map[string]unix.Signal{
		"TERM": 15, "SIGTERM": 15, "sigterm": 15, "term": 15, "SigTerm": 15, "15": 15, "015": 15,
		"0": 0, "1": 1, "9": 9, "64": 64, "KILL": 9, "HUP": 1, "WINCH": 28, "USR1": 10, "SYS": 31, "PWR": 30,
		"IOT": 6, "ABRT": 6, "CLD": 17, "CHLD": 17, "POLL": 29, "IO": 29, "STKFLT": 16,
		"RTMIN": 34, "SIGRTMIN": 34, "RTMIN+3": 37, "sigrtmin+3": 37, "RTMIN+0": 34, "RTMIN+30": 64,
		"RTMAX": 64, "RTMAX-1": 63, "RTMAX-30": 34, "SIGRTMAX-0": 64,
	}
	for text, want := range good {
		if sig, err := ParseSignal(text); err != nil || sig != want {
			t.Errorf("%q: %d, %v; want %d", text, sig, err, want)
		}
	}
	bad := []string{
		"", " ", "SIG", "65", "-1", "+1", "1.5", "0x9", "15 ", " TERM", "TERM ", "SIGSIGTERM", "NOPE", "99999999999999999999",
		"RTMIN-1", "RTMIN+31", "RTMIN+", "RTMIN3", "RTMIN+x", "RTMIN++1", "RTMAX+1", "RTMAX-31", "RTMAX-", "RTMID", "TERM\n", "RTMIN+99999999999999999999",
	}
	for _, text := range bad {
		sig, err := ParseSignal(text)
		var se *SignalError
		if !errors.As(err, &se) || se.Text != text || sig != 0 {
			t.Errorf("%q: %d, %v", text, sig, err)
		}
	}
	_, err := ParseSignal("NO\npe")
	if want := `unknown signal "NO\npe": want a name`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("message %v; want %s …", err, want)
	}
}

func TestExitCode(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0": 0, "exit 3": 3, "exit 255": 255, "kill -TERM $$": 143, "kill -KILL $$": 137, "kill -40 $$": 168,
	} {
		cmd := exec.Command("sh", "-c", script)
		cmd.Run()
		if code := ExitCode(unix.WaitStatus(cmd.ProcessState.Sys().(syscall.WaitStatus))); code != want {
			t.Errorf("%s: %d, want %d", script, code, want)
		}
	}
	if code := ExitCode(0x137f); code != -1 { // stopped by SIGSTOP (wait(2))
		t.Errorf("a stopped process: %d", code)
	}
}
