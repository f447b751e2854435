#!/usr/bin/env bash
# Feeds the engine the test pictures of others: Pillow's (its source on PyPI: some hundred odd and broken PNG, JPEG, GIF, WebP
# and AVIF), libjpeg-turbo's, libwebp's, libaom's and oximg's (crates that carry them). Each must become a picture or an error.
set -euo pipefail
cd "$(dirname "$0")/../.."
corpora=target/corpora
pillow=13.0.0

[ -d "$corpora/pillow" ] || {
    python3 -c 'import ensurepip' 2>/dev/null || apt-get install -y -qq --no-install-recommends python3-venv
    [ -x target/golden/bin/python ] || python3 -m venv target/golden
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    target/golden/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d "$scratch" "pillow==$pillow"
    mkdir -p "$scratch/pillow"
    tar xzf "$scratch/pillow-$pillow.tar.gz" -C "$scratch/pillow" --strip-components=3 --wildcards '*/Tests/images/*'
    mkdir -p "$corpora"
    mv "$scratch/pillow" "$corpora/pillow"
}
[ -d "$corpora/crates" ] || {
    mkdir -p "$corpora/crates.part"
    for manifest in Cargo.toml benches/peers/tools/Cargo.toml; do
        cargo metadata --locked --format-version 1 --manifest-path "$manifest"
    done | grep -o '"manifest_path":"[^"]*/registry/src/[^"]*"' | cut -d'"' -f4 | sort -u | while read -r manifest; do
        crate=$(dirname "$manifest")
        find "$crate" -type f \( -iname '*.png' -o -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.gif' -o -iname '*.webp' -o -iname '*.avif' \) |
            while read -r picture; do
                name=${picture#"$(dirname "$crate")/"}
                cp "$picture" "$corpora/crates.part/${name//\//-}"
            done
    done
    mv "$corpora/crates.part" "$corpora/crates"
}
CORPORA=$(realpath "$corpora") cargo test --workspace --locked --test malformed -- --exact --ignored \
    --nocapture corpora::every_file_of_the_corpora_is_a_picture_or_an_error_within_its_memory
