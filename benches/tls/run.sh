#!/usr/bin/env bash
# What TLS and HTTP/3 cost a server of one body of 30 KB in memory: rustls with ring or with aws-lc-rs, beside nginx with the same
# certificates and a file of that size; HTTP/3 beside HTTP/2; and what an HTTP/3 server makes of visitors that mean it ill
# (see src/bin/). Servers run on core 0, what asks them on core 1, and take turns. What counts is the CPU time of a server's one
# thread. Needs apt-get where nginx, h2load or openssl are missing. Arguments: rounds (7), and words of the parts wanted (all).
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/target/tls
export BUILT=${CARGO_TARGET_DIR:-$work/build}/release
mkdir -p "$work/nginx" "$work/www"

command -v h2load >/dev/null || apt-get install -y -qq --no-install-recommends nghttp2-client
command -v openssl >/dev/null || apt-get install -y -qq --no-install-recommends openssl
# Unpacked, not installed, so that no service starts.
NGINX=$(PATH=$PATH:/usr/sbin:$work/nginx/usr/sbin type -P nginx) || {
    (cd "$work/nginx" && apt-get download -qq nginx && dpkg -x nginx_*.deb .)
    NGINX=$work/nginx/usr/sbin/nginx
}
export NGINX

certificate() {
    [ -f "$work/$1.crt" ] || openssl req -x509 -nodes -days 3650 -subj /CN=localhost -keyout "$work/$1.key" -out "$work/$1.crt" \
        -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE "${@:2}" 2>/dev/null
}
certificate p256 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1
certificate rsa2048 -newkey rsa:2048
head -c 30720 /dev/urandom >"$work/www/body.webp"

CARGO_TARGET_DIR=${BUILT%/release} cargo build --quiet --release --locked --manifest-path benches/tls/Cargo.toml
ulimit -n 8192
python3 benches/tls/run.py "$work" "$@"
