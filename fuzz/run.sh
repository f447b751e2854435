#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS (60), or those named. What is found lies in fuzz/artifacts, what was learned in
# target/fuzz. A stable toolchain is told to be an unstable one, for its address sanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
export RUSTC_BOOTSTRAP=1

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
[ $# -gt 0 ] || set -- probe options target url_guard http_fields signature proxy framing stored jpeg png gif webp avif
for target; do
    mkdir -p "target/fuzz/$target"
    # An allocation of more than 256 MB, or a file that takes 10 s, is a finding: limits are small here.
    cargo fuzz run --fuzz-dir fuzz --target-dir "${CARGO_TARGET_DIR:-target/fuzz/build}" "$target" "target/fuzz/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=16384 -timeout=10 -malloc_limit_mb=256 -rss_limit_mb=2048 -print_final_stats=1
done
