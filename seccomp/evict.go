package seccomp

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// evict removes the entries beyond maxEntries, least recently used first, and
// abandoned writes. Others may do the same at the same time: what is gone
// already is no error, and an entry too many removed is compiled again.
func (c *Cache) evict() {
	// A descriptor of its own: c.fd's position in the directory is shared.
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat(c.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return
	}
	dir := os.NewFile(uintptr(fd), c.path)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil || len(names) <= maxEntries {
		return
	}
	type entry struct {
		name string
		used time.Time
	}
	var entries []entry
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(c.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		used := time.Unix(st.Mtim.Unix())
		if !strings.HasPrefix(name, tempPrefix) {
			entries = append(entries, entry{name, used})
		} else if time.Since(used) > staleAfter {
			_ = unix.Unlinkat(c.fd, name, 0)
		}
	}
	if len(entries) <= maxEntries {
		return
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.used.Compare(b.used), strings.Compare(a.name, b.name))
	})
	for _, e := range entries[:len(entries)-maxEntries] {
		_ = unix.Unlinkat(c.fd, e.name, 0)
	}
}
