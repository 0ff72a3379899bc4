# davit: `make` builds one static binary, `make help` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
# Go as its own archive installs it, and what only root's PATH has, are found by an ordinary PATH too.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
GO      ?= $(or $(shell command -v go 2>/dev/null),/usr/local/go/bin/go)
CC      ?= cc
# The release that is being worked towards; a build says behind it how many commits there are, and which is the last.
RELEASE := 0.9.0
VERSION ?= $(RELEASE)$(shell git rev-parse -q --verify HEAD >/dev/null 2>&1 && echo "+$$(git rev-list --count HEAD).g$$(git describe --always --exclude '*' --dirty=.dirty)")
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

GOARCH    := $(shell $(GO) env GOARCH)
STAGE     := nsenter/stage/bin/stage-$(GOARCH)
STAGE_SRC := $(wildcard nsenter/stage/*.c)
STAGE_HDR := $(wildcard nsenter/stage/*.h)

# make davit GOARCH=arm64 builds bin/davit-arm64 elsewhere, with what sysroot.sh unpacks.
BINARY := davit
ifneq ($(GOARCH),$(shell $(GO) env GOHOSTARCH))
SYSROOT    := $(CURDIR)/bin/sysroot-$(GOARCH)
BINARY     := bin/davit-$(GOARCH)
CC         := aarch64-linux-gnu-gcc
MUSL_CC    := $(SYSROOT)/musl-gcc
LIBSECCOMP := $(SYSROOT)/usr/lib/aarch64-linux-gnu/libseccomp.a
# The packages of which the tests need no kernel's interface that qemu-user lacks, as it does seccomp(2) and the exec of an arm64 binary.
ARM64_PACKAGES := ./libcontainer/specjson/... ./libcontainer/usermap
HEADERS    := -idirafter /usr/aarch64-linux-gnu/include -idirafter $(SYSROOT)/usr/include
CROSS_PACKAGES := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
endif

# Freestanding and position-independent, without a relocation: it needs neither
# a C library nor a loader.
STAGE_WARN   := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wvla
STAGE_CFLAGS := -std=gnu11 -Os -ffreestanding -fpie -fvisibility=hidden -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -fno-strict-aliasing $(STAGE_WARN)
STAGE_LDFLAGS := -nostdlib -nostartfiles -static-pie -s -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,-z,norelro -Wl,-z,noseparate-code -Wl,--hash-style=gnu

# davit is linked with musl: a static glibc spends a third of a millisecond on
# itself at every start. The kernel's and libseccomp's headers are found behind
# musl's own, and libseccomp's archive through a folder that holds nothing of glibc.
MUSL_CC     ?= musl-gcc
LIBSECCOMP  ?= $(shell $(CC) -print-file-name=libseccomp.a)
HEADERS     ?= -idirafter /usr/include -idirafter /usr/include/$(shell $(CC) -print-multiarch)
MUSL_ENV     = CC=$(MUSL_CC) CGO_LDFLAGS='-L$(CURDIR)/bin/lib/$(GOARCH)' CGO_CFLAGS='-O2 $(HEADERS)'

TAGS    := seccomp,netgo,osusergo,urfave_cli_no_template
# Without an id of Go's, which depends on where the sources are: the same commit makes the same binary.
LDFLAGS := -s -w -buildid= -X davit/cli.version=$(VERSION) -X davit/cli.commit=$(COMMIT) -linkmode external -extldflags "-static -Wl,--wrap=main,--wrap=x_cgo_notify_runtime_init_done"
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export CGO_ENABLED = 1
export GOFLAGS += -buildvcs=false

BUILD_PACKAGES := gcc libc6-dev binutils musl-tools pkg-config libseccomp-dev
RUN_PACKAGES   := busybox-static
TEST_PACKAGES  := $(RUN_PACKAGES) criu procps dbus-daemon strace iproute2 libcap2-bin uidmap mmdebstrap python3-prometheus-client mandoc zsh fish
DEBIAN_ROOTFS  ?= /var/tmp/davit-test-cache/bookworm
ENGINE_PACKAGES := $(RUN_PACKAGES) runc crun iproute2 iptables containerd docker.io podman buildah conmon containernetworking-plugins \
	slirp4netns fuse-overlayfs uidmap catatonit tini docker-compose
ENGINES_BUILT   ?= /var/tmp/davit-test-cache/engines
PACKAGE_PACKAGES := mmdebstrap gzip xz-utils
BENCH_PACKAGES := $(RUN_PACKAGES) crun runc
VM_PACKAGES    := mmdebstrap debian-archive-keyring cpio xz-utils e2fsprogs qemu-system-x86
VM_GUEST       ?= /var/tmp/davit-test-cache/vm

.PHONY: all davit run test rootless-test engines-test conformance-test unit vm-test lint bench fuzz install uninstall dist deb package-test arm64-test arm64-packages clean generate help packages-%
all: davit  ## build ./davit (the default)

davit: packages-build $(STAGE)  ## one static, self-contained binary
	@mkdir -p bin/lib/$(GOARCH) && ln -sf $(LIBSECCOMP) bin/lib/$(GOARCH)/libseccomp.a
	$(MUSL_ENV) $(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BINARY) .

$(STAGE): $(STAGE_SRC) $(STAGE_HDR) Makefile | packages-build
	$(CC) $(STAGE_CFLAGS) $(STAGE_LDFLAGS) -o $@ $(STAGE_SRC)
	@! readelf -r $@ | grep -q 'R_' || { echo "the stage must not need relocation" >&2; rm -f $@; exit 1; }

packages-build:
	@tests/packages.sh $(BUILD_PACKAGES) $(CROSS_PACKAGES)
	@[ -z "$(SYSROOT)" ] || packaging/sysroot.sh $(SYSROOT)
packages-run:
	@tests/packages.sh $(RUN_PACKAGES)
packages-test:
	@tests/packages.sh $(TEST_PACKAGES)
packages-bench:
	@tests/packages.sh $(BENCH_PACKAGES)
packages-vm:
	@tests/packages.sh $(VM_PACKAGES)

packages-package: packages-build
	@tests/packages.sh $(PACKAGE_PACKAGES)

packages-engines:
	@DAVIT_QUIET_DAEMONS=1 tests/packages.sh $(ENGINE_PACKAGES)

run: davit packages-run  ## make a bundle with busybox and run it
	tests/demo.sh $(CURDIR)/davit

# Other users execute and read what tests make, the tests' own program too: not with a umask of 077.
test: lint davit packages-test  ## everything that this host can run; as root for all of it
	@[ "$$(id -u)" != 0 ] || tests/debian-rootfs.sh $(DEBIAN_ROOTFS) || echo "without a Debian rootfs the tests of real workloads are skipped"
	umask 022 && DAVIT_DEBIAN_ROOTFS=$(DEBIAN_ROOTFS) DAVIT=$(CURDIR)/davit $(GO) test -p 1 -tags $(TAGS) -timeout 30m ./...
	umask 022 && $(GO) test -tags $(TAGS),cilium_ebpf ./cgroups/devices

rootless-test: davit packages-test  ## of make test, what is about ordinary users and user namespaces (as root, which makes them)
	umask 022 && DAVIT=$(CURDIR)/davit $(GO) test -count=1 -tags $(TAGS) -timeout 15m ./tests/rootless

engines-test: davit packages-engines  ## containerd, CRI-O, Docker, Podman, Buildah with davit as their runtime; as root
	@mkdir -p docs/engines
	umask 022 && tests/engines/built/build.sh $(ENGINES_BUILT)
	CGO_ENABLED=0 $(GO) build -o $(ENGINES_BUILT)/systemd-double ./tests/systemd/double
	umask 022 && cd tests/engines && $(GO) vet ./... && DAVIT=$(CURDIR)/davit DAVIT_ENGINES_BUILT=$(ENGINES_BUILT) DAVIT_ENGINES_RESULTS=$(CURDIR)/tests/engines/results \
		$(GO) test -p 1 -count=1 -timeout 60m ./... ; code=$$?; \
		$(GO) run ./report results >$(CURDIR)/docs/engines/results.md && exit $$code

conformance-test: davit  ## the validation programs of opencontainers/runtime-tools, and docs/conformance.md; as root
	umask 022 && cd tests/conformance && $(GO) vet . && DAVIT=$(CURDIR)/davit DAVIT_CONFORMANCE_PAGE=$(CURDIR)/docs/conformance.md \
		$(GO) test -count=1 -parallel 8 -timeout 10m .

unit: $(STAGE)  ## the tests that need no root
	umask 022 && $(GO) test -tags $(TAGS) $$($(GO) list ./... | grep -v /tests/)

vm-test: davit packages-vm  ## what needs systemd, cgroup v2, AppArmor or SELinux, in a machine made for it (as root; VM_FLAGS="-run …")
	@tests/vm/guest.sh $(VM_GUEST)
	$(GO) run -tags $(TAGS) ./tests/vm/vmtest -guest $(VM_GUEST) -davit $(CURDIR)/davit -tags $(TAGS) $(VM_FLAGS)

lint: packages-build $(STAGE)  ## gofmt, go vet, staticcheck; -fanalyzer for the stage
	@out=$$(find . -name '*.go' -not -path './.*/*' | xargs gofmt -l); [ -z "$$out" ] || { echo "gofmt would change: $$out" >&2; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	$(GO) run $(STATICCHECK) -checks inherit,-SA1019 -tags $(TAGS) ./...  # a runtime has to take the spec's deprecated fields
	@for f in $(STAGE_SRC); do $(CC) $(STAGE_CFLAGS) -O2 -fanalyzer -c -o /dev/null $$f || exit 1; done

FUZZTIME ?= 30s
fuzz: $(STAGE)  ## every fuzz target for FUZZTIME=30s each
	@for p in $$(grep -rl '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z]*' $$p/*_test.go | cut -c6-); do \
			echo "$$p $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$p || exit 1; \
		done; done
	DAVIT_FUZZ_TIME=$(FUZZTIME) $(GO) test -count=1 -v -run DecoderUnderSanitizers ./nsenter

ROUNDS ?= 100
bench: davit packages-bench  ## davit beside crun, runc and a bare C program; BASE=REV adds another davit, ONLY=run picks cases
	@mkdir -p bin
	$(CC) -O2 -static -Wall -Wextra -o bin/floor tests/bench/floor/floor.c
	$(CC) -O2 -static -Wall -Wextra -o bin/peak tests/bench/peak/peak.c
	$(GO) build -o bin/bench ./tests/bench
	@[ -z "$(BASE)" ] || { rm -rf bin/base && mkdir -p bin/base && git archive $(BASE) | tar -x -C bin/base && $(MAKE) -s -C bin/base davit; }
	bin/bench -davit ./davit -base "$(if $(BASE),$(CURDIR)/bin/base/davit)" -floor $(CURDIR)/bin/floor -peak $(CURDIR)/bin/peak \
		-rounds $(ROUNDS) -only "$(ONLY)" -json bin/bench.json -svg bin/bench.svg

generate:  ## what is generated: the twins of the instruction set, the decoders of JSON, manual pages and completions
	$(GO) generate ./nsenter/isa ./libcontainer/specjson ./docs/man

install: davit  ## PREFIX=/usr/local, DESTDIR=
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/davit
	install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/davit/LICENSE
	install -D -m 0644 packaging/copyright $(DESTDIR)$(PREFIX)/share/doc/davit/copyright
	install -D -m 0644 README.md $(DESTDIR)$(PREFIX)/share/doc/davit/README.md
	install -d $(DESTDIR)$(PREFIX)/share/doc/davit/docs/engines
	install -m 0644 docs/*.md docs/*.svg $(DESTDIR)$(PREFIX)/share/doc/davit/docs
	install -m 0644 docs/engines/*.md $(DESTDIR)$(PREFIX)/share/doc/davit/docs/engines
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -D -m 0644 completions/davit.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/davit
	install -D -m 0644 completions/_davit $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_davit
	install -D -m 0644 completions/davit.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/davit.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/davit $(DESTDIR)$(PREFIX)/share/man/man1/davit.1 $(DESTDIR)$(PREFIX)/share/man/man1/davit-*.1
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/davit $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_davit
	rm -f $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/davit.fish
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/davit

# Debian's names of the architectures that davit runs on are Go's. Who made the commit answers for its package, unless
# another says so: git's configuration isn't asked, so that the same commit makes the same package everywhere.
deb: export DEB_MAINTAINER ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null || echo 'davit <davit@localhost>')
DEB_ARCH = $(GOARCH)
DIST = davit-$(VERSION)-linux-$(GOARCH)
dist: davit  ## bin/davit-VERSION-linux-ARCH.tar.gz, to be unpacked below /usr/local
	rm -rf bin/dist
	$(MAKE) -s install DESTDIR=$(CURDIR)/bin/dist PREFIX=
	packaging/dist.sh $(DIST) bin/dist

deb: davit  ## bin/davit_VERSION_ARCH.deb; DEB_MAINTAINER="Name <address>"
	rm -rf bin/deb
	$(MAKE) -s install DESTDIR=$(CURDIR)/bin/deb PREFIX=/usr
	packaging/deb.sh $$(packaging/version.sh $(VERSION)) $(DEB_ARCH) bin/deb

package-test: packages-package  ## that dist and deb are reproducible and work on a fresh Debian; as root
	tests/debian-rootfs.sh $(DEBIAN_ROOTFS)
	VERSION=$(VERSION) COMMIT=$(COMMIT) tests/package/test.sh $(DEBIAN_ROOTFS)

arm64-test:  ## archive and package for arm64; runs what is in them and the tests of single packages under qemu-user
	$(MAKE) -s GOARCH=arm64 dist deb
	tests/package/arm64.sh bin/davit-$(VERSION)-linux-arm64.tar.gz bin/davit_$$(packaging/version.sh $(VERSION))_arm64.deb
	$(MAKE) -s GOARCH=arm64 arm64-packages

arm64-packages:
	$(MUSL_ENV) $(GO) test -exec qemu-aarch64-static -tags $(TAGS) -ldflags '-linkmode external -extldflags "-static"' $(ARM64_PACKAGES)

clean:  ## remove what make built
	rm -rf davit bin nsenter/stage/bin/stage-*

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {sub(/:.*/, "", $$1); printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
