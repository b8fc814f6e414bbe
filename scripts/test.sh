#!/usr/bin/env bash
# All tests of the library and of the command. Those that only compute, and those that start the command as a process and
# wait for it, run beside the others: two processors have room for both, and a test that computes in another process keeps
# nobody's event loop waiting.
#   scripts/test.sh              the library's, then the command's
#   scripts/test.sh library      the library's alone; `command` for the command's
set -euo pipefail
cd "$(dirname "$0")/.."

# run_lanes NAME PRODUCT FILTER [OPTION ...]: tests a package; what FILTER names runs beside the rest.
run_lanes() {
    local name=$1 tests=.build/debug/$2.xctest filter=$3 status=0
    local package=("${@:4}") log=.build/test-$1.log
    swift build "${package[@]}" --build-tests || return
    # On macOS that is no program but a bundle.
    if [ ! -f "$tests" ]; then
        swift test --skip-build --no-parallel "${package[@]}"
        return
    fi
    # Two of SwiftPM at a time would stand in each other's way.
    "$tests" --testing-library swift-testing --no-parallel --filter "$filter" >"$log" 2>&1 &
    local beside=$!
    swift test --skip-build --no-parallel "${package[@]}" --skip "$filter" || status=$?
    wait "$beside" || status=$?
    echo "== the $name's tests that ran beside the others"
    cat "$log"
    return "$status"
}

# Tests of the library that open no socket and wait for nothing.
computing='^(TranscriptTests|KHPProtocolTests|KHPJSONTests|StatusTableTests|SimulationTests|LayoutTests|CitationTests)\.'

status=0
if [ "${1:-library}" = library ]; then
    run_lanes library swift-khpPackageTests "$computing" || status=$?
fi
if [ "${1:-command}" = command ]; then
    run_lanes command khp-commandPackageTests EndToEndTests \
        --package-path Command --scratch-path .build --disable-build-manifest-caching || status=$?
fi
exit "$status"
