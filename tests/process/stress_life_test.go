package process

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"davit/tests/harness"
)

// fleet is many containers of one sandbox, on one rootfs.
type fleet struct {
	t *testing.T
	s *harness.Sandbox
}

func (f *fleet) bundle(id string) string {
	f.t.Helper()
	spec := *f.s.Spec
	linux := *spec.Linux
	linux.CgroupsPath = "/" + id
	spec.Linux, spec.Root = &linux, &specs.Root{Path: f.s.Rootfs, Readonly: true}
	dir := filepath.Join(f.s.Dir, "bundles", id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	data, err := json.Marshal(&spec)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644); err != nil {
		f.t.Fatal(err)
	}
	return dir
}

// do runs a command, which must not take long whatever else goes on.
func (f *fleet) do(args ...string) *harness.Result {
	f.t.Helper()
	begin := time.Now()
	r := f.s.Davit(args...)
	if took := time.Since(begin); took > 20*time.Second {
		f.t.Errorf("%v took %s", args, took)
	}
	return r
}

func (f *fleet) must(args ...string) {
	f.t.Helper()
	if r := f.do(args...); r.Code != 0 {
		f.t.Errorf("%v: exit code %d: %s", args, r.Code, r.Stderr())
	}
}

func (f *fleet) refused(phrase string, args ...string) {
	f.t.Helper()
	if r := f.do(args...); r.Code == 0 || !strings.Contains(r.Stderr(), phrase) {
		f.t.Errorf("%v: exit code %d, want an error with %q: %s", args, r.Code, phrase, r.Stderr())
	}
}

func (f *fleet) status(id string) specs.ContainerState {
	f.t.Helper()
	var st specs.State
	if r := f.do("state", id); r.Code != 0 {
		return ""
	} else if err := json.Unmarshal([]byte(r.Stdout()), &st); err != nil {
		f.t.Errorf("state %s: %v", id, err)
	}
	return st.Status
}

func (f *fleet) is(id string, want specs.ContainerState) {
	f.t.Helper()
	var got specs.ContainerState
	for range 2000 {
		if got = f.status(id); got == want || want != specs.StateStopped {
			break
		}
		time.Sleep(2 * time.Millisecond) // a killed process takes its time
	}
	if got != want {
		f.t.Errorf("the status of %s is %q, want %q", id, got, want)
	}
}

// Two hundred containers, many at a time, each by a way of its own through its life. After each step the status has to be right.
func TestLifeStress(t *testing.T) {
	raceLog(t)
	n, workers := 200, 12
	if testing.Short() {
		n = 40
	}
	f := &fleet{t, harness.New(t, harness.Args("/bin/sleep", "1000"))}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ids := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range ids {
				f.life(fmt.Sprintf("%s-%d", f.s.ID, i), rand.New(rand.NewPCG(seed, uint64(i))))
			}
		})
	}
	for i := range n {
		ids <- i
	}
	close(ids)
	all.Wait()
	if r := f.do("list", "-q"); r.Stdout() != "" {
		t.Errorf("containers are left: %s", r.Stdout())
	}
}

// life takes one container through a random life.
func (f *fleet) life(id string, random *rand.Rand) {
	f.t.Helper()
	bundle := f.bundle(id)
	maybe := func() bool { return random.IntN(2) == 0 }
	if maybe() {
		f.must("create", "--bundle", bundle, id)
		f.is(id, specs.StateCreated)
		if maybe() {
			f.refused("container with given ID already exists", "create", "--bundle", bundle, id)
		}
		if maybe() {
			f.must("exec", id, "/bin/true")
		}
		switch random.IntN(6) {
		case 0: // never started
			f.must(f.deletes(random, true, id)...)
			f.gone(id)
			return
		case 1: // killed before
			f.must("kill", id, "KILL")
			f.is(id, specs.StateStopped)
			f.refused("cannot start a container that has stopped", "start", id)
			f.must(f.deletes(random, true, id)...)
			f.gone(id)
			return
		}
		f.must("start", id)
	} else {
		f.must("run", "--detach", "--bundle", bundle, id)
	}
	f.is(id, specs.StateRunning)
	f.whileRunning(id, random)
	if maybe() {
		f.must("delete", "--force", id)
		f.gone(id)
		return
	}
	f.must("kill", id, "KILL")
	f.is(id, specs.StateStopped)
	if maybe() {
		f.refused("container not running", "kill", id, "KILL")
	}
	f.must(f.deletes(random, true, id)...)
	f.gone(id)
}

func (f *fleet) whileRunning(id string, random *rand.Rand) {
	f.t.Helper()
	for range random.IntN(4) {
		switch random.IntN(6) {
		case 0:
			f.must("exec", id, "/bin/true")
		case 1:
			f.must("exec", "-d", id, "/bin/sleep", "1000")
		case 2:
			f.refused("cannot start an already running container", "start", id)
		case 3:
			f.refused("that is not stopped: running", "delete", id)
		case 4:
			f.must("pause", id)
			f.is(id, "paused")
			f.refused("cannot exec in a paused container", "exec", id, "/bin/true")
			f.must("resume", id)
		case 5:
			f.must("kill", id, "WINCH")
		}
		f.is(id, specs.StateRunning)
	}
}

func (f *fleet) deletes(random *rand.Rand, may bool, id string) []string {
	if may && random.IntN(2) == 0 {
		return []string{"delete", id}
	}
	return []string{"delete", "--force", id}
}

func (f *fleet) gone(id string) {
	f.t.Helper()
	f.refused("container does not exist", "state", id)
}

// refusals are what a command may say about a container that others change at the same time.
var refusals = []string{
	"container does not exist", "container with given ID already exists", "container not running", "container not paused", "container paused",
	"cannot start an already running container", "cannot start a container that has stopped", "cannot start a container in the paused state",
	"cannot exec in a stopped container", "cannot exec in a paused container", "that is not stopped: ", "container not running or created",
	"was killed before its exec, by SIGKILL from outside", beingCreated,
}

// Everybody does everything to a few containers at once. What is refused is refused for a status; nothing gets stuck, nothing is left.
func TestContentionStress(t *testing.T) {
	raceLog(t)
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	f := &fleet{t, harness.New(t, harness.Args("/bin/sleep", "1000"))}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var ids []string
	bundles := make(map[string]string)
	for i := range 4 {
		id := fmt.Sprintf("%s-%d", f.s.ID, i)
		ids, bundles[id] = append(ids, id), f.bundle(id)
	}
	var mu sync.Mutex
	odd := make(map[string]int)
	var all sync.WaitGroup
	for w := range 10 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for range rounds {
				id := ids[random.IntN(len(ids))]
				commands := [][]string{
					{"create", "--bundle", bundles[id], id}, {"create", "--bundle", bundles[id], id}, {"run", "-d", "--bundle", bundles[id], id}, {"start", id}, {"start", id},
					{"kill", id, "KILL"}, {"kill", "--all", id, "KILL"}, {"delete", id}, {"delete", "--force", id}, {"exec", id, "/bin/true"}, {"exec", "-d", id, "/bin/sleep", "1000"},
					{"pause", id}, {"resume", id}, {"state", id}, {"list"}, {"ps", "-f", "json", id},
				}
				line := commands[random.IntN(len(commands))]
				r := f.do(line...)
				said := func(phrase string) bool { return strings.Contains(r.Stderr(), phrase) }
				if r.Code == 0 || slices.ContainsFunc(refusals, said) || line[0] == "exec" && r.Code == 137 {
					continue
				}
				mu.Lock()
				odd[fmt.Sprintf("%s: exit code %d: %s", line[0], r.Code, r.Stderr())]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		f.must("delete", "--force", id)
		f.gone(id)
	}
	for text, n := range odd {
		t.Errorf("%d times %s", n, text)
	}
}
