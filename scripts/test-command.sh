#!/usr/bin/env bash
# Tests the command: those that start it as a process wait most of the time, so they run beside the others.
set -euo pipefail
cd "$(dirname "$0")/.."

package=(--package-path Command --scratch-path .build --disable-build-manifest-caching)
tests=.build/debug/khp-commandPackageTests.xctest
log=.build/test-processes.log

swift build "${package[@]}" --build-tests
# On macOS that is no program but a bundle.
if [ ! -f "$tests" ]; then
    exec swift test --skip-build --no-parallel "${package[@]}"
fi
# Two of SwiftPM at a time would stand in each other's way.
"$tests" --testing-library swift-testing --no-parallel --filter EndToEndTests >"$log" 2>&1 &
processes=$!
status=0
swift test --skip-build --no-parallel "${package[@]}" --skip EndToEndTests || status=$?
wait "$processes" || status=$?
cat "$log"
exit "$status"
