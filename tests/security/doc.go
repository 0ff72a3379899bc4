// Package security tests what a hostile image, a hostile configuration and a
// hostile neighbour can do: the known escapes of other runtimes, each by its
// CVE (docs/cve.md has the list), a rootfs in which everything that davit
// touches is something else, and somebody who exchanges directories and links
// while davit works.
package security
