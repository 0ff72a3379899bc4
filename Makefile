# davit: `make` builds one static binary, `make help` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
GO      ?= go
CC      ?= cc
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

GOARCH    := $(shell $(GO) env GOARCH)
STAGE     := nsenter/stage/bin/stage-$(GOARCH)
STAGE_SRC := $(wildcard nsenter/stage/*.c)
STAGE_HDR := $(wildcard nsenter/stage/*.h)

# Freestanding and position-independent, without a relocation: it needs neither
# a C library nor a loader.
STAGE_WARN   := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wvla
STAGE_CFLAGS := -std=gnu11 -Os -ffreestanding -fpie -fvisibility=hidden -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns $(STAGE_WARN)
STAGE_LDFLAGS := -nostdlib -nostartfiles -static-pie -s -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,-z,norelro -Wl,-z,noseparate-code -Wl,--hash-style=gnu

TAGS    := seccomp,netgo,osusergo
LDFLAGS := -s -w -X davit/cli.version=$(VERSION) -X davit/cli.commit=$(COMMIT) -linkmode external -extldflags -static
export CGO_ENABLED = 1
export GOFLAGS += -buildvcs=false

.PHONY: all
all: davit

$(STAGE): $(STAGE_SRC) $(STAGE_HDR)
	$(CC) $(STAGE_CFLAGS) $(STAGE_LDFLAGS) -o $@ $(STAGE_SRC)
	@! readelf -r $@ | grep -q 'R_' || { echo "the stage must not need relocation"; rm -f $@; exit 1; }

.PHONY: davit
davit: $(STAGE)
	$(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $@ .
