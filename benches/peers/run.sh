#!/usr/bin/env bash
# This engine beside npm's `sharp` and the crate registry's `oximg`, over the same pictures, one thread each: CPU and wall time,
# bytes, SSIMULACRA2 and peak memory as Markdown, with the ratios that are aimed at. Pictures come from Debian packages, which
# are unpacked under target/, not installed. Needs apt-get, node with npm, python3. Arguments: repeats (5); a word of a title.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=target/peers

mkdir -p "$work/npm"
[ -x "$work/venv/bin/python" ] || {
    python3 -c 'import ensurepip' 2>/dev/null || apt-get install -y -qq --no-install-recommends python3-venv
    python3 -m venv "$work/venv"
}
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r benches/peers/requirements.txt
command -v npm >/dev/null || apt-get install -y -qq --no-install-recommends nodejs npm
cp benches/peers/package.json "$work/npm/"
(cd "$work/npm" && npm install --silent --no-audit --no-fund)

CARGO_TARGET_DIR="$PWD/$work/build" cargo build --quiet --release --locked --manifest-path benches/peers/tools/Cargo.toml
cargo build --quiet --release --locked -p lightmeter-image --example peer

export PEER="${CARGO_TARGET_DIR:-target}/release/examples/peer"
PYTHONPATH=tests/golden "$work/venv/bin/python" benches/peers/run.py "$@"
