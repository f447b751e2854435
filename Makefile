# `make demo` and `make test` are all one needs; each installs what the build lacks first.

# Command to look for : Debian package that brings it. The C codecs are built from source; nasm assembles them on x86 only.
TOOLS := cc:gcc c++:g++ cmake:cmake make:make perl:perl
ifneq (,$(filter x86_64 amd64 i%86,$(shell uname -m)))
TOOLS += nasm:nasm
endif

.DEFAULT_GOAL := help
.PHONY: help deps demo test acme api-test golden corpora conformance abuse sandbox hostile fuzz build release bench cache-scale throughput peers tls-bench fmt lint clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: deps ## see it work: an origin with pictures, the edge, and a page to open
	cargo run --release --locked -- demo

test: deps ## run all tests
	cargo test --workspace --locked

acme: deps ## order certificates from a real authority, ask a DNS server that rebinds (root; pebble by apt-get)
	tests/acme/run.sh

# With the examples, which need what tests need: dependencies are built with the same features for all, and once.
build: deps ## build for development
	cargo build --workspace --bins --examples --locked

release: deps ## build target/release/lightmeter
	cargo build --release --locked

api-test: build ## hold the API's OpenAPI document against the running server (python3, PyPI)
	tests/api/run.sh

golden: deps ## hold variants against what Pillow, lcms2 and numpy make (python3, PyPI)
	tests/golden/run.sh

corpora: deps ## feed the engine the odd and broken pictures that others test with (python3, PyPI)
	tests/corpora/run.sh

conformance: build ## run the public HTTP cache suite, beside nginx (node, npm, apt-get)
	tests/conformance/run.sh

sandbox: build ## hold the systemd unit against the system calls that are made (root; systemd, strace by apt-get)
	tests/sandbox/run.sh

abuse: build ## load and attack the running server: h2load, wrk, slowhttptest (apt-get, python3)
	tests/abuse/run.sh

hostile: deps ## two hostile days among ordinary visitors, each HOSTILE_SECONDS (600) long
	HOSTILE_SECONDS=$${HOSTILE_SECONDS:-600} cargo test --workspace --locked --test blackbox -- hostile:: --nocapture

fuzz: deps ## fuzz the reading of pictures, options and fields, a minute each (FUZZ_SECONDS; installs cargo-fuzz)
	fuzz/run.sh

cache-scale: deps ## measure the disk cache with up to a million entries (8 GB free in CACHE_SCALE_DIR; as root cold, too)
	CACHE_SCALE_DIR="$${CACHE_SCALE_DIR:-$(CURDIR)/target/cache-scale}" cargo bench --locked --bench cache_scale

throughput: release ## measure what metering costs over sockets (wrk, python3)
	benches/throughput.sh

peers: deps ## compare with sharp and oximg: time, bytes, quality, memory (apt-get, node, python3)
	benches/peers/run.sh

tls-bench: deps ## compare TLS by ring, aws-lc-rs and nginx, and HTTP/3 with HTTP/2 (apt-get, python3)
	benches/tls/run.sh

bench: deps ## run the benchmarks
	cargo bench --locked

fmt: ## format the code
	cargo fmt

lint: deps ## check formatting and lints, as CI does
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

clean: ## remove what was built
	cargo clean

# Installs only what is missing, and only by Debian's or Ubuntu's package manager.
deps: ## install what the build lacks
	@command -v cargo >/dev/null || { echo 'Rust is missing: install it with rustup, see https://rustup.rs' >&2; exit 1; }
	@missing=; for tool in $(TOOLS); do \
		command -v "$${tool%%:*}" >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	command -v apt-get >/dev/null || { echo "Please install:$$missing" >&2; exit 1; }; \
	if [ "$$(id -u)" = 0 ]; then as_root=; \
	elif command -v sudo >/dev/null; then as_root=sudo; \
	else echo "Please install, as root:$$missing" >&2; exit 1; fi; \
	echo "Installing:$$missing"; \
	$$as_root apt-get update -qq && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing
