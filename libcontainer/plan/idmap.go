package plan

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"davit/nsenter"
)

// IDMap is how the ids of a mount are mapped: by mappings, or as those of the
// user namespace at Path are.
type IDMap struct {
	Mappings
	Path string
}

// idMap chooses a mount's mapping (config.md, Mounts): its own, or that of the
// container's user namespace. It is nil where none is asked for.
func (c *compiler) idMap(field string, m *specs.Mount, o *mountOptions) (*IDMap, error) {
	own := len(m.UIDMappings)+len(m.GIDMappings) > 0
	switch {
	case !own && !o.idmap:
		return nil, nil
	case o.remount:
		return nil, fail(field, "the ids of a mount can be mapped when it is made, not by a remount")
	case !o.bind && !ownSuperblock(m.Type):
		return nil, fail(field, "a filesystem of type %s can't be idmapped", m.Type)
	case o.copyUp:
		return nil, fail(field, "tmpcopyup can't be combined with an id mapping")
	case c.in.Facts.EUID != 0:
		return nil, &Error{field, "an unprivileged user can't map the ids of a mount", "leave idmap and the mappings out, or run davit as root"}
	case own && (len(m.UIDMappings) == 0 || len(m.GIDMappings) == 0):
		return nil, fail(field, "uidMappings and gidMappings have to be given together")
	case own:
		return &IDMap{Mappings: Mappings{UIDs: m.UIDMappings, GIDs: m.GIDMappings}}, nil
	case c.ns.made(unix.CLONE_NEWUSER):
		return &IDMap{Mappings: Mappings{UIDs: c.linux.UIDMappings, GIDs: c.linux.GIDMappings}}, nil
	case c.ns.has(unix.CLONE_NEWUSER):
		return &IDMap{Path: c.linux.Namespaces[c.ns.index[unix.CLONE_NEWUSER]].Path}, nil
	}
	return nil, fail(field, "an id mapping needs uidMappings and gidMappings, or a user namespace to take them from")
}

// mountsAhead makes the filesystems whose ids are mapped while the stage still
// has the caller's privileges: what the container's root mounts belongs to its
// user namespace, in which the kernel maps no further.
func (c *compiler) mountsAhead() error {
	for i := range c.spec.Mounts {
		m := &c.spec.Mounts[i]
		if len(m.UIDMappings) == 0 && !slices.ContainsFunc(m.Options, func(o string) bool { return o == "idmap" || o == "ridmap" }) {
			continue
		}
		o, field := parseOptions(m.Options), item("mounts", i, m.Destination)
		ids, err := c.idMap(field, m, &o)
		if err != nil {
			return err
		}
		if o.bind {
			continue
		}
		made := c.filesystem(m, &o)
		op := nsenter.MountIDMapped{
			Fd: c.file(FileRef{Kind: UserNamespace, IDs: ids, Field: field}), Type: made.Type, Source: made.Source, Options: made.Options,
			Attr: made.Attr &^ unix.MOUNT_ATTR_RDONLY, Super: made.Super,
		}
		c.add(field, op)
		if c.ahead == nil {
			c.ahead = make(map[int]nsenter.Slot)
		}
		c.ahead[i] = op.Fd
	}
	return nil
}
