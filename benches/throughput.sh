#!/usr/bin/env bash
# What metering costs on the hit path, over sockets: wrk asks for one image from three sites of one edge, which differ only
# in who pays, turn by turn; the medians are compared. Needs wrk and python3. Arguments: rounds, seconds a turn.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-7} seconds=${2:-5}
program=${LIGHTMETER:-target/release/lightmeter}
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT

python3 -m http.server 18090 --bind 127.0.0.1 --directory demo/pictures >"$scratch/origin.log" 2>&1 &
site() {
    printf "[[site]]\nid = '%s'\nhosts = ['%s.test']\norigin = 'http://127.0.0.1:18090'\n" "$1" "$1"
    printf "allow_private_origin = true\nfirst_view = 'always'\ndefault_ttl = '1d'\n%s\n" "$2"
}
{
    printf "[edge]\nhttp = '127.0.0.1:18080'\n[admin]\nlisten = '127.0.0.1:18091'\n[log]\naccess = false\nlevel = 'warn'\n"
    printf "[images]\nrefine = false\n[storage]\ndata_dir = '%s/data'\n[[account]]\nid = 'acme'\nplan = 'max'\n" "$scratch"
    site unpaid ""
    site variants "account = 'acme'
tariff = 'variants'"
    site egress "account = 'acme'
tariff = 'egress'"
} >"$scratch/lightmeter.toml"
"$program" serve --config "$scratch/lightmeter.toml" &
until curl -sf http://127.0.0.1:18090/ >/dev/null && curl -sf http://127.0.0.1:18091/readyz >/dev/null; do sleep 0.1; done

url='http://127.0.0.1:18080/raccoon.jpg?w=400'
accept='Accept: image/avif,image/webp,*/*'
for name in unpaid variants egress; do
    for _ in 1 2; do curl -sf -o /dev/null -D "$scratch/head" -H "Host: $name.test" -H "$accept" "$url"; done
    grep -qi '^cache-status: lightmeter; hit.*detail=avif' "$scratch/head" || { cat "$scratch/head"; exit 1; }
done
for round in $(seq "$rounds"); do
    for name in unpaid variants egress; do
        rate=$(wrk -t1 -c32 -d"${seconds}s" -H "Host: $name.test" -H "$accept" "$url" | sed -n 's/^Requests\/sec: *//p')
        echo "$round $name $rate" | tee -a "$scratch/rates"
    done
done
python3 - "$scratch/rates" <<'PYTHON'
import statistics, sys
rates = {}
for line in open(sys.argv[1]):
    _, name, rate = line.split()
    rates.setdefault(name, []).append(float(rate))
base = rates["unpaid"]
for name, all_rates in rates.items():
    ratio = statistics.median(rate / other for rate, other in zip(all_rates, base))
    print(f"{name:9} {statistics.median(all_rates):9.0f} requests/s   {ratio:.3f} of unpaid")
PYTHON
