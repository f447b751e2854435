#!/usr/bin/env bash
# The public HTTP cache suite (npm's `http-cache-tests`) through lightmeter, for what is passed through and for images, and
# beside them through nginx as the suite's own container sets it up. run.mjs says what must hold, suite.mjs what the mode
# `images` is, the .tsv files which tests are not passed and why. Needs apt-get where node, npm or nginx are missing; nginx is
# unpacked under target/, not installed, so that no service starts. Argument: the program.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=${1:-${CARGO_TARGET_DIR:-target}/debug/lightmeter}
tools=target/conformance
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT

mkdir -p "$tools/npm" "$tools/nginx"
command -v npm >/dev/null || apt-get install -y -qq --no-install-recommends nodejs npm
cp tests/conformance/package.json tests/conformance/package-lock.json "$tools/npm/"
[ "$tools/npm/node_modules/.package-lock.json" -nt tests/conformance/package-lock.json ] ||
    (cd "$tools/npm" && npm ci --silent --ignore-scripts --no-audit --no-fund)
nginx=$(PATH=$PATH:/usr/sbin:$tools/nginx/usr/sbin type -P nginx) || {
    (cd "$tools/nginx" && apt-get download -qq nginx && dpkg -x nginx_*.deb .)
    nginx=$tools/nginx/usr/sbin/nginx
}

# Eight ports at once, so that none comes twice.
mapfile -t ports < <(node -e '
    const servers = Array.from({ length: 8 }, () => net.createServer().listen(0, "127.0.0.1"))
    setTimeout(() => servers.forEach(server => { console.log(server.address().port); server.close() }), 100)')
proxy() { echo "127.0.0.1:${ports[$1]}"; }

# Serves what is at an origin's port as an edge of that name: NAME, its number, the origin's.
edge() {
    cat >"$scratch/$1.toml" <<TOML
[edge]
http = '$(proxy "$2")'
[admin]
listen = '$(proxy "$(($2 + 1))")'
[storage]
data_dir = '$scratch/$1'
[images]
refine = false
[log]
level = 'warn'
[[site]]
id = '$1'
hosts = ['*']
origin = 'http://$(proxy "$3")'
allow_private_origin = true
first_view = 'always'
# The suite tells apart what is fresh by the origin's word from what is by guesses, and tests both.
default_ttl = '0s'
heuristic_percent = 10
TOML
    "$program" serve --config "$scratch/$1.toml" 2>"$scratch/$1.log" &
    until curl -sf "http://$(proxy "$(($2 + 1))")/readyz" >/dev/null; do
        kill -0 $! || { cat "$scratch/$1.log"; exit 1; }
        sleep 0.1
    done
}
edge passthrough 0 5
edge images 2 6

# Its workers run as another user where it is started by root.
chmod 755 "$scratch"
cat >"$scratch/nginx.conf" <<CONF
daemon off;
pid $scratch/nginx.pid;
error_log $scratch/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $scratch/bodies;
    fastcgi_temp_path $scratch/fastcgi;
    uwsgi_temp_path $scratch/uwsgi;
    scgi_temp_path $scratch/scgi;
    proxy_cache_path $scratch/cache levels=1:2 keys_zone=my-cache:8m max_size=1000m inactive=600m;
    proxy_temp_path $scratch/cache/tmp;
    server {
        listen $(proxy 4);
        location / {
            proxy_pass http://$(proxy 7);
            proxy_cache my-cache;
            proxy_cache_revalidate on;
        }
    }
}
CONF
"$nginx" -e "$scratch/nginx.log" -c "$scratch/nginx.conf" &
until [ -s "$scratch/nginx.pid" ]; do
    kill -0 $! || { cat "$scratch/nginx.log"; exit 1; }
    sleep 0.1
done

"$nginx" -v
node tests/conformance/run.mjs "$tools/npm/node_modules/http-cache-tests" \
    "passthrough=http://$(proxy 0)=${ports[5]}" "images=http://$(proxy 2)=${ports[6]}" "nginx=http://$(proxy 4)=${ports[7]}" ||
    { tail -n 5 "$scratch"/{passthrough,images}.log; exit 1; }
