# Everything a developer or CI runs. `make` alone explains; what CI runs is `make check`, no more and no less.

CARGO ?= cargo
# Passed on to the demo: make demo ARGS="--messages 1000000"
ARGS ?=

# One set of features for every release build, and each build with a target that needs the tests' dependencies (they add
# features to what we depend on): so the library and all that it needs are compiled once, whatever is built first. The
# simulator is in the library then; nothing in penstock calls it, and the linker leaves it out of the program (`nm` finds two
# hooks of the tests, broker/provoke.rs, which nothing outside of the process reaches). `cargo build --release` has none of it.
RELEASE := --release --locked --features sim

.DEFAULT_GOAL := help

# What needs clean-up (a broker) is a script with a trap. Whatever runs beside a broker is compiled before it starts.

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## install what the build needs and this machine lacks (Debian, Ubuntu)
	@scripts/setup.sh

.PHONY: build
build: setup ## the release binary: target/release/penstock
	$(CARGO) build $(RELEASE) --bin penstock --example demo

.PHONY: demo
demo: setup ## the whole way with Kafka and Aerospike in the process: no service, no installation
	@$(CARGO) build $(RELEASE) --bin penstock --example demo
	@$(CARGO) run --quiet $(RELEASE) --example demo -- $(ARGS)

.PHONY: demo-kafka
demo-kafka: setup ## the same with a real Kafka broker, started and stopped here (needs Java and Maven: installs them)
	$(CARGO) build $(RELEASE) --bin penstock --example demo
	@scripts/with-kafka.sh $(CARGO) run $(RELEASE) --example demo -- --kafka @KAFKA_BROKERS@ $(ARGS)

.PHONY: test
test: setup ## all tests that need no service
	$(CARGO) test --locked --features sim

.PHONY: test-kafka
test-kafka: setup ## the tests against a real Kafka broker, started and stopped here
	$(CARGO) test --locked --features sim --test live --no-run
	@scripts/with-kafka.sh $(CARGO) test --locked --features sim --test live -- --ignored

.PHONY: test-exactly-once
test-exactly-once: setup ## counters stay exact: 20 kills, lost and late answers, refused rows (shorter: MESSAGES=60000 KILLS=4)
	$(CARGO) test $(RELEASE) --test scenarios --no-run
	@scripts/with-kafka.sh $(CARGO) test $(RELEASE) --test scenarios -- \
		--ignored --nocapture --test-threads=1 exactly_once::

.PHONY: test-order
test-order: setup ## records end with their last message, or greatest version: racing rows, row errors (shorter: MESSAGES=20000)
	$(CARGO) test $(RELEASE) --test scenarios --no-run
	@scripts/with-kafka.sh $(CARGO) test $(RELEASE) --test scenarios -- \
		--ignored --nocapture --test-threads=1 order::

# Shorter, and only what CI runs. What of it: all scenarios, or those of the named modules of tests/scenarios/chaos.
ifdef SHORT
test-chaos: export KILLS := $(or $(KILLS),10)
test-chaos: export MEMBERS_S := $(or $(MEMBERS_S),20)
ONLY ?= kills:: members:: frozen:: silence::
endif
ONLY ?= chaos::

.PHONY: test-chaos
test-chaos: setup ## members killed, rolled, frozen; a database and brokers in every bad state (half an hour; some minutes: SHORT=1; one: ONLY=frozen)
	$(CARGO) test $(RELEASE) --test scenarios --no-run
	@scripts/with-kafka.sh $(CARGO) test $(RELEASE) --test scenarios -- \
		--ignored --nocapture --test-threads=1 $(ONLY)

.PHONY: bench
bench: setup ## what decoding and judging a message cost
	$(CARGO) bench --locked --features sim --bench decode --bench judge

.PHONY: rates
rates: setup ## what guards cost, merging gains and poison costs, on a real Kafka broker (one: ARGS="--only poison")
	$(CARGO) build $(RELEASE) --example rates
	@scripts/with-kafka.sh $(CARGO) run $(RELEASE) --example rates -- --kafka @KAFKA_BROKERS@ $(ARGS)

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt

.PHONY: lint
lint: setup ## format and clippy, warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings

.PHONY: doc
# With private items: the pages are for those who work on the code, and a module's text names the parts inside it.
doc: setup ## the crate's documentation, warnings denied
	RUSTDOCFLAGS="$(RUSTDOCFLAGS) -D warnings" $(CARGO) doc --locked --no-deps --all-features --document-private-items

.PHONY: check
check: ## everything CI runs: lint, test, doc, bench, test-kafka, and short runs of rates, test-exactly-once, test-order and test-chaos
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory doc
	@$(MAKE) --no-print-directory bench
	@$(MAKE) --no-print-directory test-kafka
	@$(MAKE) --no-print-directory rates ARGS="--messages 150000 --rounds 1 --pairs 2"
	@$(MAKE) --no-print-directory test-exactly-once MESSAGES=60000 KILLS=4
	@$(MAKE) --no-print-directory test-order MESSAGES=20000
	@$(MAKE) --no-print-directory test-chaos SHORT=1

.PHONY: clean
clean: ## remove what was built, and the broker with its jars
	@scripts/kafka.sh stop
	$(CARGO) clean
	rm -rf .cache
