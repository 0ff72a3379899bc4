package bundle

import (
	"errors"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"davit/libcontainer/specjson"
)

// ParseResources decodes and checks a linux.resources object on its own, as
// `update --resources` takes it. Paths in errors are those of config.json. Its
// strings lie in raw, as [Parse]'s do.
func ParseResources(raw []byte) (*specs.LinuxResources, error) {
	r, err := specjson.DecodeResources(text(raw))
	if err != nil {
		r = new(specs.LinuxResources)
		if err := decode(raw, r); err != nil {
			return nil, inResources(err)
		}
	}
	var c checker
	linux := top.member("linux")
	at := linux.member("resources")
	c.resourceStrings(&at, r)
	c.resources(&at, r)
	return r, c.result()
}

// inResources moves the place of an error from the object to a config.json that has it.
func inResources(err error) error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok || strings.HasPrefix(e.Path, "line "):
		return err
	case e.Path == "$":
		e.Path = "linux.resources"
	default:
		e.Path = "linux.resources." + e.Path
	}
	return e
}
