package bundle

import (
	posix "path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mounts checks config.md's Mounts. Destinations may be relative: deprecated,
// but to be taken as relative to "/". Options that the spec doesn't list belong
// to the filesystem, so only the kernel can say that one is wrong.
func (c *checker) mounts() {
	all := top.member("mounts")
	for i := range c.spec.Mounts {
		at := all.at(i)
		c.mount(&at, &c.spec.Mounts[i])
	}
}

func (c *checker) mount(at *path, m *specs.Mount) {
	if m.Destination == "" {
		c.fail(at.member("destination"), "must not be empty")
	}
	o := c.mountOptions(at, m)
	switch {
	case o.bind && o.idmap >= 0 && m.Source == "" && posix.Clean("/"+m.Destination) == "/":
		// The rootfs itself, with its ids mapped.
	case o.bind && !o.remount && m.Source == "":
		c.fail(at.member("source"), "must not be empty for a bind mount")
	case !o.bind && !o.remount && m.Type == "":
		c.fail(at.member("type"), "must not be empty").Hint = `or is "bind" missing in options?`
	case !o.bind && !o.remount && (m.Type == "bind" || m.Type == "rbind"):
		// The spec tells bind mounts by their options, and the kernel has no
		// such filesystem.
		c.failf(at.member("type"), "%q is not a filesystem", m.Type).Hint = `add "bind" or "rbind" to options`
	}
	if o.copyUp >= 0 && m.Type != "tmpfs" {
		options := at.member("options")
		c.failf(options.at(o.copyUp), `"tmpcopyup" has no meaning for type %q`, m.Type).Hint = "it belongs to tmpfs"
	}
	c.mountMappings(at, m, o.idmap)
}

// mountFacts is what the checks need to know of a mount's options. idmap and
// copyUp are indexes, or negative.
type mountFacts struct {
	bind, remount bool
	idmap, copyUp int
}

func (c *checker) mountOptions(at *path, m *specs.Mount) mountFacts {
	o := mountFacts{idmap: -1, copyUp: -1}
	propagation := ""
	for i, option := range m.Options {
		switch option {
		case "bind", "rbind":
			o.bind = true
		case "remount":
			o.remount = true
		case "idmap", "ridmap":
			o.idmap = i
		case "tmpcopyup":
			o.copyUp = i
		default:
			kind := propagationKind(option)
			if kind == "" {
				continue
			}
			// A mount can be a slave and shared at the same time
			// (mount_namespaces(7)), in that order. Any other two kinds
			// undo each other.
			if propagation != "" && propagation != kind && !(propagation == "slave" && kind == "shared") {
				options := at.member("options")
				c.failf(options.at(i), "%q contradicts the propagation %q", option, propagation)
			}
			propagation = kind
		}
	}
	return o
}

// propagationKind returns the kind that a propagation option asks for, without
// the leading r for "recursively", and "" for any other option.
func propagationKind(option string) string {
	switch option {
	case "private", "rprivate":
		return "private"
	case "shared", "rshared":
		return "shared"
	case "slave", "rslave":
		return "slave"
	case "unbindable", "runbindable":
		return "unbindable"
	}
	return ""
}

// mountMappings: both maps or none; and with "idmap", a user namespace whose
// map can be taken when there is none. Mappings without that option are valid
// (the spec's SHOULD is about older runtimes).
func (c *checker) mountMappings(at *path, m *specs.Mount, idmap int) {
	uids, gids := at.member("uidMappings"), at.member("gidMappings")
	c.mappingList(&uids, m.UIDMappings)
	c.mappingList(&gids, m.GIDMappings)
	hasUIDs, hasGIDs := len(m.UIDMappings) != 0, len(m.GIDMappings) != 0
	switch {
	case hasUIDs && !hasGIDs:
		c.fail(gids, "is required along with uidMappings")
	case hasGIDs && !hasUIDs:
		c.fail(uids, "is required along with gidMappings")
	case idmap >= 0 && !hasUIDs && !c.listsNamespace(specs.UserNamespace):
		options := at.member("options")
		c.failf(options.at(idmap), "%q needs uidMappings and gidMappings, or a user namespace to take them from", m.Options[idmap])
	}
}

func (c *checker) listsNamespace(t specs.LinuxNamespaceType) bool {
	return c.spec.Linux != nil && slices.ContainsFunc(c.spec.Linux.Namespaces,
		func(ns specs.LinuxNamespace) bool { return ns.Type == t })
}
