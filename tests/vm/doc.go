// Package vm tests davit where few hosts of developers can: under systemd as the first process, the whole of cgroup v2,
// AppArmor, SELinux in enforcing mode, and with every capability.
//
// `make vm-test` makes a machine for it (guest.sh: a small Debian, cached), boots it in qemu once per security module,
// and runs in it the tests of this package and those suites that find more there than on a usual host (vmtest/suites.go).
// Outside of the machine they are not run.
//
//	cgroup_test.go     limits by what they do: memory, pids, cpu, io, cpuset, huge pages; freezer, pressure, update, unified, delegation, kill
//	device_test.go     device rules as a BPF program, changed while the container runs
//	systemd_test.go    --systemd-cgroup: units of root's and of a user's manager, through their whole life
//	rootless_test.go   an ordinary user, with a part of the hierarchy that is delegated to him and without
//	apparmor_test.go   profiles: denials, exec, what isn't loaded, containers in confined containers
//	selinux_test.go    labels of processes, mounts, keyrings, terminals; denials by category
//	privilege_test.go  what takes CAP_SYS_RESOURCE and others that a cloud's root often lacks
package vm
