# The tasks of people and CI with this package. Each target sees to its own set-up.
SHELL := /bin/bash
# The command and the examples are packages of their own, built beside the library: what all of them depend on is
# compiled once.
# SwiftPM takes the cached plan of `swift test` for any package that shares the scratch path: hence no caching.
BESIDE := --scratch-path .build --disable-build-manifest-caching
COMMAND := --package-path Command $(BESIDE)
EXAMPLES := --package-path Examples $(BESIDE)
LINTED := $(wildcard Package.swift Sources Tests Command Examples Benchmarks/Package.swift Benchmarks/Sources)
# For fuzz: how long altogether, and which targets (all of them).
SECONDS := 60
TARGETS :=
# For mutate: how many mutants are drawn, by which seed, of which part, with which further options.
COUNT := 300
SEED := 1
ONLY :=
WITH :=
# For sanitize: thread or address (both), and which tests (all of them, the simulation and interop too).
SANITIZER :=
SUITES :=
# For simulate: how many.
SEEDS := 1000000
# For gateway-trials: how much of it, and which.
SIZE := 1
WORDS :=
MUTATE := swift run --package-path Tests/Mutations --scratch-path .build/mutations/tool khp-mutate

.PHONY: help setup build demo khp test torture interop gateway-trials autobahn sanitize fuzz simulate ecosystem hummingbird mutate \
	mutate-threats examples lint format sbom bench bench-check soak docs clean

help:
	@echo "make demo      two servers, a client and its journey through both handshakes"
	@echo "make khp       the command as a release build, at .build/khp"
	@echo "make test      all tests"
	@echo "make torture   every operation of the shell fails in turn, over sockets too"
	@echo "make interop   against software that nobody here wrote"
	@echo "make gateway-trials  khp gateway at length before real brokers: twenty minutes, a table"
	@echo "make autobahn  all of Autobahn|Testsuite, in both roles: more than an hour"
	@echo "make sanitize  tests, simulation, interop under both sanitizers, or SANITIZER=thread SUITES=KHPHTTP2Tests"
	@echo "make fuzz      libFuzzer on what peers' bytes reach, SECONDS=60 of it altogether"
	@echo "make simulate  both ends of a connection over a simulated wire and clock, SEEDS=1000000 of it"
	@echo "make mutate    one guard at a time weakened, COUNT=300 of them: which test notices?"
	@echo "make ecosystem the modules behind traits, beside packages of others"
	@echo "make hummingbird  endpoints in an application of hummingbird, beside its routes, with Chromium too: minutes of build"
	@echo "make examples  each example, built and run"
	@echo "make lint      formatting and style; 'make format' mends most of it"
	@echo "make sbom      what the library and the command resolve, as CycloneDX, checked against Specs/dependencies.md"
	@echo "make bench     ratios to NIOWebSocket, instructions per operation"
	@echo "make bench-check  fails where a figure of Benchmarks/bounds.txt has grown"
	@echo "make soak      10,000 connections through proxies that break them, for half an hour"
	@echo "make docs      the documentation, as a DocC archive in .build/docs"
	@echo "make build, make setup, make clean"

setup:
	@scripts/setup.sh

build: setup
	swift build

# A debug build: its objects serve the tests as well.
demo: setup
	swift build $(COMMAND) --product khp
	@.build/debug/khp demo

khp: setup
	swift build $(COMMAND) --configuration release --product khp
	@ln -sf release/khp .build/khp

test: setup
	scripts/test.sh
	swift test --no-parallel $(EXAMPLES)

torture: setup
	KHP_TORTURE=all swift test --no-parallel --filter TortureTests

interop:
	@scripts/setup.sh --interop
	swift build $(COMMAND) --product khp
	PATH="$$PWD/.build/python/bin:$$PATH" Tests/Interop/run.sh
	PATH="$$PWD/.build/python/bin:$$PATH" Tests/Differential/run.sh

# SIZE=0.1 for a tenth of it, WORDS='redis' for some of it.
gateway-trials: khp
	@scripts/setup.sh --trials
	PATH="$$PWD/.build/python/bin:$$PATH" Tests/Gateway/run.sh --size $(SIZE) -k "$(WORDS)"

autobahn: setup
	Tests/Autobahn/run.sh

sanitize: setup
	scripts/sanitize.sh "$(SANITIZER)" 1 "$(SUITES)"

# SEEDS=100000 of them, WITHIN=60 seconds; a failing one prints its story and the command that plays it again.
simulate: setup
	Tests/Simulation/run.sh --seeds $(SEEDS) $(if $(WITHIN),--within $(WITHIN))

fuzz: setup
	Tests/Fuzz/run.sh $(SECONDS) $(TARGETS)

mutate: setup
	$(MUTATE) run --count $(COUNT) --seed $(SEED) $(if $(ONLY),--only "$(ONLY)") $(WITH)

mutate-threats: setup
	$(MUTATE) threats --command

ecosystem: setup
	Tests/Ecosystem/run.sh --no-parallel

# Not in CI: hummingbird and what it needs take seven minutes of one core to build. The folder is that of `ecosystem`, so
# that SwiftNIO is compiled once for both.
hummingbird:
	@scripts/setup.sh --interop
	swift test --no-parallel --package-path Examples/HummingbirdServer --scratch-path .build/ecosystem \
		--disable-build-manifest-caching
	scripts/check-supply.py --resolved Examples/HummingbirdServer --traits Hummingbird --checkouts .build/ecosystem/checkouts
	swift build $(COMMAND) --product khp
	PATH="$$PWD/.build/python/bin:$$PATH" Tests/Interop/run.sh -v -k mounted_hummingbird

examples: setup
	swift build $(EXAMPLES)
	Examples/run.sh

lint:
	swift format lint --strict --recursive --parallel $(LINTED)

format:
	swift format format --in-place --recursive --parallel $(LINTED)

# Resolving builds nothing, and changes nothing where the manifests have been resolved as they are.
sbom: setup
	@[ Package.resolved -nt Package.swift ] || swift package resolve
	@swift package --package-path Command --scratch-path .build resolve
	@mkdir -p .build/sbom
	scripts/check-supply.py --sbom library >.build/sbom/swift-khp.cdx.json
	scripts/check-supply.py --sbom command >.build/sbom/khp.cdx.json
	@echo "sbom: .build/sbom/swift-khp.cdx.json, .build/sbom/khp.cdx.json"

bench: setup
	cd Benchmarks && ./run.sh

bench-check: setup
	cd Benchmarks && ./run.sh check

soak: setup
	cd Benchmarks && ./run.sh soak

docs: setup
	scripts/docs.sh

clean:
	rm -rf .build Benchmarks/.build Command/.build Examples/.build Tests/*/.build
