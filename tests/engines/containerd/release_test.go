package containerd

import (
	"os"
	"path/filepath"
)

// release is one of containerd's, with the format of its configuration.
type release struct {
	name   string
	bin    string // directory of its programs; empty for those of Debian's package
	config string // the file's beginning
	cri    string // what it says about the runtime interface

	sharesAlways bool // a sandbox's CPU shares can't be left out
}

// releases are Debian's and, if it has been built (see ../built), that of clusters today.
func releases() []release {
	list := []release{debian}
	if dir := os.Getenv("DAVIT_ENGINES_BUILT"); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "containerd", "containerd")); err == nil {
			r := second
			r.bin = filepath.Join(dir, "containerd")
			list = append(list, r)
		}
	}
	return list
}

const socket = "/run/containerd/containerd.sock"

var debian = release{
	name: "1",
	config: `version = 2
root = ROOT
state = "/run/containerd"
[grpc]
  address = "` + socket + `"
[plugins."io.containerd.internal.v1.opt"]
  path = OPT
REST`,

	cri: `
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = PAUSE
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_cgroup = NOCGROUP
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = NETWORKS
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "davit"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.davit]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.davit.options]
      BinaryName = DAVIT
      SystemdCgroup = SYSTEMD
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = RUNC
      SystemdCgroup = SYSTEMD
`,
}

// Plugins of nodes' resources have no part in this.
var second = release{
	name:         "2",
	sharesAlways: true,
	config: `version = 3
root = ROOT
state = "/run/containerd"
[grpc]
  address = "` + socket + `"
[plugins."io.containerd.internal.v1.opt"]
  path = OPT
[plugins."io.containerd.nri.v1.nri"]
  disable = true
REST`,
	cri: `
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = PAUSE
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = NETWORKS
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "davit"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.davit]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.davit.options]
      BinaryName = DAVIT
      SystemdCgroup = SYSTEMD
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = RUNC
      SystemdCgroup = SYSTEMD
`,
}
