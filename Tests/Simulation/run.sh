#!/usr/bin/env bash
# Runs the simulation in a release build; see README.md.
#   Tests/Simulation/run.sh [--seeds N] [--from N] [--within S]     20,000 seeds from the first on, on all cores, unless told otherwise
#   Tests/Simulation/run.sh --seed N [--steps 1,4-7]   the story of one run
#   Tests/Simulation/run.sh --build                    nothing: it is built
#   KHP_SANITIZER=address Tests/Simulation/run.sh …    with AddressSanitizer and its leak check, in a build of its own
set -euo pipefail
cd "$(dirname "$0")/../.."
export SWIFT_BACKTRACE=enable=no

sanitizer=${KHP_SANITIZER:-}
scratch=.build/simulation${sanitizer:+-$sanitizer}
# Asserts stay, our own and those of SwiftNIO.
swift build --package-path Tests/Simulation --scratch-path "$scratch" -c release --product khp-simulate \
    -Xswiftc -assert-config -Xswiftc Debug ${sanitizer:+--sanitize="$sanitizer"} >&2
[ "${1:-}" != --build ] || exit 0
export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS="suppressions=$PWD/scripts/sanitizers/leak.txt print_suppressions=0"
exec "$scratch/release/khp-simulate" "$@"
