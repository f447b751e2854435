#!/usr/bin/env bash
# Variants beside what independent code makes of the same sources (Pillow, lcms2, numpy; see test_golden.py). Arguments go to
# pytest: `tests/golden/run.sh -k inks`. DEVELOP names an engine that is built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=target/golden
[ -x "$tools/bin/python" ] || {
    python3 -c 'import ensurepip' 2>/dev/null || apt-get install -y -qq --no-install-recommends python3-venv
    python3 -m venv "$tools"
}
"$tools/bin/pip" install --quiet --disable-pip-version-check -r tests/golden/requirements.txt
if [ -z "${DEVELOP:-}" ]; then
    cargo build --quiet --workspace --locked --example develop
    DEVELOP=${CARGO_TARGET_DIR:-target}/debug/examples/develop
fi
DEVELOP=$(realpath "$DEVELOP") "$tools/bin/python" -m pytest -q -p no:cacheprovider --rootdir tests/golden tests/golden "$@"
