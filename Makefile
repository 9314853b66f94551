# Everything that a developer or CI runs. `make` alone lists the targets. CI runs exactly `make check`.

CARGO ?= cargo
# Arguments for the demo: make demo ARGS="--messages 1000000"
ARGS ?=

# The Cargo profile for tests, clippy and documentation; and the one for programs that are measured or run for
# minutes.
PROFILE ?= dev
FAST ?= release
# How many tests of one program run at once. Most of them wait most of the time.
TEST_THREADS ?= 8
LIVE_THREADS ?= 5

# All builds with one profile include a target that needs the tests' dependencies (these add features to our
# dependencies). So the library and its dependencies are compiled once, whatever is built first.
SHARED := --locked
# Programs that tests start: penstock, and the simulator (crates/penstock-sim).
PROGRAMS := --workspace --bins

.DEFAULT_GOAL := help

# Whatever needs clean-up (a broker) is a script with a trap. Programs that run beside a broker are compiled before
# it starts.

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { \
		line = sprintf("  make %-17s", $$1); count = split($$2, words, " "); \
		for (i = 1; i <= count; i++) { \
			if (length(line " " words[i]) > 80) { print line; line = sprintf("%24s", "") } \
			line = line " " words[i] } \
		print line }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## install what the build needs and this machine lacks (Debian, Ubuntu)
	@scripts/setup.sh

.PHONY: build
build: setup ## the release binary: target/release/penstock
	$(CARGO) build --release $(SHARED) --bin penstock --example demo

# Where `make install` puts everything; DESTDIR is for makers of packages.
PREFIX ?= /usr/local
DESTDIR ?=
# Not by its own name in a recipe: `make -n` runs such lines.
THIS_MAKE := $(MAKE)

.PHONY: install
install: ## build, and install below PREFIX (/usr/local; without root: PREFIX=$HOME/.local)
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' MAKE='$(THIS_MAKE)' scripts/build-and-install.sh

.PHONY: uninstall
uninstall: ## remove what `make install` installed below PREFIX, and nothing else
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install.sh --uninstall

.PHONY: dist
dist: setup ## the archive for other machines, in target/dist: OpenSSL linked in, and compiled first
	@PROFILE=$(FAST) scripts/dist.sh $(ARGS)

.PHONY: package
package: setup ## the crate as a registry gets it: is it complete, does it build, do its docs?
	@scripts/package.sh

.PHONY: demo
demo: setup ## the whole way with Kafka and Aerospike in the process: no service, no installation
	@$(CARGO) build --release $(SHARED) --bin penstock --example demo
	@$(CARGO) run --quiet --release $(SHARED) --example demo -- $(ARGS)

.PHONY: demo-kafka
demo-kafka: setup ## the same with a real Kafka broker, started and stopped here (needs Java and Maven: installs them)
	$(CARGO) build --release $(SHARED) --bin penstock --example demo
	@scripts/with-kafka.sh $(CARGO) run --release $(SHARED) --example demo -- --kafka @KAFKA_BROKERS@ $(ARGS)

.PHONY: test
test: setup ## all tests that need no service
	$(CARGO) test --profile $(PROFILE) $(SHARED) --workspace -- --test-threads=$(TEST_THREADS)

.PHONY: test-client
test-client: setup ## the tests of writing once more, with the client library as the writer (aerospike.writer = "client")
	PENSTOCK_TEST_WRITER=client $(CARGO) test --profile $(PROFILE) $(SHARED) --workspace --test it -- --test-threads=$(TEST_THREADS) \
		write_property:: write_path:: cluster:: replay::

# FUZZ_S, FUZZ_RUNS, FUZZ_JOBS and ONLY: scripts/fuzz.sh.
.PHONY: fuzz
fuzz: setup ## random inputs for all that strangers write, a minute for each target (FUZZ_S=600, FUZZ_JOBS=2; one: ONLY=decode)
	@PROFILE=$(FAST) scripts/fuzz.sh

.PHONY: fuzz-merge
fuzz-merge: setup ## the corpora of the fuzz targets anew, with what was found since: few inputs that reach most of the code (needs Python)
	@PROFILE=$(FAST) scripts/fuzz.sh merge

.PHONY: test-kafka
test-kafka: setup ## the tests against a real Kafka broker, started and stopped here (on a real Aerospike too: AEROSPIKE_HOSTS=HOST:PORT)
	$(CARGO) build --profile $(PROFILE) $(SHARED) $(PROGRAMS) --test live
	@scripts/with-kafka.sh $(CARGO) test --profile $(PROFILE) $(SHARED) --test live -- \
		--ignored --test-threads=$(LIVE_THREADS)

.PHONY: test-exactly-once
test-exactly-once: setup ## counters stay exact: 20 kills, lost and late answers, refused rows (shorter: MESSAGES=60000 KILLS=4)
	$(CARGO) build --profile $(FAST) $(SHARED) $(PROGRAMS) --test scenarios
	@scripts/with-kafka.sh $(CARGO) test --profile $(FAST) $(SHARED) --test scenarios -- \
		--ignored --nocapture --test-threads=1 exactly_once::

.PHONY: test-order
test-order: setup ## records end with their last message, or greatest version: racing rows, row errors (shorter: MESSAGES=20000)
	$(CARGO) build --profile $(FAST) $(SHARED) $(PROGRAMS) --test scenarios
	@scripts/with-kafka.sh $(CARGO) test --profile $(FAST) $(SHARED) --test scenarios -- \
		--ignored --nocapture --test-threads=1 order::

.PHONY: test-cron
test-cron: setup ## scripts/penstock-cron under a real cron daemon (unpacks Debian's; needs root), on a real broker: kills, hangs, full disks
	$(CARGO) build --profile $(PROFILE) $(SHARED) $(PROGRAMS) --test it
	@scripts/with-kafka.sh scripts/with-cron.sh $(CARGO) test --profile $(PROFILE) $(SHARED) --test it -- \
		--ignored --nocapture cron::

.PHONY: test-systemd
test-systemd: setup ## the systemd unit with systemd's tools, and under a real systemd in a container (needs root; installs systemd-container)
	@scripts/check-systemd.sh
	$(CARGO) build --profile $(PROFILE) $(SHARED) $(PROGRAMS) --test it
	@scripts/with-systemd.sh $(CARGO) test --profile $(PROFILE) $(SHARED) --test it -- \
		--ignored --nocapture systemd::

# The archive: made here, or ARCHIVE=FILE.
.PHONY: test-install
test-install: setup ## the archive on a fresh Debian (made with debootstrap; needs root), under its cron, on a real broker: kills, a hang, a crash
	$(CARGO) build --profile $(PROFILE) $(SHARED) $(PROGRAMS) --test it
	@archive=$${ARCHIVE:-$$(scripts/dist.sh | tail -n 1)} && ARCHIVE=$$(realpath "$$archive") \
		scripts/with-kafka.sh scripts/with-debian.sh $(CARGO) test --profile $(PROFILE) $(SHARED) --test it -- \
		--ignored --nocapture machine::

.PHONY: test-fresh
test-fresh: ## make test, and a short make demo, in a fresh clone on a Debian with only Rust and a C compiler (needs root; compiles everything)
	@scripts/test-fresh.sh

# SHORT runs shorter scenarios, and only those that CI runs. ONLY: all scenarios, or those of the named modules of
# tests/scenarios/chaos.
ifdef SHORT
test-chaos: export KILLS := $(or $(KILLS),10)
test-chaos: export MEMBERS_S := $(or $(MEMBERS_S),20)
test-chaos: export RECOVERY_S := $(or $(RECOVERY_S),60)
CHAOS_THREADS ?= 3
ONLY ?= kills:: members:: frozen:: silence::
endif
ONLY ?= chaos::
CHAOS_THREADS ?= 1

.PHONY: test-chaos
test-chaos: setup ## members killed, rolled, frozen; a database and brokers in every bad state (half an hour; some minutes: SHORT=1; one: ONLY=frozen)
	$(CARGO) build --profile $(FAST) $(SHARED) $(PROGRAMS) --test scenarios
	@scripts/with-kafka.sh $(CARGO) test --profile $(FAST) $(SHARED) --test scenarios -- \
		--ignored --nocapture --test-threads=$(CHAOS_THREADS) $(ONLY)

.PHONY: test-page
test-page: setup ## the status page in headless Chromium (installs it): made-up answers, then a running service (pictures: ARGS="--pictures DIR")
	@scripts/test-page.sh $(ARGS)
	$(CARGO) build --profile $(PROFILE) $(SHARED) $(PROGRAMS) --test it
	PAGE_ARGUMENTS="$(ARGS)" $(CARGO) test --profile $(PROFILE) $(SHARED) --test it -- --ignored --nocapture page::

.PHONY: test-prometheus
test-prometheus: setup ## alerts and dashboard with Prometheus' tools; a real Prometheus (unpacks Debian's) watches a service
	@scripts/check-prometheus.sh
	$(CARGO) build --profile $(PROFILE) $(SHARED) $(PROGRAMS) --test it
	@scripts/with-prometheus.sh $(CARGO) test --profile $(PROFILE) $(SHARED) --test it -- \
		--ignored --nocapture alerts::

.PHONY: check-deploy
check-deploy: setup ## the container file, compose.yaml and Kubernetes manifests, with parsers and schemas (needs Go; and broken copies: ARGS=--self-test)
	$(CARGO) build --profile $(PROFILE) $(SHARED) $(PROGRAMS)
	@scripts/check-deploy.sh $(ARGS)

.PHONY: bench
bench: setup ## the whole service on a real Kafka broker: rates, CPU, memory, latencies, beside its parts (12 minutes; one minute: ARGS="--short"; a real cluster: AEROSPIKE_HOSTS=HOST:PORT)
	$(CARGO) build --profile $(FAST) $(SHARED) $(PROGRAMS) --bench service
	@scripts/with-kafka.sh $(CARGO) bench --quiet --profile $(FAST) $(SHARED) --bench service -- --kafka @KAFKA_BROKERS@ $(ARGS)

.PHONY: bench-parts
bench-parts: setup ## what decoding, conditions, schemas and counting a message cost
	$(CARGO) bench --profile $(FAST) $(SHARED) --bench decode --bench conditions --bench payload_schema --bench count

.PHONY: count
count: ## the instructions of a message in decode, plan and encode, each against its limit (installs valgrind)
	@scripts/setup.sh count
	$(CARGO) bench --profile $(FAST) $(SHARED) --bench instructions

.PHONY: rates
rates: setup ## what poison costs, and the two writers, by turns on a real Kafka broker (one: ARGS="--only poison")
	$(CARGO) build --profile $(FAST) $(SHARED) --example rates
	@scripts/with-kafka.sh $(CARGO) run --profile $(FAST) $(SHARED) --example rates -- --kafka @KAFKA_BROKERS@ $(ARGS)

.PHONY: bench-service
bench-service: setup ## the CPU of the two writers (aerospike.writer) by turns, on a real Kafka broker (a real cluster: AEROSPIKE_HOSTS=HOST:PORT)
	$(CARGO) build --profile $(FAST) $(SHARED) --example rates
	@scripts/with-kafka.sh $(CARGO) run --profile $(FAST) $(SHARED) --example rates -- --kafka @KAFKA_BROKERS@ --only writers $(ARGS)

.PHONY: bench-scale
bench-scale: setup ## what a second process of the group and more partitions cost, on a real Kafka broker (the figures of docs/benchmarks/scale.md)
	$(CARGO) build --profile $(FAST) $(SHARED) --example rates
	@scripts/with-kafka.sh $(CARGO) run --profile $(FAST) $(SHARED) --example rates -- --kafka @KAFKA_BROKERS@ --only scale $(ARGS)

.PHONY: bench-sweep
bench-sweep: setup ## `penstock bench` on embedded services, with a database latency of 0, 1, 5 and 20 ms (five minutes; ARGS="--latencies 0,10")
	$(CARGO) build --profile $(FAST) $(SHARED) $(PROGRAMS) --example sweep
	@$(CARGO) run --quiet --profile $(FAST) $(SHARED) --example sweep -- $(ARGS)

.PHONY: bench-designs
bench-designs: setup ## other designs beside this service, on a real broker: rate, CPU, memory, losses, order (20 minutes; two: ARGS=--short; some: ARGS="--only 1,7"; also into docs: ARGS=--docs)
	$(CARGO) build --profile $(FAST) $(SHARED) $(PROGRAMS) --bench designs
	@scripts/with-kafka.sh $(CARGO) bench --profile $(FAST) $(SHARED) --bench designs -- --kafka @KAFKA_BROKERS@ $(ARGS)

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt

.PHONY: lint
lint: setup ## format and clippy, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --workspace --profile $(PROFILE) --all-targets -- -D warnings

.PHONY: deny
deny: ## licences and sources of all dependencies, by deny.toml (broken copies: ARGS=--self-test; vulnerabilities, from the network: ARGS=advisories)
	@scripts/check-deny.sh $(ARGS)

.PHONY: doc
# With private items: these pages are for developers, and the text of a module names its private parts.
doc: setup ## the crate's documentation, warnings denied
	RUSTDOCFLAGS="$(RUSTDOCFLAGS) -D warnings" $(CARGO) doc --locked --workspace --profile $(PROFILE) --no-deps --document-private-items

.PHONY: check
# One profile for all of it: no dependency is compiled twice. Clippy is the compiler here, so it checks our code while it
# is built for the tests; `make lint` would check all dependencies first, and build them again.
check: export PROFILE := ci
check: export FAST := ci
CLIPPY := RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
# Nothing is timed here: another program on the machine would change the result. `make count` counts instructions, which
# it would not, in this build. Fuzzing has a number of inputs and a seed, so nearly the same inputs each time.
check: setup ## everything CI runs: lint, deny, test, test-client, count, doc, test-kafka, the alerts, the systemd unit, and short runs of fuzz, test-exactly-once, test-order and test-chaos
	$(CARGO) fmt --check
	@scripts/check-deny.sh
	$(CLIPPY) $(CARGO) build --locked --workspace --profile $(PROFILE) --all-targets
	@$(CLIPPY) $(MAKE) --no-print-directory test
	@$(CLIPPY) $(MAKE) --no-print-directory test-client
	@$(MAKE) --no-print-directory fuzz FUZZ_RUNS=5000 FUZZ_JOBS=2
	@$(MAKE) --no-print-directory doc
	@$(CLIPPY) $(MAKE) --no-print-directory test-kafka
	@scripts/check-prometheus.sh
	@scripts/check-systemd.sh
	@$(CLIPPY) $(MAKE) --no-print-directory test-exactly-once MESSAGES=60000 KILLS=4
	@$(CLIPPY) $(MAKE) --no-print-directory test-order MESSAGES=20000
	@$(CLIPPY) $(MAKE) --no-print-directory test-chaos SHORT=1
	@$(CLIPPY) PENSTOCK_COUNT_BUILD=check $(MAKE) --no-print-directory count

.PHONY: clean
clean: ## remove what was built, and the broker with its jars
	@scripts/kafka.sh stop
	$(CARGO) clean
	rm -rf .cache
