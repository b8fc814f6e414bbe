#!/usr/bin/env bash
# Checks every configuration here with `khp gateway --check`, with files of the names that they use, made on the spot.
#   Examples/Gateway/check.sh [KHP]
set -euo pipefail
cd "$(dirname "$0")"
khp=${1:-$PWD/../../.build/debug/khp}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=gw.example.com \
    -addext subjectAltName=DNS:gw.example.com -keyout "$scratch/tls/key.pem" -out "$scratch/tls/fullchain.pem" 2>/dev/null
chmod 600 "$scratch/tls/key.pem"
echo welcome | "$khp" hash joe >"$scratch/staff.users" 2>/dev/null
echo 'ops: joe' >"$scratch/staff.groups"
echo 'a-long-secret' >"$scratch/admin.token"

status=0
for file in *.yaml; do
    cp "$file" "$scratch/"
    if said=$(cd "$scratch" && "$khp" gateway --config "$file" --check --strict 2>&1); then
        echo "ok      $file"
    else
        status=1
        printf 'FAILED  %s\n%s\n' "$file" "$said"
    fi
done
exit "$status"
