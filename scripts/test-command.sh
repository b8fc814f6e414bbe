#!/usr/bin/env bash
# Tests the command: those that start it as a process wait most of the time, so they run beside the others.
set -euo pipefail
cd "$(dirname "$0")/.."

package=(--package-path Command --scratch-path .build --disable-build-manifest-caching)
log=.build/test-processes.log

swift build "${package[@]}" --build-tests
# One of the two would wait for the other's lock on the build folder, which neither changes.
run() { swift test --skip-build --ignore-lock --no-parallel "${package[@]}" "$@"; }

run --filter EndToEndTests >"$log" 2>&1 &
processes=$!
status=0
run --skip EndToEndTests || status=$?
wait "$processes" || status=$?
cat "$log"
exit "$status"
