package libcontainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/cgroups"
	"davit/libcontainer/criu"
	"davit/libcontainer/hooks"
	"davit/libcontainer/plan"
	"davit/libcontainer/signals"
	"davit/libcontainer/state"
)

// RestoreOptions say how a container is made from images.
type RestoreOptions struct {
	CRIUOptions
	Bundle          string // directory; "" is the working directory
	PIDFile         string // where to write the process's pid, or ""
	ConsoleSocket   string // where to send its terminal's master, or ""
	Detach          bool   // return when the processes run
	NoSubreaper     bool   // don't adopt the container's orphans
	NoPivot         bool   // recorded for later: CRIU changes the root in its own way
	LSMProfile      string // TYPE:NAME of the profile that the processes get instead of theirs
	LSMMountContext string // the label that mounts get instead of theirs
}

// restore makes one container from images: what boot does by a stage, CRIU does here.
type restore struct {
	boot
	opts   *RestoreOptions
	layout *cgroups.Layout
	images *images
	worker *criu.Worker
	extra  []*os.File // descriptors that CRIU gets
}

// Restore makes a container anew from what [Runtime.Checkpoint] wrote, on the
// bundle's root filesystem, and lets it go on. Unless detached it waits for the
// container's end as [Runtime.Run] does. On error nothing is left of it.
func (rt *Runtime) Restore(id string, opts *RestoreOptions) (int, error) {
	var caught *signals.Pipe
	if !opts.Detach {
		var err error
		if caught, err = catchForwarded(); err != nil {
			return 1, err
		}
		defer caught.Close()
	}
	po := ProcessOptions{PIDFile: opts.PIDFile, ConsoleSocket: opts.ConsoleSocket}
	co := &CreateOptions{ProcessOptions: po, Bundle: opts.Bundle, NoPivot: opts.NoPivot}
	r := &restore{opts: opts, boot: boot{launch: launch{rt: rt, opts: &co.ProcessOptions, kind: "standard", detach: opts.Detach}, id: id, opts: co, restored: true}}
	err := r.run()
	r.finishCRIU()
	if err == nil {
		err = r.rt.poststart(r.spec, r.record, r.dir)
	}
	if err != nil {
		r.undo()
		return 1, err
	}
	if opts.Detach {
		r.release()
		return 0, nil
	}
	return r.supervise(caught, &RunOptions{NoSubreaper: opts.NoSubreaper})
}

func (r *restore) run() error {
	if err := state.ValidateID(r.id); err != nil {
		return err
	}
	for _, step := range []func() error{r.load, r.refuse, r.checkTerminal, r.checkImages, r.claim, r.makeCgroup, r.makeMountPoints, r.start, r.request, r.ready} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// finishCRIU lets go of CRIU, which has no part in the container any more.
func (r *restore) finishCRIU() {
	if r.worker != nil {
		_ = r.worker.Close()
	}
	if r.images != nil {
		r.images.close()
	}
	for _, f := range r.extra {
		f.Close()
	}
	r.extra = nil
}

// refuse names what a configuration asks for and a restore has no way to do.
func (r *restore) refuse() error {
	if err := movable(r.spec); err != nil {
		return err
	}
	if len(r.spec.Linux.NetDevices) > 0 {
		return errors.New("linux.netDevices: a restored container has the network of its checkpoint: leave this out")
	}
	for i, ns := range r.spec.Linux.Namespaces {
		if ns.Path != "" && (ns.Type == specs.CgroupNamespace || ns.Type == specs.MountNamespace) {
			return fmt.Errorf("linux.namespaces[%d]: CRIU can't restore a container into an existing %s namespace", i, ns.Type)
		}
	}
	if p := r.spec.Process; p != nil && p.IOPriority != nil {
		r.rt.log.Warn("process.ioPriority: it is not in CRIU's images: the restored processes have the default")
	}
	private, err := plan.PrivatePID(r.spec)
	// Of a plan only what is recorded is needed.
	r.plan = &plan.Plan{PrivatePID: private}
	return err
}

// checkImages looks before anything is made whether there is something to restore.
func (r *restore) checkImages() error {
	if _, err := needCRIU(); err != nil {
		return err
	}
	i, err := r.opts.openImages("restore.log", 0)
	if err != nil {
		return err
	}
	defer i.close()
	if err := unix.Faccessat(i.dir, "inventory.img", unix.R_OK, 0); err != nil {
		return fmt.Errorf("--image-path: there is no checkpoint in %s: inventory.img: %w", i.path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(i.dir, &st); err == nil && hasNamespace(r.spec, specs.UserNamespace) && st.Mode&0o001 == 0 {
		return fmt.Errorf("--image-path: %s has mode %#o, and CRIU looks for images as the user namespace's root, too: chmod o+x %s", i.path, st.Mode&0o7777, i.path)
	}
	return nil
}

// makeCgroup makes the control groups with the configuration's limits.
func (r *restore) makeCgroup() error {
	var err error
	if r.layout, err = cgroups.Detect(); err != nil {
		return err
	}
	if r.cgroup, err = cgroups.New(r.layout, cgroupConfig(r.rt, r.id, r.spec)); err != nil {
		return err
	}
	return r.createCgroup()
}

// makeMountPoints makes in the root filesystem what the container's mounts go
// onto: CRIU mounts, but makes nothing. Those on other mounts of the container
// came along with these.
func (r *restore) makeMountPoints() error {
	tree, err := openRootTree(r.bundle.Rootfs)
	if err != nil {
		return err
	}
	defer tree.close()
	for i := range r.spec.Mounts {
		m := &r.spec.Mounts[i]
		at, covered := inside(m.Destination), false
		for j := range r.spec.Mounts[:i] {
			rest, ok := below(at, inside(r.spec.Mounts[j].Destination))
			covered = covered || ok && rest != ""
		}
		if covered || at == "/" {
			continue
		}
		directory := true
		if isBind(m) {
			source := m.Source
			if !filepath.IsAbs(source) {
				source = filepath.Join(r.bundle.Dir, source)
			}
			info, err := os.Stat(source)
			if err != nil {
				return fmt.Errorf("mounts[%d] (%s): source: %w", i, m.Destination, err)
			}
			directory = info.IsDir()
		}
		if err := tree.make(at, directory); err != nil {
			return fmt.Errorf("mounts[%d] (%s): %w", i, m.Destination, err)
		}
	}
	return nil
}

// cgroupBinds are the container's control groups below a mount of them.
func (r *restore) cgroupBinds(at string) []criu.Pair {
	paths := r.cgroup.Paths()
	if len(r.layout.V1) == 0 {
		return []criu.Pair{{Key: at, Value: paths[""]}}
	}
	var list []criu.Pair
	for i := range r.layout.V1 {
		h := &r.layout.V1[i]
		key := "name=" + h.Name
		if len(h.Controllers) > 0 {
			key = h.Controllers[0]
		}
		list = append(list, criu.Pair{Key: path.Join(at, path.Base(h.Mountpoint)), Value: paths[key]})
	}
	if r.layout.Unified != "" {
		list = append(list, criu.Pair{Key: path.Join(at, path.Base(r.layout.Unified)), Value: paths[""]})
	}
	return list
}

// start starts CRIU in a mount namespace of its own, in which the root filesystem is a
// mount, as CRIU wants it, and puts it into the container's control groups: what it makes is there, too.
func (r *restore) start() error {
	if err := r.openJoined(); err != nil {
		return err
	}
	w, err := startCRIU(r.startApart)
	if err != nil {
		return err
	}
	r.worker = w
	r.attached = true
	return r.cgroup.Attach(w.PID)
}

func (r *restore) startApart(path string) (*criu.Worker, error) {
	type result struct {
		w   *criu.Worker
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread goes with its mounts
		err := bindRoot(r.bundle.Rootfs)
		if err == nil {
			// CRIU mounts in its working directory, which has to be one of its own mount namespace.
			r.images, err = r.opts.openImages("restore.log", 0)
		}
		if err != nil {
			done <- result{nil, err}
			return
		}
		extra := make([]uintptr, 0, len(r.extra)+3)
		for _, f := range r.extra {
			extra = append(extra, f.Fd())
		}
		w, err := criu.Start(path, append(extra, 0, 1, 2))
		done <- result{w, err}
	}()
	res := <-done
	return res.w, res.err
}

// bindRoot gives the calling thread mounts of its own, and makes dir one of them.
func bindRoot(dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare the mount namespace for criu: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make the mounts for criu its own: %w", err)
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("root.path: bind %s: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("root.path: make the mount of %s private: %w", dir, err)
	}
	return nil
}

// openJoined opens the namespaces that CRIU gets as descriptors.
func (r *restore) openJoined() error {
	for i, ns := range r.spec.Linux.Namespaces {
		if externalName(ns) == "" {
			continue
		}
		flag := plan.NamespaceFlag(ns.Type)
		fd, err := openNamespace(&plan.FileRef{Path: ns.Path, Type: flag, Field: fmt.Sprintf("linux.namespaces[%d]", i)})
		if err != nil {
			return err
		}
		r.extra = append(r.extra, os.NewFile(uintptr(fd), externalName(ns)))
	}
	return nil
}

// externalName is the name of a joined namespace that is external in a dump, or "".
func externalName(ns specs.LinuxNamespace) string {
	switch {
	case ns.Path == "":
	case ns.Type == specs.NetworkNamespace:
		return externalNet
	case ns.Type == specs.PIDNamespace:
		return externalPID
	}
	return ""
}

// request asks CRIU for the processes, and does davit's part when CRIU asks back.
func (r *restore) request() error {
	o, err := r.opts.options(r.images, r.spec)
	if err != nil {
		return err
	}
	o.Root, o.EvasiveDevices, o.NotifyScripts, o.RstSibling = r.bundle.Rootfs, true, true, true
	o.SkipFileModeCheck = true // a standard stream's file needn't have been made by the same caller
	o.LSMProfile, o.LSMMountContext = r.opts.LSMProfile, r.opts.LSMMountContext
	if o.ExtMounts, err = r.sources(); err != nil {
		return err
	}
	if o.CgroupRoots, err = cgroupRoots(r.worker.PID); err != nil {
		return err
	}
	if o.InheritFDs, err = r.inherited(); err != nil {
		return err
	}
	for _, ns := range r.spec.Linux.Namespaces {
		if ns.Path != "" && externalName(ns) == "" {
			o.JoinedNamespaces = append(o.JoinedNamespaces, criu.JoinedNamespace{Type: string(ns.Type), Path: ns.Path})
		}
	}
	resp, err := r.worker.Do(&criu.Request{Type: criu.Restore, Options: o}, r.notified)
	if err != nil {
		return r.images.explain(err, r.worker)
	}
	if r.pid = int(resp.PID); r.record == nil {
		if err := r.recordProcess(r.pid); err != nil {
			return err
		}
	}
	return r.dir.Finish()
}

// cgroupRoots are the control groups of a process, which restored ones are to be in.
func cgroupRoots(pid int) ([]criu.CgroupRoot, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil, err
	}
	var list []criu.CgroupRoot
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // cgroups(7), /proc/[pid]/cgroup
		if len(f) != 3 {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			list = append(list, criu.CgroupRoot{Controller: name, Path: f[2]})
		}
	}
	return list, nil
}

// inherited are the descriptors that take the place of what was outside of the
// container: the standard streams, unless they were a terminal of its own, and namespaces.
func (r *restore) inherited() ([]criu.InheritedFD, error) {
	var list []criu.InheritedFD
	for i, f := range r.extra {
		list = append(list, criu.InheritedFD{Key: f.Name(), FD: criu.ExtraFD(i)})
	}
	streams, err := readDescriptors(r.images.dir)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for fd, name := range streams {
		if fd > 2 {
			break
		}
		outside := strings.HasPrefix(name, "pipe:") || strings.HasPrefix(name, "file[") || strings.HasPrefix(name, "tty[")
		if !outside || seen[name] {
			continue
		}
		seen[name] = true
		list = append(list, criu.InheritedFD{Key: name, FD: criu.ExtraFD(len(r.extra) + fd)})
	}
	return list, nil
}

func readDescriptors(dir int) ([]string, error) {
	fd, err := unix.Openat(dir, descriptorsFile, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the checkpoint's %s: %w", descriptorsFile, err)
	}
	f := os.NewFile(uintptr(fd), descriptorsFile)
	defer f.Close()
	var streams []string
	if err := json.NewDecoder(f).Decode(&streams); err != nil {
		return nil, fmt.Errorf("the checkpoint's %s: %w", descriptorsFile, err)
	}
	return streams, nil
}

// notified does what CRIU asks for in the course of a restore, by the names of criu(8), --action-script.
func (r *restore) notified(n *criu.Notification) error {
	if n.Script == "orphan-pts-master" && len(n.Files) > 0 {
		r.closeTerminal()
		r.master = os.NewFile(uintptr(n.Files[0]), "ptmx")
		n.Files = n.Files[1:]
	}
	for _, fd := range n.Files {
		unix.Close(fd)
	}
	switch {
	case n.Script == "setup-namespaces" && n.PID > 0:
		return r.namespacesMade(n.PID)
	case n.Script == "post-restore" && r.spec.Root.Readonly: // the processes are there, and don't run yet
		return makeRootReadonly(n.PID)
	}
	return nil
}

// recordProcess records the first process, so that nothing outlives davit unknown.
func (r *restore) recordProcess(pid int) error {
	r.pid = pid
	if err := r.joinResctrl(); err != nil { // those that it makes are in its class, too
		return err
	}
	return r.save()
}

// namespacesMade runs the hooks that see the namespaces before the processes
// are in them.
func (r *restore) namespacesMade(pid int) error {
	if err := r.recordProcess(pid); err != nil {
		return err
	}
	h := r.spec.Hooks
	if h == nil {
		return nil
	}
	r.hooksBegun = true
	ctx, st := context.Background(), hookState(r.record, specs.StateCreating, r.pid)
	if err := hooks.Run(ctx, h.Prestart, hooks.Prestart, st, r.rt.hooksOutside()); err != nil {
		return err
	}
	return hooks.Run(ctx, h.CreateRuntime, hooks.CreateRuntime, st, r.rt.hooksOutside())
}
