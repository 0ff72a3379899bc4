package bundle

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// version checks ociVersion: SemVer 2.0.0, and a version of the spec whose
// configurations are valid here. That is every 1.x up to the one that the
// types stand for, with their pre-releases and builds: engines send "1.0.2-dev"
// and "1.1.0+dev".
func (c *checker) version(v string) {
	at := top.member("ociVersion")
	if v == "" {
		c.fail(at, "is required").Hint = `for example "` + specs.Version + `"`
		return
	}
	major, minor, ok := parseSemVer(v)
	switch {
	case !ok:
		e := c.failf(at, "%q is not in SemVer 2.0.0 format", v)
		e.Hint = `three numbers, for example "` + specs.Version + `"`
	case major != specs.VersionMajor || minor > specs.VersionMinor:
		c.failf(at, "%q asks for runtime-spec %d.%d, supported are %d.0 to %d.%d",
			v, major, minor, specs.VersionMajor, specs.VersionMajor, specs.VersionMinor)
	}
}

func parseSemVer(v string) (major, minor uint64, ok bool) {
	v, build, hasBuild := strings.Cut(v, "+")
	if hasBuild && !semVerIdentifiers(build, true) {
		return 0, 0, false
	}
	v, pre, hasPre := strings.Cut(v, "-")
	if hasPre && !semVerIdentifiers(pre, false) {
		return 0, 0, false
	}
	var core [3]uint64
	for i := range core {
		part, rest, more := strings.Cut(v, ".")
		if more != (i < len(core)-1) || !isNumeric(part) || leadsWithZero(part) {
			return 0, 0, false
		}
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		core[i], v = n, rest
	}
	return core[0], core[1], true
}

// semVerIdentifiers checks the dot-separated parts behind - or +. Only those
// of a pre-release are compared as numbers, and may not start with zero.
func semVerIdentifiers(s string, zeros bool) bool {
	for id := range strings.SplitSeq(s, ".") {
		if id == "" || strings.Trim(id, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
		if !zeros && isNumeric(id) && leadsWithZero(id) {
			return false
		}
	}
	return true
}

func isNumeric(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func leadsWithZero(s string) bool { return len(s) > 1 && s[0] == '0' }
