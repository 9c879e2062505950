# Seven targets: build, test, sim, soak, fuzz, bench, clean.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The linters are built into .tools and not named in go.mod: whoever runs the server would download
# their modules, too. govulncheck 1.9.0 needs a Go newer than ours.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.8.0
VERSITYGW   := github.com/versity/versitygw/cmd/versitygw@v1.8.0
AGE         := filippo.io/age/cmd/age@v1.3.2
TYPAGE      := age-encryption@0.3.1
FSCK        := github.com/transparency-dev/tessera/cmd/fsck@v1.0.4

# A directory with a copy of the Go vulnerability database; the live one when empty.
VULNDB   ?=
FUZZTIME ?= 30s
# Of the comparison in bench/yardstick: about 8 minutes a round.
ROUNDS   ?= 5
SHAPES   ?= a,b,c,d
# The tests that drive a browser run alone, one package after the other: the video of three people
# keeps two cores busy, and what waits for a picture fails when it does not get its share.
BROWSER  := ./signaling/web ./bench/browser ./bench/browser/bidi
# What testdata/webrtcbin.py of bench/browser needs.
GSTREAMER := python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-libav \
             $(addprefix gstreamer1.0-plugins-,base good bad ugly)
# The race detector makes a packet in virtual time several times as dear, so these run without it: a package that
# has no goroutine, and whole consultations by the hundred. Of those some run with it, too.
PLAIN    := ./sfu/bwe ./bench/sim ./signaling/consult ./recording/mkv ./recording/seal \
            $(addprefix ./sfu/,capacity codec forward layers opus pace quality redundancy slots twcc)
RACED    := ^Test(Consultation|Schedules|RecordingSchedules|Restart|Reconnect|Hold|HandOver|Blackhole|LeanVisit|WHEP|RelayIsGone|KilledTab|StalledClient)$$
# Tables of thousands of rows: what they run, others run with the race detector, which makes these ten times as dear.
TABLES   := ^Test(Invariants|ForgedTokens|EveryRoleWithEveryMessage|DiskFailsAnywhere|TailFlips|VerifyFindsEveryFlip)$$
# Everything else, at once and with the race detector.
PACKAGES  = $$(go list ./... | grep -v -x -f <(go list $(BROWSER) $(PLAIN)))
# After which a package hangs. Beside twenty other processes on two cores the slowest took 11 minutes, 2 when alone.
HANGS    := 25m
# The race detector needs a C compiler on Linux.
RACE      = $$(command -v gcc clang >/dev/null && echo -race || true)

# Where the static binary goes, and what it is called where git cannot say (an unpacked archive).
DIST     ?= dist
VERSION  ?=

# Tests keep their files in memory where it has room for them and runs programs: where a shared disk stands still for a
# second, a server says so, and a test takes that for a fault (TestDemoRecords, in one of four rounds beside seven others).
# What go itself builds is large and stays on the disk.
define MEMORY
if [ "$$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 8000000 ] 2>/dev/null; then
  scratch=$$(mktemp -d /dev/shm/bedside-test-XXXXXX)
  trap 'rm -rf "$$scratch"' EXIT
  echo '#!/bin/sh' >"$$scratch/runs" && chmod +x "$$scratch/runs"
  if "$$scratch/runs" 2>/dev/null; then export GOTMPDIR="$${TMPDIR:-/tmp}" TMPDIR="$$scratch"; fi
fi
endef

.PHONY: help build test sim soak fuzz bench clean needs lint typage

help:
	@echo 'make build  the static binaries $(DIST)/bedside and bedside-bench; the same bytes wherever they are built'
	@echo 'make test   format, vet, staticcheck, govulncheck, every test with -race, the browser tests'
	@echo 'make sim    SCENARIO=consult, or a file: a scenario of bench/scenario in virtual time'
	@echo 'make soak   the long runs: seeded schedules, 100 kills under load'
	@echo 'make fuzz   every fuzz target for FUZZTIME=$(FUZZTIME)'
	@echo 'make bench  every benchmark, then Bedside, also with everybody recorded, beside plain pion and the floor (ROUNDS=5 SHAPES=a,b,c,d)'
	@echo 'make clean  what the others leave behind: .tools, dist, the cache of test results'

# No C, no paths of this machine, and the commit, whatever GOFLAGS says: two builds of a commit with one
# version of Go are the same bytes, which anybody can check.
build:
	@mkdir -p '$(DIST)'
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -ldflags '-s -w -X main.release=$(VERSION)' -o '$(DIST)/bedside' ./cmd/bedside
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -ldflags '-s -w' -o '$(DIST)/bedside-bench' ./cmd/bedside-bench
	sha256sum '$(DIST)/bedside' '$(DIST)/bedside-bench'

test: needs lint .tools/age typage
	@$(MEMORY)
	echo '== tests'
	go test -v $(RACE) -timeout $(HANGS) -skip '$(TABLES)' $(PACKAGES) 2>&1 | awk -f .ci/summary.awk
	go test -v $(RACE) -timeout $(HANGS) -run '$(RACED)' ./bench/sim 2>&1 | awk -f .ci/summary.awk
	go test -v $(RACE) -timeout $(HANGS) -run '^TestInvariants$$' ./signaling -schedules 50 2>&1 | awk -f .ci/summary.awk
	echo '== tests without the race detector'
	go test -v -timeout $(HANGS) $(PLAIN) 2>&1 | awk -f .ci/summary.awk
	go test -v -timeout $(HANGS) -run '$(TABLES)' ./signaling ./signaling/audit 2>&1 | awk -f .ci/summary.awk
	echo '== tests in a browser (some minutes)'
	.ci/twice -count=1 -p 1 -parallel 3 -timeout $(HANGS) $(BROWSER)

# What the tests need and Debian has. What cannot be installed is named, with what goes untested.
needs:
	@missing=
	command -v chromium >/dev/null || missing="$$missing chromium"
	command -v firefox-esr firefox >/dev/null || missing="$$missing firefox-esr"
	command -v gcc clang >/dev/null || missing="$$missing gcc libc6-dev"
	command -v ffprobe >/dev/null || missing="$$missing ffmpeg"
	command -v strace >/dev/null || missing="$$missing strace"
	command -v slowhttptest >/dev/null || missing="$$missing slowhttptest"
	command -v ip >/dev/null || missing="$$missing iproute2"
	command -v ping >/dev/null || missing="$$missing iputils-ping"
	command -v nft >/dev/null || missing="$$missing nftables"
	command -v certutil >/dev/null || missing="$$missing libnss3-tools"
	command -v turnutils_uclient >/dev/null || missing="$$missing coturn"
	command -v testssl >/dev/null || missing="$$missing testssl.sh"
	/usr/bin/python3 bench/browser/testdata/webrtcbin.py check >/dev/null 2>&1 || missing="$$missing $(GSTREAMER)"
	# promtool alone, 19 MB: the package it comes in would start a Prometheus server.
	if ! command -v promtool >/dev/null && [ ! -x .tools/promtool ]; then
	  unpacked=$$(mktemp -d)
	  if (cd $$unpacked && apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb .) >/dev/null 2>&1; then
	    mkdir -p .tools && cp $$unpacked/usr/bin/promtool .tools
	  else
	    echo 'SKIPPED for want of promtool: the alert rules are not run'
	  fi
	  rm -rf $$unpacked
	fi
	[ -n "$$missing" ] || exit 0
	sudo=; [ "$$(id -u)" = 0 ] || sudo='sudo -n'
	apt="env DEBIAN_FRONTEND=noninteractive apt-get -qq --no-install-recommends -o Dpkg::Use-Pty=0"
	if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then
	  echo "== installing$$missing"
	  $$sudo $$apt update && $$sudo $$apt install -y $$missing >/dev/null && exit 0
	fi
	echo "SKIPPED for want of$$missing: without chromium the browser tests, without firefox-esr those with it,"
	echo "  without gcc the race detector, without slowhttptest a part of make soak, without gstreamer WHIP and"
	echo "  WHEP with a client of another make, without iproute2 and iputils-ping the emulated links,"
	echo "  without nftables and libnss3-tools the ways through firewalls, without testssl.sh a part of make soak,"
	echo "  without coturn its client against our relay, without ffmpeg and strace a part of the recordings'"

lint: .tools/staticcheck .tools/govulncheck
	@echo '== gofmt, vet, staticcheck'
	unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt clean:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	.tools/staticcheck ./...
	echo '== govulncheck'
	db=; [ -z '$(VULNDB)' ] || db="-db=file://$$(realpath '$(VULNDB)')"
	rc=0; out=$$(.tools/govulncheck $$db ./... 2>&1) || rc=$$?
	if [ $$rc != 0 ] && [ -z "$$db" ] && grep -q '^govulncheck: fetching vulnerabilities' <<<"$$out"; then
	  echo "SKIPPED: vuln.go.dev cannot be reached; VULNDB=<directory> names a copy"
	else
	  echo "$$out"; exit $$rc
	fi

.tools/staticcheck: Makefile
	GOBIN=$(CURDIR)/.tools go install $(STATICCHECK)
	@touch $@

.tools/govulncheck: Makefile
	GOBIN=$(CURDIR)/.tools go install $(GOVULNCHECK)
	@touch $@

# Another program that checks logs of the audit log's layout.
.tools/fsck: Makefile
	GOBIN=$(CURDIR)/.tools go install $(FSCK)
	@touch $@

# Two other programs that open recordings.
.tools/age: Makefile
	GOBIN=$(CURDIR)/.tools go install $(AGE)
	@touch $@

# An S3 server.
.tools/versitygw: Makefile
	GOBIN=$(CURDIR)/.tools go install $(VERSITYGW)
	@touch $@

typage:
	@[ ! -d .tools/typage ] && command -v npm >/dev/null || exit 0
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix .tools/typage $(TYPAGE) ||
	  { rm -rf .tools/typage; echo 'SKIPPED for want of $(TYPAGE): recordings are not opened with JavaScript'; }

# A scenario by its name or its file (bench/scenario/format.md); the test runs in a directory of its own.
sim:
	@[ -n '$(SCENARIO)' ] || { echo 'make sim SCENARIO=consult, or a file: see bench/scenario/format.md'; exit 2; }
	scenario='$(SCENARIO)'
	[ ! -f "$$scenario" ] || scenario=$$(realpath "$$scenario")
	SCENARIO="$$scenario" go test -count=1 -v -timeout 1h -run 'TestScenario$$' ./bench/sim

soak: needs .tools/fsck .tools/age .tools/versitygw typage
	SOAK=1 go test -v -count=1 -timeout 2h ./bench/sim/...
	SOAK=1 go test -v -count=1 -timeout 30m ./sfu/bwe
	SOAK=1 go test -v -count=1 -timeout 1h ./signaling/audit
	SOAK=1 go test -v -count=1 -timeout 1h -run TestEveryPathOfConsent ./signaling/consult
	SOAK=1 go test -v -count=1 -timeout 30m ./turn
	SOAK=1 go test -v -count=1 -timeout 1h ./recording/...
	SOAK=1 go test -v -count=1 -timeout 1h -run 'TestKilledUnderLoad|TestSlowConnections|TestTLSByAnotherProgram|BesideACall' ./cmd/bedside/servetest
	SOAK=1 go test -v -count=1 -timeout 2h -run 'TestChurnLeaksNothing|TestFloodOfMalformedDatagrams' ./bench/load
	SOAK=1 go test -v -count=1 -timeout 90m -run 'TestCallLasts$$|TestPaths$$|TestRelayKilled$$|TestBadLinks$$|TestBlackhole$$|TestVerdicts$$|TestRecording$$|TestPrecall' ./bench/browser
	SOAK=1 go test -v -count=1 -timeout 30m -run TestBuildIsReproducible ./deploy
	SOAK=1 go test -v -count=1 -timeout 30m -run 'TestRandomRequests|TestIdleSessions|OfEveryKind' ./signaling ./cmd/bedside
	go test -v -count=1 -timeout 2h -run TestInvariants ./signaling -schedules 10000

fuzz:
	@for pkg in $$(go list ./...); do
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do
	    echo "== $$pkg $$target"
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg
	  done
	done

bench:
	go test -run '^$$' -bench . -benchmem $(PACKAGES) $(filter-out ./sfu/bwe ./bench/sim,$(PLAIN))
	go run ./bench/yardstick/rounds -rounds $(ROUNDS) -shapes $(SHAPES)

clean:
	rm -rf .tools dist
	go clean -testcache

# A recipe is one script, so that it may hold an if.
.ONESHELL:
