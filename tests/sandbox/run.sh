#!/usr/bin/env bash
# Holds deploy/lightmeter.service against what the program does: that systemd takes the unit and how exposed it finds it, that
# the program listens below 1024 as nobody with that one capability, and that each system call it makes, from its start over
# pictures and the ledger to its end, is one that the unit lets through. Needs root, for the user and a network of its own;
# gets systemd's and strace's packages by apt-get where they are missing. Argument: the program.
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/lightmeter}")
unit=deploy/lightmeter.service
[ "$(id -u)" = 0 ] || { echo 'this needs root' >&2; exit 1; }
for tool in systemd-analyze:systemd strace:strace setpriv:util-linux ip:iproute2 curl:curl python3:python3; do
    command -v "${tool%%:*}" >/dev/null || apt-get install -y -qq --no-install-recommends "${tool#*:}"
done

# A new network has a loopback of its own, on which ports below 1024 are free.
[ "${LIGHTMETER_SANDBOX:-}" = inside ] || LIGHTMETER_SANDBOX=inside exec unshare --net "$0" "$program"
ip link set lo up
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT
chmod 755 "$scratch" && chown nobody "$scratch"

install -m 755 "$program" "$scratch/lightmeter"
sed "s|/usr/local/bin/lightmeter|$scratch/lightmeter|" "$unit" >"$scratch/lightmeter.service"
systemd-analyze verify "$scratch/lightmeter.service"
systemd-analyze security --offline=true --threshold=20 "$scratch/lightmeter.service" | tail -1

# The values of one key of the unit, in their order.
values() { sed -n "s/^$1=//p" "$unit"; }
# The system calls of groups and names.
calls() {
    local name
    for name; do
        case $name in
        @*) calls $(systemd-analyze syscall-filter "$name" | tail -n +3 | sed 's/#.*//') ;;
        *) echo "$name" ;;
        esac
    done
}
values SystemCallFilter | grep -v '^~' | xargs -n1 | while read -r name; do calls "$name"; done | sort -u >"$scratch/listed"
values SystemCallFilter | sed -n 's/^~//p' | xargs -n1 | while read -r name; do calls "$name"; done | sort -u >"$scratch/taken"
comm -23 "$scratch/listed" "$scratch/taken" >"$scratch/allowed"

install -d -o nobody "$scratch/data"
cat >"$scratch/lightmeter.toml" <<TOML
[edge]
http = ['127.0.0.1:80']
[admin]
listen = '127.0.0.1:9180'
token = 'the-operators-own-token'
[storage]
data_dir = '$scratch/data'
[log]
level = 'warn'
[[account]]
id = 'acme'
plan = 'free'
[[site]]
id = 'shop'
account = 'acme'
hosts = ['*']
origin = 'http://localhost:8000'
allow_private_origin = true
first_view = 'always'
TOML
python3 -m http.server 8000 --bind 127.0.0.1 --directory demo/pictures >/dev/null 2>&1 &
capability=net_bind_service
setpriv --reuid=nobody --clear-groups --no-new-privs --bounding-set="-all,+$capability" --inh-caps="-all,+$capability" \
    --ambient-caps="-all,+$capability" strace -f -qq -o "$scratch/trace" \
    "$scratch/lightmeter" serve --config "$scratch/lightmeter.toml" &
traced=$!
for _ in $(seq 300); do
    curl -sf http://127.0.0.1:9180/readyz >/dev/null && break
    kill -0 $traced
    sleep 0.2
done
for picture in coffee.jpg raccoon.jpg; do
    for format in avif webp jpeg; do
        curl -sf -o "$scratch/picture" -H "Accept: image/$format,*/*" "http://127.0.0.1/$picture?w=200"
    done
done
for path in plans accounts/acme sites/shop sites/shop/usage; do
    curl -sf -o "$scratch/answer" -H 'Authorization: Bearer the-operators-own-token' "http://127.0.0.1:9180/api/v1/$path"
done
server=$(pgrep -P $traced)
kill -HUP "$server"
sleep 2
kill -TERM "$server"
wait $traced

sed -En 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$scratch/trace" | sort -u >"$scratch/made"
refused=$(comm -23 "$scratch/made" "$scratch/allowed")
# strace's own child starts the program: systemd does that before the filter.
refused=$(grep -vx execve <<<"$refused" || true)
[ -z "$refused" ] || { echo "the unit does not let through: "$refused >&2; exit 1; }
if grep -E '(mmap|mprotect)\(.*PROT_WRITE\|PROT_EXEC' "$scratch/trace" | head -3 | grep .; then
    echo 'MemoryDenyWriteExecute=yes would refuse this' >&2
    exit 1
fi
# The resolver asks the kernel for addresses by AF_NETLINK, and does without where that is refused.
families=$(sed -En 's/.*socket\((AF_[A-Z0-9]+).*/\1/p' "$scratch/trace" | sort -u | grep -vx AF_NETLINK)
for family in $families; do
    values RestrictAddressFamilies | grep -qw "$family" || { echo "the unit does not let through: $family" >&2; exit 1; }
done
echo "$(wc -l <"$scratch/made") system calls, all let through; ports below 1024 with CAP_NET_BIND_SERVICE alone"
