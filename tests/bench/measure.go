package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// sample is one measured thing: a process from its fork to its end, or several.
type sample struct {
	wall, cpu time.Duration
	peak      int // KiB resident at most, of the largest process
	value     int // of cases that count something else
}

// runtime is one of those compared.
type runtime struct {
	name string
	path string
	root string // its state directory
}

// args are the arguments of a command of the runtime.
func (r *runtime) args(args ...string) []string {
	return append([]string{r.path, "--root", r.root}, args...)
}

// spawn starts a program as cheaply as the operating system allows.
func spawn(argv []string, files [3]uintptr, attr *syscall.SysProcAttr) (int, error) {
	return syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: os.Environ(), Files: files[:], Sys: attr})
}

// wait reaps a child; it must have ended with status 0.
func wait(pid int, begin time.Time) (sample, error) {
	var ws syscall.WaitStatus
	var ru syscall.Rusage
	for {
		if _, err := syscall.Wait4(pid, &ws, 0, &ru); err == nil {
			break
		} else if err != syscall.EINTR {
			return sample{}, err
		}
	}
	s := sample{wall: time.Since(begin), cpu: time.Duration(ru.Utime.Nano() + ru.Stime.Nano())}
	if !ws.Exited() || ws.ExitStatus() != 0 {
		return s, fmt.Errorf("it ended with status %d, signal %d", ws.ExitStatus(), ws.Signal())
	}
	return s, nil
}

// measurePeak runs a program through the one that reports the peak of its memory.
func (e *environment) measurePeak(argv []string) (sample, error) {
	out := filepath.Join(e.dir, "peak")
	begin := time.Now()
	pid, err := spawn(append([]string{e.peak, out}, argv...), [3]uintptr{e.null.Fd(), e.null.Fd(), e.stderr.Fd()}, nil)
	if err != nil {
		return sample{}, err
	}
	s, err := wait(pid, begin)
	if err != nil {
		return s, e.explain(err, argv)
	}
	data, err := os.ReadFile(out)
	if err == nil {
		_, err = fmt.Sscan(string(data), &s.peak)
	}
	return s, err
}

// run measures one program, whose standard streams are /dev/null and, for errors, a file.
func (e *environment) run(argv []string) (sample, error) {
	if e.peaks {
		return e.measurePeak(argv)
	}
	begin := time.Now()
	pid, err := spawn(argv, [3]uintptr{e.null.Fd(), e.null.Fd(), e.stderr.Fd()}, nil)
	if err != nil {
		return sample{}, err
	}
	s, err := wait(pid, begin)
	return s, e.explain(err, argv)
}

// runAtTerminal is run on a new terminal, whose output nobody wants.
func (e *environment) runAtTerminal(argv []string) (sample, error) {
	master, slave, err := openTerminal()
	if err != nil {
		return sample{}, err
	}
	defer master.Close()
	go func() {
		var buf [4096]byte
		for {
			if _, err := master.Read(buf[:]); err != nil {
				return
			}
		}
	}()
	begin := time.Now()
	pid, err := spawn(argv, [3]uintptr{slave.Fd(), slave.Fd(), slave.Fd()}, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0})
	slave.Close()
	if err != nil {
		return sample{}, err
	}
	s, err := wait(pid, begin)
	return s, e.explain(err, argv)
}

// together measures programs that run at the same time, as one.
func (e *environment) together(programs [][]string) (sample, error) {
	var all sample
	begin := time.Now()
	pids := make([]int, len(programs))
	for i, argv := range programs {
		var err error
		if pids[i], err = spawn(argv, [3]uintptr{e.null.Fd(), e.null.Fd(), e.stderr.Fd()}, nil); err != nil {
			return all, err
		}
	}
	for i, pid := range pids {
		s, err := wait(pid, begin)
		if err != nil {
			return all, e.explain(err, programs[i])
		}
		all.cpu += s.cpu
	}
	all.wall = time.Since(begin)
	return all, nil
}

func (e *environment) explain(err error, argv []string) error {
	if err == nil {
		return nil
	}
	said, _ := os.ReadFile(e.stderr.Name())
	return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(said)))
}

// measure runs a case for every runtime that knows it, interleaved.
func (e *environment) measure(c *benchCase) (results, error) {
	var who []*runtime
	for i := range e.runtimes {
		r := &e.runtimes[i]
		if c.knows == nil || c.knows(r) {
			who = append(who, r)
		}
	}
	samples := make([][][]sample, len(who)) // runtime, round, row
	rounds := c.rounds(e.rounds)
	measureRound := func(i int, keep bool) error {
		for k := range who {
			n := (i + k) % len(who)
			s, err := c.once(e, who[n])
			if err != nil {
				return err
			}
			if keep {
				samples[n] = append(samples[n], s)
			}
		}
		return nil
	}
	defer func() {
		if c.after != nil {
			for _, r := range who {
				c.after(e, r)
			}
		}
	}()
	for _, r := range who {
		if c.before == nil {
			break
		}
		if err := c.before(e, r); err != nil {
			return nil, err
		}
	}
	for i := range rounds + 2 { // the first two warm up
		if err := measureRound(i, i >= 2 || rounds == 1); err != nil {
			return nil, err
		}
		if rounds == 1 {
			break
		}
	}
	peaks, err := e.peaksOf(c, who)
	return c.results(who, samples, peaks), err
}

// peaksOf measures the memory of a case in a round of its own. One-round cases take too long for that, or are about other things.
func (e *environment) peaksOf(c *benchCase, who []*runtime) ([][]sample, error) {
	peaks := make([][]sample, len(who))
	if e.peak == "" || c.rounds(2) == 1 {
		return peaks, nil
	}
	e.peaks = true
	defer func() { e.peaks = false }()
	for i, r := range who {
		var err error
		if peaks[i], err = c.once(e, r); err != nil {
			return nil, err
		}
	}
	return peaks, nil
}
