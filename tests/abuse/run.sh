#!/usr/bin/env bash
# The running server under load and under attack, on loopback. h2load and wrk ask as fast as they can, and nothing may fail;
# slowhttptest opens 500 connections each that send their head, send their body or read their response next to never, while
# an ordinary visitor asks for hits: all of his requests must be answered, and memory must stay bounded. His times are reported,
# not judged. Needs apt-get where slowhttptest, h2load or wrk are missing; python3. Arguments: the program, seconds a turn, and
# rounds of the attacks.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=${1:-${CARGO_TARGET_DIR:-target}/debug/lightmeter} seconds=${2:-3} rounds=${3:-1}
attackers=500
# Above what the process had after the loads: 500 × (64 KiB handed over, 64 KiB read ahead), and what a connection takes.
allowed_mib=160
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT

missing=
for tool in slowhttptest:slowhttptest h2load:nghttp2-client wrk:wrk curl:curl openssl:openssl; do
    command -v "${tool%%:*}" >/dev/null || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

mapfile -t ports < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(4)]
for s in sockets: s.bind(("127.0.0.1", 0))
for s in sockets: print(s.getsockname()[1])')
edge=127.0.0.1:${ports[0]} secure=127.0.0.1:${ports[1]} admin=127.0.0.1:${ports[2]} origin=127.0.0.1:${ports[3]}
mkdir "$scratch/origin"
cp demo/pictures/raccoon.jpg "$scratch/origin/"
head -c 8388608 /dev/urandom >"$scratch/origin/large.bin"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 \
    -addext subjectAltName=DNS:shop.test -keyout "$scratch/key.pem" -out "$scratch/chain.pem" 2>/dev/null
cat >"$scratch/lightmeter.toml" <<TOML
[edge]
http = '$edge'
[edge.tls]
https = ['$secure']
[[edge.tls.certificate]]
chain = '$scratch/chain.pem'
key = '$scratch/key.pem'
[admin]
listen = '$admin'
[storage]
data_dir = '$scratch/data'
[cache]
memory_bytes = '32MiB'
[images]
refine = false
[log]
access = false
level = 'warn'
[[site]]
id = 'shop'
hosts = ['*']
origin = 'http://$origin'
allow_private_origin = true
first_view = 'always'
default_ttl = '1d'
passthrough_ttl = '1d'
TOML
python3 -m http.server "${ports[3]}" --bind 127.0.0.1 --directory "$scratch/origin" >"$scratch/origin.log" 2>&1 &
"$program" serve --config "$scratch/lightmeter.toml" &
server=$!
until curl -sf -o /dev/null "http://$origin/" && curl -sf "http://$admin/readyz" >/dev/null; do kill -0 $server; sleep 0.1; done

accept='Accept: image/avif,image/webp,*/*'
picture="http://$edge/raccoon.jpg?w=400"
large="http://$edge/large.bin"
for _ in 1 2 3; do curl -sf -o /dev/null -D "$scratch/head" -H "$accept" "$picture"; sleep 0.3; done
grep -qi '^cache-status: lightmeter; hit' "$scratch/head" || { cat "$scratch/head"; exit 1; }
for _ in 1 2 3; do curl -sf -o /dev/null "$large"; sleep 0.3; done

resident() { awk '/VmRSS/ { print int($2 / 1024) }' "/proc/$server/status"; }
fail() { echo "abuse: $*" >&2; exit 1; }
connections() { curl -sf "http://$admin/metrics" | awk '/^lightmeter_connections / { print $2 }'; }

echo "-- loads, $seconds s each"
for url in "$picture" "https://$secure/raccoon.jpg?w=400"; do
    # Only the name is certified; who does not check gets the certificate by it.
    h2load -D "$seconds" -c 16 -m 16 -t 1 --sni=shop.test -H ':authority: shop.test' -H "$accept" "$url" >"$scratch/h2load" 2>&1 ||
        h2load -D "$seconds" -c 16 -m 16 -t 1 -H "$accept" "$url" >"$scratch/h2load" 2>&1
    grep -E '^(finished|requests|status codes)' "$scratch/h2load"
    grep -qE '^requests:.* 0 failed, 0 errored, 0 timeout' "$scratch/h2load" || fail "h2load saw failures"
    grep -qE '^status codes: [1-9][0-9]* 2xx, 0 3xx, 0 4xx, 0 5xx' "$scratch/h2load" || fail "h2load saw other answers"
done
wrk -t1 -c64 -d"${seconds}s" -H "$accept" "$picture" >"$scratch/wrk"
grep -E 'Requests/sec|requests in' "$scratch/wrk"
grep -qE 'Socket errors|Non-2xx' "$scratch/wrk" && fail "wrk saw failures: $(cat "$scratch/wrk")"

# Attackers are on machines of their own: here on a core of their own, while the server and the visitor, quiet or not, have
# the others.
last=$(($(nproc) - 1))
ours=0-$((last > 0 ? last - 1 : 0))
taskset -acp "$ours" $server >/dev/null

# How long an ordinary visitor waits for hits, 200 a second on a few connections: 50 %, 99 %, in ms.
visit() {
    taskset -c "$ours" python3 - "$edge" "$seconds" <<'PYTHON'
import http.client, sys, time
edge, seconds = sys.argv[1], float(sys.argv[2])
clients = [http.client.HTTPConnection(edge, timeout=10) for _ in range(4)]
times, began = [], time.perf_counter()
while time.perf_counter() - began < seconds:
    due = began + len(times) * 0.005
    time.sleep(max(0, due - time.perf_counter()))
    client, asked = clients[len(times) % 4], time.perf_counter()
    client.request("GET", "/raccoon.jpg?w=400", headers={"Accept": "image/avif,image/webp,*/*"})
    answer = client.getresponse()
    body = answer.read()
    assert answer.status == 200 and len(body) > 1000, (answer.status, len(body))
    times.append((time.perf_counter() - asked) * 1e3)
times.sort()
print(f"{times[len(times) // 2]:.2f} {times[len(times) * 99 // 100]:.2f}")
PYTHON
}

base=$(resident)
echo "-- attacks by $attackers connections each, $rounds round(s); $base MiB resident before"
attack() {
    local name=$1
    shift
    for round in $(seq "$rounds"); do
        read -r quiet50 quiet99 <<<"$(visit)"
        taskset -c "$last" slowhttptest -c $attackers -r 400 -l $((seconds + 6)) -v 0 "$@" >"$scratch/slowhttptest" 2>&1 &
        local attacker=$!
        for _ in $(seq 50); do [ "$(connections)" -ge $attackers ] && break; sleep 0.1; done
        local open
        open=$(connections)
        [ "$open" -ge $((attackers * 9 / 10)) ] || fail "$name: only $open attackers are connected"
        read -r loud50 loud99 <<<"$(visit)" || fail "$name: a visitor was not served"
        [ -n "$loud99" ] || fail "$name: a visitor was not served"
        local memory
        memory=$(resident)
        wait $attacker || true
        echo "$name $quiet50 $quiet99 $loud50 $loud99 $memory" | tee -a "$scratch/figures" |
            awk '{ printf "%s: median %s ms quiet, %s attacked; 99 %% %s ms quiet, %s attacked (%.2f times); %d MiB resident\n", $1, $2, $4, $3, $5, $5 / $3, $6 }'
        [ "$memory" -le $((base + allowed_mib)) ] || fail "$name: $memory MiB resident, $base before"
    done
}
attack slow_heads -H -i 5 -x 24 -u "$picture"
attack slow_bodies -B -i 5 -s 8192 -t POST -u "http://$edge/upload"
attack slow_reads -X -w 512 -y 1024 -n 5 -z 32 -k 3 -u "$large"
python3 - "$scratch/figures" <<'PYTHON'
import statistics, sys
rows = {}
for line in open(sys.argv[1]):
    name, *numbers = line.split()
    rows.setdefault(name, []).append([float(number) for number in numbers])
for name, numbers in rows.items():
    middle = [statistics.median(column) for column in zip(*numbers)]
    print(f"{name}: 99 % {middle[1]:.2f} ms quiet, {middle[3]:.2f} ms attacked: {middle[3] / middle[1]:.2f} times "
          f"(target: within 2), {max(n[4] for n in numbers):.0f} MiB at the most")
PYTHON
kill -0 $server || fail "the server is gone"
curl -sf "http://$admin/metrics" | grep '^lightmeter_refused_total' | grep -v ' 0$' || true
