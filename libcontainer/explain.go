package libcontainer

import (
	"davit/cgroups"
	"davit/cgroups/systemd"
	"davit/libcontainer/bundle"
	"davit/libcontainer/plan"
	"davit/nsenter"
)

// Explanation is what making a container would do.
type Explanation struct {
	World    nsenter.Program // what enters the namespaces and builds the container's world
	Process  nsenter.Program // what becomes the container's process; nil if the config has none
	Files    []plan.FileRef  // what fills the slots of World
	Mappings *plan.Mappings  // what davit writes once the process is cloned; nil for none
	Warnings []*plan.Warning
}

// Explain compiles a bundle for this host as [Runtime.Create] would, and does
// nothing else: it needs no privilege and changes nothing. What is known only
// inside the container (a home directory from its /etc/passwd) and the seccomp
// filter are represented by placeholders of the same shape.
//
// Of the runtime's options those about cgroups count. Where cgroups are to be made it is
// taken for granted that the caller may. A container of systemd's is explained as if
// systemd's own cgroup were the root of all.
func Explain(dir string, id string, opts *CreateOptions, rt Options) (*Explanation, error) {
	b, err := bundle.Load(dir)
	if err != nil {
		return nil, err
	}
	return ExplainBundle(b, id, opts, rt)
}

// ExplainBundle is [Explain] for a bundle that is loaded.
func ExplainBundle(b *bundle.Bundle, id string, opts *CreateOptions, rt Options) (*Explanation, error) {
	facts, err := hostFacts(b.Spec, b.Rootfs)
	if err != nil {
		return nil, err
	}
	layout, err := cgroups.Detect()
	if err != nil {
		return nil, err
	}
	cfg := &cgroups.Config{ID: id, OCIVersion: b.Spec.Version, Disabled: rt.NoCgroups}
	if b.Spec.Linux != nil {
		cfg.Path, cfg.Resources = b.Spec.Linux.CgroupsPath, b.Spec.Linux.Resources
	}
	if rt.SystemdCgroup {
		cfg.Systemd = systemd.Offline()
	}
	m, err := cgroups.New(layout, cfg)
	if err != nil {
		return nil, err
	}
	facts.Cgroups, facts.CgroupPaths, facts.IntoCgroup = layout, m.Paths(), layout.Mode == cgroups.V2 && !rt.SystemdCgroup && !rt.NoCgroups
	if rt.NoCgroups {
		if facts.CallerCgroups, err = cgroups.CallerPaths(layout); err != nil {
			return nil, err
		}
	}
	p, err := plan.Compile(&plan.Input{ID: id, Spec: b.Spec, Bundle: b.Dir, Rootfs: b.Rootfs, NoPivot: opts.NoPivot,
		NoNewKeyring: opts.NoNewKeyring, Inherited: opts.extra(), ExtraEnv: opts.environment(), Park: true, Facts: facts})
	if err != nil {
		return nil, err
	}
	e := &Explanation{World: p.World, Files: p.Files, Mappings: p.Mappings}
	if b.Spec.Process != nil {
		late := &plan.Late{Home: "(from /etc/passwd)"}
		if b.Spec.Linux != nil && b.Spec.Linux.Seccomp != nil {
			late.Seccomp = &plan.Seccomp{}
		}
		if b.Spec.Process.ApparmorProfile != "" {
			late.AppArmor = plan.AppArmor{File: "apparmor/exec", Value: "exec " + b.Spec.Process.ApparmorProfile}
		}
		if e.Process, err = p.Process(late); err != nil {
			return nil, err
		}
	}
	e.Warnings = p.Warnings
	return e, nil
}
