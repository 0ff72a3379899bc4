package cli

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	urfave "github.com/urfave/cli/v3"

	"davit/libcontainer/hooks"
	"davit/libcontainer/plan"
	"davit/seccomp"
)

// Keys of the features' annotations.
const (
	annotationVersion = "run.davit.version"
	annotationCommit  = "run.davit.commit"
	// annotationCheckpoint tells that checkpoint and restore are there; engines know it by this name.
	annotationCheckpoint = "org.opencontainers.runc.checkpoint.enabled"
)

func featuresCommand(a *app) *urfave.Command {
	return &urfave.Command{
		Description: `Prints as JSON which parts of the runtime specification this davit implements (features.md of the specification), whatever the host offers.

EXAMPLES
davit features | jq .linux.seccomp.actions`,
		Action: a.action(0, 0, func([]string) error {
			enc := json.NewEncoder(a.stdout)
			enc.SetIndent("", "    ")
			return enc.Encode(allFeatures())
		}),
	}
}

func allFeatures() *features.Features {
	v, c := buildVersion()
	f := &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         []string{hooks.Prestart, hooks.CreateRuntime, hooks.CreateContainer, hooks.StartContainer, hooks.Poststart, hooks.Poststop},
		MountOptions:  mountOptions(),
		Linux: &features.Linux{
			Namespaces: []string{
				string(specs.CgroupNamespace), string(specs.IPCNamespace), string(specs.MountNamespace), string(specs.NetworkNamespace),
				string(specs.PIDNamespace), string(specs.TimeNamespace), string(specs.UserNamespace), string(specs.UTSNamespace),
			},
			Capabilities:    plan.Capabilities(),
			Cgroup:          &features.Cgroup{V1: new(true), V2: new(true), Systemd: new(true), SystemdUser: new(true), Rdma: new(true)},
			Seccomp:         seccomp.Features(),
			Apparmor:        &features.Apparmor{Enabled: new(true)},
			Selinux:         &features.Selinux{Enabled: new(true)},
			IntelRdt:        &features.IntelRdt{Enabled: new(true), Schemata: new(true), Monitoring: new(true)},
			MemoryPolicy:    memoryPolicies(),
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: new(true)}},
			NetDevices:      &features.NetDevices{Enabled: new(true)},
		},
		Annotations: map[string]string{annotationVersion: v, annotationCommit: c, annotationCheckpoint: "true"},
		// Those that davit looks at.
		PotentiallyUnsafeConfigAnnotations: []string{"org.criu.config", "org.systemd.property.", "run.oci.seccomp_fail_unknown_syscall", plan.KeepGroups, plan.MountContextType},
	}
	if lib := seccomp.LibraryVersion(); lib != "" {
		f.Annotations[seccomp.LibseccompAnnotation] = lib
	}
	return f
}

func memoryPolicies() *features.MemoryPolicy {
	return &features.MemoryPolicy{
		Modes: []string{
			string(specs.MpolDefault), string(specs.MpolBind), string(specs.MpolInterleave), string(specs.MpolWeightedInterleave),
			string(specs.MpolPreferred), string(specs.MpolPreferredMany), string(specs.MpolLocal),
		},
		Flags: []string{string(specs.MpolFNumaBalancing), string(specs.MpolFRelativeNodes), string(specs.MpolFStaticNodes)},
	}
}

// mountOptions are those of config.md that have their effect.
func mountOptions() []string {
	return []string{
		"async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "idmap", "iversion", "lazytime", "loud", "mand", "noatime", "nodev",
		"nodiratime", "noexec", "noiversion", "nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private",
		"ratime", "rbind", "rdev", "rdiratime", "relatime", "remount", "rexec", "ridmap", "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime",
		"rnostrictatime", "rnosuid", "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid",
		"rsymfollow", "runbindable", "rw", "shared", "silent", "slave", "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable",
	}
}
