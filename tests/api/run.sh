#!/usr/bin/env bash
# What the OpenAPI document says against what the server does: schemathesis (PyPI) asks a running edge for everything that
# the document describes, well and badly. That all that fits the schema is accepted is not asked for: credits may not suffice,
# a host may be taken, and no schema says so. Arguments: examples an operation; the program.
set -euo pipefail
cd "$(dirname "$0")/../.."
examples=${1:-40}
program=${2:-target/debug/lightmeter}
tools=target/api-test
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT

[ -x "$tools/bin/schemathesis" ] || {
    python3 -c 'import ensurepip' 2>/dev/null || apt-get install -y -qq --no-install-recommends python3-venv
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check -r tests/api/requirements.txt
}
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
edge=127.0.0.1:$(port) admin=127.0.0.1:$(port)
cat >"$scratch/lightmeter.toml" <<TOML
[edge]
http = '$edge'
[admin]
listen = '$admin'
token = 'operator'
[storage]
data_dir = '$scratch/data'
[dev]
test_clock = true
[[account]]
id = 'acme'
[[site]]
id = 'shop'
account = 'acme'
hosts = ['shop.test']
origin = 'http://origin.test'
TOML
"$program" serve --config "$scratch/lightmeter.toml" 2>"$scratch/log" &
until curl -sf "http://$admin/readyz" >/dev/null; do sleep 0.1; done
"$tools/bin/schemathesis" run "http://$admin/api/v1/openapi.json" \
    -H 'Authorization: Bearer operator' --checks all --exclude-checks positive_data_acceptance --max-examples "$examples" --generation-deterministic \
    --phases examples,coverage,fuzzing --no-color || { tail -20 "$scratch/log"; exit 1; }
"$program" ledger verify --data-dir "$scratch/data"
