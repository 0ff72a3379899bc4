package nsenter

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func failedReport(index uint32, errno unix.Errno, call, detail string) []byte {
	r := wireReport{Type: uint32(reportFailed), Index: index, Err: int32(errno)}
	copy(r.Call[:], call)
	copy(r.Detail[:], detail)
	return bytes.Clone(bytesOf(&r))
}

func execReport(errno unix.Errno, path string, head []byte) []byte {
	r := wireExecReport{Type: uint32(reportExecFailed), Err: int32(errno), HeadLen: uint32(len(head))}
	copy(r.Path[:], path)
	copy(r.Head[:], head)
	return bytes.Clone(bytesOf(&r))
}

func TestDecodeInstrError(t *testing.T) {
	program := Program{{Op: NoNewPrivs{}}, {Field: "mounts[3] (/dev/shm)", Op: Mount{Target: "/dev/shm"}}}
	err := DecodeFailure(failedReport(1, unix.EINVAL, "fsconfig", "size=x: Bad value"), program)
	var e *InstrError
	if !errors.As(err, &e) || e.Call != "fsconfig" || e.Detail != "size=x: Bad value" || !errors.Is(err, unix.EINVAL) {
		t.Fatalf("decoded %#v", err)
	}
	if op, ok := e.Instr.Op.(Mount); !ok || op.Target != "/dev/shm" {
		t.Errorf("it is about %v, want the mount", e.Instr)
	}
	if want := "mounts[3] (/dev/shm): fsconfig (size=x: Bad value): invalid argument"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	for _, index := range []uint32{2, 1 << 31, 0xffffffff} {
		if !errors.As(DecodeFailure(failedReport(index, unix.EPERM, "decode plan", ""), program), &e) || e.Instr.Op != nil {
			t.Errorf("index %d, outside of the program, is about %v", index, e.Instr)
		}
	}
	if err := DecodeFailure(failedReport(0, unix.EPERM, "seccomp", ""), nil); err == nil || err.Error() != "seccomp: operation not permitted" {
		t.Errorf("without a program: %v", err)
	}
}

func TestDecodeExecError(t *testing.T) {
	err := DecodeFailure(execReport(unix.ENOENT, "/bin/x", []byte("#!/no\n")), nil)
	var e *ExecError
	if !errors.As(err, &e) || e.Path != "/bin/x" || string(e.Head) != "#!/no\n" || !errors.Is(err, unix.ENOENT) {
		t.Fatalf("decoded %#v", err)
	}
	if want := "exec /bin/x: no such file or directory"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestDecodeNothing(t *testing.T) {
	if err := DecodeFailure(nil, nil); err != nil {
		t.Errorf("nothing is a failure: %v", err)
	}
}

func TestDecodeDamaged(t *testing.T) {
	whole := execReport(unix.ENOENT, strings.Repeat("p", 600), bytes.Repeat([]byte{1}, 3000))
	if e := DecodeFailure(whole, nil).(*ExecError); len(e.Path) != 512 || len(e.Head) != 2048 {
		t.Errorf("path of %d and head of %d bytes of a report that is full to the brim", len(e.Path), len(e.Head))
	}
	for n := 1; n < len(whole); n++ {
		if err := DecodeFailure(whole[:n], nil); err == nil {
			t.Fatalf("a report that is cut off after %d bytes counts as success", n)
		}
	}
	other := wireReport{Type: uint32(reportReady)}
	if err := DecodeFailure(bytesOf(&other), nil); err == nil {
		t.Error("a report that doesn't belong there counts as success")
	}
}

func FuzzDecodeFailure(f *testing.F) {
	f.Add(failedReport(1, unix.EINVAL, "fsconfig", "Bad value"))
	f.Add(execReport(unix.ENOEXEC, "/bin/x", []byte("\x7fELF")))
	f.Add([]byte{})
	f.Add([]byte{7, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	program := Program{{Op: NoNewPrivs{}}, {Field: "f", Op: LetGo{}}}
	f.Fuzz(func(t *testing.T, msg []byte) {
		err := DecodeFailure(msg, program)
		if (err == nil) != (len(msg) == 0) {
			t.Fatalf("%d bytes are error %v", len(msg), err)
		}
		if err == nil {
			return
		}
		_ = err.Error()
		var e *ExecError
		if errors.As(err, &e) && (len(e.Head) > 2048 || len(e.Path) > 512) {
			t.Fatalf("path of %d and head of %d bytes", len(e.Path), len(e.Head))
		}
	})
}
