package devices

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// kernel is a version 1 devices cgroup below one that allows everything, as
// security/device_cgroup.c has it.
type kernel struct {
	allow      bool
	exceptions map[pattern]Access
}

func newKernel() *kernel { return &kernel{true, map[pattern]Access{}} }

func (k *kernel) write(t testing.TB, l Line) {
	t.Helper()
	if l.Value == "a" {
		k.allow = l.Allow
		clear(k.exceptions)
		return
	}
	one, restricted := parseList(l.Value)
	if !restricted || len(one) != 1 {
		t.Fatalf("bad line %q", l.Value)
	}
	for p, e := range one {
		if l.Allow != k.allow {
			k.exceptions[p] |= e.access
		} else if k.exceptions[p] &^= e.access; k.exceptions[p] == 0 {
			delete(k.exceptions, p)
		}
	}
}

func (k *kernel) writeAll(t testing.TB, lines []Line) {
	t.Helper()
	for _, l := range lines {
		k.write(t, l)
	}
}

func (k *kernel) permits(q request) bool {
	for p, access := range k.exceptions {
		if !p.covers(pattern{q.kind, int64(q.major), int64(q.minor)}) {
			continue
		}
		if k.allow && access&q.access != 0 {
			return false
		}
		if !k.allow && q.access&^access == 0 {
			return true
		}
	}
	return k.allow
}

// list is what devices.list shows, sorted.
func (k *kernel) list() string {
	if k.allow {
		return "a *:* rwm\n"
	}
	var lines []string
	for p, access := range k.exceptions {
		lines = append(lines, name(p)+" "+letters(access)+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// letters writes an access in the kernel's order.
func letters(a Access) (s string) {
	for _, k := range [...]struct {
		bit  Access
		text string
	}{{Read, "r"}, {Write, "w"}, {Mknod, "m"}} {
		if a&k.bit != 0 {
			s += k.text
		}
	}
	return s
}

// realRequests are those that a process can make: open(2) asks to read, to write or for
// both, mknod(2) for itself alone; and device numbers have 12 and 20 bits.
func realRequests() []request {
	return slices.DeleteFunc(requests(), func(q request) bool {
		return q.access&Mknod != 0 && q.access != Mknod || q.major >= 1<<12 || q.minor >= 1<<20
	})
}

// expressible tells by a search of its own whether one rule for all devices with
// exceptions of one kind can mean what a list means: if all is denied by default a device
// has to have at least what those have that are treated alike because the list doesn't
// name them, in each way of not being named; if all is allowed, at most.
func expressible(rules []rule) bool {
	numbers := []uint32{0, 1, 2, 3, 5, 8, 10, 136, 200, 777}
	const unnamed = 9 // no list of randomList has the last one
	atLeast, atMost := true, true
	for kind := uint8(block); kind <= char; kind++ {
		var allowed [10][10]Access
		for i, major := range numbers {
			for j, minor := range numbers {
				for bit := Mknod; bit <= Write; bit <<= 1 {
					if emulate(rules, request{kind, major, minor, bit}) {
						allowed[i][j] |= bit
					}
				}
			}
		}
		for i := range numbers {
			for j := range numbers {
				here := allowed[i][j]
				for _, wide := range [...]Access{allowed[i][unnamed], allowed[unnamed][j], allowed[unnamed][unnamed]} {
					atLeast = atLeast && wide&^here == 0
					atMost = atMost && here&^wide == 0
				}
			}
		}
	}
	return atLeast || atMost
}

// TestV1MeansWhatTheListSays has a cgroup given the planned lines and compares its answers
// with the list's meaning, all of them over the run; what is refused must be impossible.
func TestV1MeansWhatTheListSays(t *testing.T) {
	lists := 10_000
	if testing.Short() {
		lists = 500
	}
	r := rand.New(rand.NewPCG(5, 6))
	every := realRequests()
	planned, stricter := 0, 0
	for range lists {
		list := randomList(r)
		rules, err := parse(list)
		if err != nil {
			t.Fatal(err)
		}
		rules = withDefaults(rules)
		plan, err := simplify(rules).V1()
		if err != nil {
			var bad *RuleError
			if !errors.As(err, &bad) || !strings.HasPrefix(bad.Field, "linux.resources.devices[") {
				t.Fatalf("%s: error %v names no entry", show(list), err)
			}
			if expressible(rules) {
				t.Fatalf("%s: %v, but version 1 can express it", show(list), err)
			}
			continue
		}
		planned++
		if plan.WithoutMknod {
			stricter++
			if expressible(rules) {
				t.Fatalf("%s: mknod was left out for nothing", show(list))
			}
			alternatives := withoutMknodOfAll(rules)
			if rules = alternatives[0]; !expressible(rules) {
				rules = alternatives[1]
			}
		}
		k := newKernel()
		k.writeAll(t, plan.Lines())
		for range 100 {
			q := every[r.IntN(len(every))]
			if got, want := k.permits(q), emulate(rules, q); got != want {
				t.Fatalf("%s\n%+v: version 1 says %v, the list %v\n%+v", show(list), q, got, want, plan.Lines())
			}
		}
	}
	t.Logf("of %d lists version 1 can express %d, %d of them without mknod of any device", lists, planned, stricter)
	if planned < lists/4 {
		t.Errorf("only %d of %d lists could be written for version 1", planned, lists)
	}
}

func (a Access) isOne() bool { return a&(a-1) == 0 }

func show(list []specs.LinuxDeviceCgroup) string {
	var b strings.Builder
	for _, d := range list {
		number := func(n *int64) string {
			if n == nil {
				return "*"
			}
			return fmt.Sprint(*n)
		}
		fmt.Fprintf(&b, "{%v %q %s:%s %q} ", d.Allow, d.Type, number(d.Major), number(d.Minor), d.Access)
	}
	return b.String()
}

// plannedLists returns lists that version 1 can express.
func plannedLists(t testing.TB, r *rand.Rand, n int) (plans []*V1) {
	t.Helper()
	for len(plans) < n {
		p, err := NewPolicy(randomList(r))
		if err != nil {
			t.Fatal(err)
		}
		if plan, err := p.V1(); err == nil {
			plans = append(plans, plan)
		}
	}
	return plans
}

// TestV1Change leads from each plan to the next: the end is what the plan says, and if the
// change isn't abrupt no step takes what both have or gives a kind of access that neither
// has.
func TestV1Change(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	plans := plannedLists(t, r, 2000)
	k := newKernel()
	k.writeAll(t, plans[0].Lines())
	smooth := 0
	var every []request // the sample that is looked at
	answers := func(k *kernel) []bool {
		list := make([]bool, len(every))
		for i, q := range every {
			list[i] = k.permits(q)
		}
		return list
	}
	requests := realRequests()
	for _, plan := range plans[1:] {
		every = every[:0]
		for range 150 {
			every = append(every, requests[r.IntN(len(requests))])
		}
		before, list := answers(k), k.list()
		target := newKernel()
		target.writeAll(t, plan.Lines())
		after := answers(target)
		change := plan.Change(list)
		for _, l := range change.Lines {
			k.write(t, l)
			if change.Abrupt {
				continue
			}
			for i, now := range answers(k) {
				one := every[i].access.isOne()
				if before[i] == after[i] && now != before[i] && (one || !now) {
					t.Fatalf("at %+v %+v is %v, which it is neither before nor after", l, every[i], now)
				}
			}
		}
		if !change.Abrupt {
			smooth++
		}
		if !slices.Equal(answers(k), after) {
			t.Fatalf("the change %+v doesn't lead to the plan", change.Lines)
		}
		if now := k.list(); strings.Contains(list, "a *:*") {
			if back := Back(list, now); len(back.Lines) != 0 {
				t.Fatalf("from %q back to what isn't known: %+v", now, back.Lines)
			}
		} else {
			undone := &kernel{k.allow, make(map[pattern]Access)}
			for p, a := range k.exceptions {
				undone.exceptions[p] = a
			}
			undone.writeAll(t, Back(list, now).Lines)
			if undone.list() != list {
				t.Fatalf("undone it is\n%sand was\n%s", undone.list(), list)
			}
		}
	}
	t.Logf("%d of %d changes need no stop", smooth, len(plans)-1)
	if smooth < 100 {
		t.Errorf("only %d changes without a stop", smooth)
	}
}

// TestV1EmulatorIsTheKernel holds the emulator above to the kernel that runs.
func TestV1EmulatorIsTheKernel(t *testing.T) {
	const mount = "/sys/fs/cgroup/devices"
	var fs unix.Statfs_t
	if unix.Statfs(mount, &fs) != nil || fs.Type != unix.CGROUP_SUPER_MAGIC {
		t.Skip("no version 1 devices hierarchy is mounted")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a cgroup")
	}
	dir := fmt.Sprintf("%s/davit-test-v1-%d", mount, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	list := func() string {
		s, err := os.ReadFile(dir + "/devices.list")
		if err != nil {
			t.Fatal(err)
		}
		lines := slices.Sorted(strings.Lines(string(s)))
		return strings.Join(lines, "")
	}
	if got := list(); got != "a *:* rwm\n" {
		t.Skipf("the cgroup that the tests run in is restricted itself: %q", got)
	}
	r := rand.New(rand.NewPCG(9, 10))
	k := newKernel()
	for _, plan := range plannedLists(t, r, 200) {
		for _, l := range plan.Change(list()).Lines {
			file := "/devices.deny"
			if l.Allow {
				file = "/devices.allow"
			}
			if err := os.WriteFile(dir+file, []byte(l.Value), 0); err != nil {
				t.Fatalf("%+v: %v", l, err)
			}
			k.write(t, l)
			if got, want := list(), k.list(); got != want {
				t.Fatalf("after %+v the kernel has\n%sand the emulator\n%s", l, got, want)
			}
		}
	}
}

func TestV1(t *testing.T) {
	denyAll := specs.LinuxDeviceCgroup{Access: "rwm"}
	for _, c := range []struct {
		name  string
		list  []specs.LinuxDeviceCgroup
		first Line
		lines string // values of some of the lines
		fails string
	}{
		{"usual", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "c", Major: n(10), Minor: n(229), Access: "rw"}},
			Line{Value: "a"}, "b *:* m,c *:* m,c 1:3 mrw,c 136:* mrw,c 10:229 mrw", ""},
		{"privileged", []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, Line{Allow: true, Value: "a"}, "", ""},
		{"all but some", []specs.LinuxDeviceCgroup{{Allow: true}, {Type: "b", Major: n(8), Access: "w"}, {Type: "b", Major: n(8), Minor: n(1), Access: "r"}},
			Line{Allow: true, Value: "a"}, "b 8:* w,b 8:1 rw", ""},
		{"a hole in what is allowed, as a hole in all", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "c"}, {Allow: true, Type: "b"}, {Type: "b", Major: n(8), Minor: n(0), Access: "w"}},
			Line{Allow: true, Value: "a"}, "b 8:0 w", ""},
		{"one type but for a device", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "c", Access: "rw"}, {Type: "c", Major: n(4), Minor: n(64), Access: "w"}},
			Line{Allow: true, Value: "a"}, "b *:* rw,c 4:64 w", ""},
		{"a hole that a later entry fills", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "c", Major: n(4)}, {Type: "c", Major: n(4), Minor: n(64)}, {Allow: true, Type: "c", Major: n(4), Minor: n(64)}},
			Line{Value: "a"}, "c 4:* mrw", ""},
		{"no number of a device", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "c", Major: n(1<<32 - 1), Minor: n(3)}},
			Line{Value: "a"}, "c 1:3 mrw", ""},
		{"a hole", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "c", Major: n(4), Access: "rw"}, {Type: "c", Major: n(4), Minor: n(64), Access: "w"}},
			Line{}, "", "linux.resources.devices[2]: cgroup v1 can't deny w of c 4:64 alone among c 4:*"},
		{"a hole's hole", []specs.LinuxDeviceCgroup{{Allow: true}, {Type: "c", Major: n(4)}, {Allow: true, Type: "c", Major: n(4), Minor: n(64), Access: "rw"}},
			Line{}, "", "linux.resources.devices[2]: cgroup v1 can't allow rw of c 4:64 alone among c 4:*"},
	} {
		p, err := NewPolicy(c.list)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := p.V1()
		if c.fails != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.fails) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		lines := plan.Lines()
		if lines[0] != c.first || plan.WithoutMknod {
			t.Errorf("%s: first line %+v", c.name, lines[0])
		}
		for want := range strings.SplitSeq(c.lines, ",") {
			if want != "" && !slices.ContainsFunc(lines, func(l Line) bool { return l.Value == want && l.Allow != c.first.Allow }) {
				t.Errorf("%s: no line %q in %v", c.name, want, lines)
			}
		}
		if c.first.Allow && len(lines) != 1+len(strings.FieldsFunc(c.lines, func(r rune) bool { return r == ',' })) {
			t.Errorf("%s: %v", c.name, lines)
		}
	}
}

// TestV1WithoutMknod: a default device can be denied, at the price of another default.
func TestV1WithoutMknod(t *testing.T) {
	p, err := NewPolicy([]specs.LinuxDeviceCgroup{
		{Access: "rwm"},
		{Type: "c", Major: n(10), Minor: n(200), Access: "rwm"},
		{Allow: true, Type: "c", Major: n(10), Minor: n(237), Access: "r"}, // docker run --device /dev/loop-control:/dev/loop-control:r
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.V1()
	if err != nil || !plan.WithoutMknod {
		t.Fatalf("%+v, %v", plan, err)
	}
	k := newKernel()
	k.writeAll(t, plan.Lines())
	for q, want := range map[request]bool{
		{char, 10, 200, Read}: false, {char, 10, 200, Mknod}: false, {char, 1, 3, Read | Write}: true, {char, 1, 3, Mknod}: true, {block, 8, 0, Mknod}: false,
		{char, 10, 237, Mknod}: true, {char, 10, 237, Read}: true, {char, 10, 237, Write}: false,
	} {
		if got := k.permits(q); got != want {
			t.Errorf("%+v: %v", q, got)
		}
	}
}
