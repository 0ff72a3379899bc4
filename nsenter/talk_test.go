package nsenter

import (
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeStage is a conversation whose other end the test plays.
func fakeStage(t *testing.T) (*Stage, int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[0]); unix.Close(pair[1]) })
	return &Stage{sock: pair[0], clone: -1}, pair[1]
}

func say(t *testing.T, sock int, typ reportType, index uint32, value int32, fds ...int) {
	t.Helper()
	r := wireReport{Type: uint32(typ), Index: index, Value: value}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(sock, bytesOf(&r)[:reportHead], rights, nil, 0); err != nil {
		t.Fatal(err)
	}
}

func receiveAll(s *Stage) (reports []Report, err error) {
	for {
		r, err := s.Receive()
		if err != nil {
			return reports, err
		}
		reports = append(reports, r)
	}
}

func TestReportsInOrder(t *testing.T) {
	s, peer := fakeStage(t)
	if err := s.Send(program(Join{}, Clone{Cgroup: None}, NextPlan{}), nil); err != nil {
		t.Fatal(err)
	}
	say(t, peer, reportWaiting, 0, int32(TokenMapped)) // the parent's, before the clone
	// The clone may come to all of this before its parent runs again.
	say(t, peer, reportWaiting, 2, int32(TokenHooksRun))
	say(t, peer, reportPhaseDone, 3, 0)
	say(t, peer, reportReady, 0, 0)
	say(t, peer, reportCloned, 1, 77)
	say(t, peer, reportListener, 1, 5)
	unix.Close(peer)
	got, err := receiveAll(s)
	want := []Report{Waiting{TokenMapped}, Cloned{77}, Waiting{TokenHooksRun}, PhaseDone{}, Ready{}, Listener{5}}
	if err != io.EOF || !reflect.DeepEqual(got, want) {
		t.Errorf("received %#v, %v; want %#v", got, err, want)
	}
}

func TestFailureOfTheCloneComesBehindIt(t *testing.T) {
	s, peer := fakeStage(t)
	if err := s.Send(program(Clone{Cgroup: None}, NoNewPrivs{}), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(peer, failedReport(1, unix.EPERM, "prctl", "")); err != nil {
		t.Fatal(err)
	}
	say(t, peer, reportCloned, 0, 77)
	if r, err := s.Receive(); err != nil || r != (Cloned{77}) {
		t.Errorf("received %v, %v; want the clone first, so that its pid is known", r, err)
	}
	if _, err := s.Receive(); err == nil || !strings.Contains(err.Error(), "prctl") {
		t.Errorf("then %v, want the failure", err)
	}
}

func TestFailureWithoutClone(t *testing.T) {
	s, peer := fakeStage(t)
	if err := s.Send(program(Join{}, Clone{Cgroup: None}, NoNewPrivs{}), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(peer, failedReport(0, unix.EPERM, "setns", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(); err == nil || !strings.Contains(err.Error(), "field0: setns") {
		t.Errorf("received %v, want the failure of the first instruction at once", err)
	}
}

func TestParentThatDiesBeforeItReports(t *testing.T) {
	s, peer := fakeStage(t)
	if err := s.Send(program(Clone{Cgroup: None}, NoNewPrivs{}), nil); err != nil {
		t.Fatal(err)
	}
	say(t, peer, reportWaiting, 1, 0)
	unix.Close(peer)
	if got, err := receiveAll(s); err != io.EOF || !reflect.DeepEqual(got, []Report{Waiting{0}}) {
		t.Errorf("received %v, %v", got, err)
	}
}

func TestProgramsQueue(t *testing.T) {
	s, peer := fakeStage(t)
	for _, call := range []string{"one", "two", "three"} {
		if err := s.Send(Program{{Field: call, Op: NextPlan{}}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	say(t, peer, reportPhaseDone, 0, 0)
	say(t, peer, reportPhaseDone, 0, 0)
	if _, err := unix.Write(peer, failedReport(0, unix.EPERM, "x", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := receiveAll(s); err == nil || !strings.HasPrefix(err.Error(), "three: x") {
		t.Errorf("the failure of the third program is %v", err)
	}
}

func TestReceiveRefuses(t *testing.T) {
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	n := int(null.Fd())
	for name, c := range map[string]struct {
		say  func(peer int)
		want string
	}{
		"unknown type":       {func(p int) { say(t, p, 99, 0, 0) }, "unknown (99)"},
		"too short":          {func(p int) { unix.Write(p, []byte{1, 2, 3}) }, "3 bytes"},
		"file without one":   {func(p int) { say(t, p, reportFile, 0, 0) }, "without a descriptor"},
		"more than one file": {func(p int) { say(t, p, reportFile, 0, 0, n, n, n) }, "descriptor"},
	} {
		s, peer := fakeStage(t)
		c.say(peer)
		before := countFDs(t)
		if r, err := s.Receive(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: received %v, %v; want an error with %q", name, r, err, c.want)
		}
		if after := countFDs(t); after != before {
			t.Errorf("%s: %d descriptors more than before", name, after-before)
		}
	}
}

func TestUnexpectedDescriptorIsClosed(t *testing.T) {
	s, peer := fakeStage(t)
	say(t, peer, reportReady, 0, 0, peer)
	before := countFDs(t)
	if _, err := s.Receive(); err != nil {
		t.Fatal(err)
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors more than before", after-before)
	}
}

func TestSendToAStageThatIsGone(t *testing.T) {
	s, peer := fakeStage(t)
	unix.Close(peer)
	if err := s.Send(program(NoNewPrivs{}), nil); err != nil {
		t.Errorf("Send: %v; what has happened is Receive's to tell", err)
	}
	if _, err := s.Receive(); err != io.EOF {
		t.Errorf("Receive: %v", err)
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// TestLastWordsOfAStage has one that fails while more is sent to it than it reads.
func TestLastWordsOfAStage(t *testing.T) {
	needStage(t)
	for range 20 {
		s, err := Start([]uintptr{0, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := s.Send(program(Rootfs{Path: "/no/such/directory"}), nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Receive(); err == nil || !strings.HasPrefix(err.Error(), "field0: open: ") {
			t.Errorf("received %v, want the failure", err)
		}
		if _, err := s.Receive(); err != io.EOF {
			t.Errorf("then %v, want the end", err)
		}
		s.Close()
	}
}
