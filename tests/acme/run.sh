#!/usr/bin/env bash
# Certificates on demand, with Debian's pebble as the authority, and names that change their addresses, with its DNS server.
# Needs apt-get where pebble is missing, and root for a network of the test's own; without them this fails.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v pebble >/dev/null || ! command -v pebble-challtestsrv >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq || true
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pebble ||
        { echo 'pebble is missing and could not be installed: see https://github.com/letsencrypt/pebble' >&2; exit 1; }
fi
# As many processes as tests: at most four tests at once.
cargo test --workspace --locked --test acme -- --ignored --test-threads=4
# `make test` leaves this out where there is no pebble or no root.
LIGHTMETER_TEST_NOTHING_LEFT_OUT=yes cargo test --workspace --locked --test blackbox -- rebinding::
