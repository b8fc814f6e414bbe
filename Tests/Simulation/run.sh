#!/usr/bin/env bash
# Runs the simulation in a release build; see README.md.
#   Tests/Simulation/run.sh [--seeds N] [--from N]     20,000 seeds from the first on, on all cores, unless told otherwise
#   Tests/Simulation/run.sh --seed N [--steps 1,4-7]   the story of one run
#   Tests/Simulation/run.sh --build                    nothing: it is built
set -euo pipefail
cd "$(dirname "$0")/../.."
export SWIFT_BACKTRACE=enable=no

# Asserts stay, our own and those of SwiftNIO.
swift build --package-path Tests/Simulation --scratch-path .build/simulation -c release --product khp-simulate \
    -Xswiftc -assert-config -Xswiftc Debug >&2
[ "${1:-}" != --build ] || exit 0
exec .build/simulation/release/khp-simulate "$@"
