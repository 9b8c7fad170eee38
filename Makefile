# banger: make demo, make test, make test-fake, make test-long, make test-host, make bench, make lint, make faults. See README.md.
SHELL := /bin/bash
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/banger-vm/banger/internal/version.Version=$(VERSION)
GO      := CGO_ENABLED=0 go
BIN     := build/bin

# Where make install puts things; DESTDIR is put before all of it.
PREFIX     ?= /usr/local
bindir     := $(PREFIX)/bin
libexecdir := $(PREFIX)/libexec/banger
datadir    := $(PREFIX)/share
UNITDIR    ?= $(PREFIX)/lib/systemd/user

# The Debian packages that banger needs at run time and its tests need besides.
RUN_PACKAGES  := qemu-system-x86 mmdebstrap e2fsprogs kmod ca-certificates uidmap
TEST_PACKAGES := bash-completion busybox-static fish gcc libc6-dev git mandoc openssh-client python3-pip zsh
# What the long tests reach guests with.
LONG_PACKAGES := rsync neovim ansible-core
# The test host's layered disk, and what fetches the Firecracker for it.
HOST_PACKAGES := qemu-utils

.PHONY: build install uninstall deps test-deps demo test test-unit test-fake test-vm test-long test-host bench bench-host lint faults fuzz matrix generate clean seed

build: ## the binaries, static, into build/bin
	@mkdir -p $(BIN)
	$(GO) build -trimpath $(if $(GOCOVERDIR),-cover) -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

install: ## what make build made, with manual pages, completions and the unit of systemd; see docs/units.md
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null)} scripts/install $(BIN) '$(DESTDIR)' '$(bindir)' '$(libexecdir)' '$(datadir)' '$(UNITDIR)'

uninstall: ## what make install put there
	@scripts/install -u '$(DESTDIR)' '$(bindir)' '$(libexecdir)' '$(datadir)' '$(UNITDIR)'

deps:
	@scripts/deps $(RUN_PACKAGES)

test-deps:
	@scripts/deps $(RUN_PACKAGES) $(TEST_PACKAGES)

seed: deps ## the Debian image and kernel into the cache, while something else builds
	$(GO) run ./test/seed

demo: deps ## the main job, on a fresh machine
	@scripts/demo

test: test-deps lint test-unit test-fake test-vm ## what to run before a change is done; CI runs test-long and test-host too

test-unit:
	@scripts/test-unit

test-fake: test-deps build ## the end-to-end tests on a fake VMM, whose guests boot in a moment
	@scripts/test-fake

test-vm: test-deps build
	@scripts/test-vm

test-long: test-deps build ## the tests with VMs that take longest
	@scripts/deps $(LONG_PACKAGES)
	@scripts/test-fake -long
	@scripts/test-vm -long

test-host: build ## the tests that need a whole host, in one that is emulated; RUN=. runs the long ones too
	@scripts/deps $(RUN_PACKAGES) $(TEST_PACKAGES) $(HOST_PACKAGES)
	@scripts/test-host $(if $(RUN),'$(RUN)')

bench: deps build ## ratios to the VMM by hand, measured in one run, into docs/benchmarks.md
	$(GO) run ./bench -write docs/benchmarks.md

bench-host: build ## the same on Firecracker, in the test host, into docs/benchmarks-firecracker.md
	@scripts/deps $(RUN_PACKAGES) $(TEST_PACKAGES) $(HOST_PACKAGES)
	$(GO) run ./test/host bench

faults: test-deps build ## the long campaigns: rounds of write and power-off, and the fault tables into docs/faults.md
	@scripts/deps $(LONG_PACKAGES) $(HOST_PACKAGES)
	BANGER_FAULTS=1 scripts/test-vm
	BANGER_FAULTS=1 scripts/test-vm -long
	scripts/faults

fuzz: ## each parser of foreign bytes for ten minutes, into docs/fuzzing.md
	scripts/fuzz

lint: ## vet, staticcheck, gofumpt, generated files
	@scripts/lint

matrix: ## docs/matrix.md from the results of the last runs
	$(GO) run ./test/matrix -write docs/matrix.md build/results/*-results.json

generate: ## docs/rpc.md from api
	$(GO) generate ./...

clean:
	rm -rf build
