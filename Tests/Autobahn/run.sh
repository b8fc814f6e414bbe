#!/usr/bin/env bash
# Autobahn|Testsuite in both roles and over the extended handshake; see suite.py.
#   Tests/Autobahn/run.sh            everything: about an hour and a half on two cores, most of it compression
#   Tests/Autobahn/run.sh --short    groups 1 to 7 and 10 and a few compression cases: about three minutes
set -euo pipefail
cd "$(dirname "$0")/../.."

cases='*'
[ "${1:-}" = --short ] && cases='1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.1.1,9.2.1,9.3.1,9.5.1,9.7.1,10.*,12.1.1,12.1.4,12.2.2,12.3.1,13.1.1,13.2.1,13.3.2,13.5.1,13.7.1'

mode=debug
[ "${1:-}" = --short ] || mode=release
swift build --package-path Tests/Autobahn --scratch-path .build --disable-build-manifest-caching -c "$mode" \
    --product autobahn-peer
python3 Tests/Autobahn/install.py .build/autobahn
for role in server client extended; do
    python3 -u Tests/Autobahn/suite.py "$role" --cases "$cases" --peer ".build/$mode/autobahn-peer"
done
