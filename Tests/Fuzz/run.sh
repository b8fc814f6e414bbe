#!/usr/bin/env bash
# Fuzzes each target for its share of the time; see README.md.
#   Tests/Fuzz/run.sh [SECONDS [TARGET...]]     60 seconds altogether, and all targets, unless told otherwise
#   Tests/Fuzz/run.sh --build                   none: it builds them
#   KHP_FUZZ_SEED=1 KHP_FUZZ_RUNS=5000 Tests/Fuzz/run.sh 690
#                                               the same inputs each time where none are kept from earlier, as CI has it
# KHP_RELEASE_BUILD names a build folder that other packages share: only --build builds there.
set -euo pipefail
cd "$(dirname "$0")/../.."
export SWIFT_BACKTRACE=enable=no

scratch=.build/fuzz
build=${KHP_RELEASE_BUILD:-$scratch}

# Asserts stay, our own and those of SwiftNIO. gold cannot link what libFuzzer instruments.
if [ -z "${KHP_RELEASE_BUILD:-}" ] || [ "${1:-}" = --build ]; then
    swift build --package-path Tests/Fuzz --scratch-path "$build" --disable-build-manifest-caching -c release \
        -Xswiftc -assert-config -Xswiftc Debug -Xswiftc -sanitize=fuzzer,address -Xswiftc -use-ld=lld
fi
[ "${1:-}" != --build ] || exit 0
program=$build/release/khp-fuzz
total=${1:-60}
[ $# -gt 0 ] && shift

if [ $# -gt 0 ]; then targets="$*"; else targets=$("$program" list | tr '\n' ' '); fi
# shellcheck disable=SC2086  (names without spaces)
set -- $targets
share=$((total / $#))
[ "$share" -gt 0 ] || share=1

status=0
for target in "$@"; do
    # Inputs that were found earlier are gone on from; the first ones are made afresh.
    seeds=$scratch/seeds/$target corpus=$scratch/corpus/$target found=$scratch/found/$target log=$scratch/$target.log
    rm -rf "$seeds"
    mkdir -p "$corpus" "$found"
    "$program" seeds "$target" "$seeds"
    result=0 began=$SECONDS
    "$program" "$target" -max_total_time="$share" -max_len=4096 -timeout=30 -rss_limit_mb=1024 -malloc_limit_mb=256 \
        -reload=0 -print_final_stats=1 ${KHP_FUZZ_SEED:+-seed="$KHP_FUZZ_SEED"} ${KHP_FUZZ_RUNS:+-runs="$KHP_FUZZ_RUNS"} \
        -dict=Tests/Fuzz/dictionary.txt -artifact_prefix="$found/" "$corpus" "$seeds" \
        >"$log" 2>&1 || result=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 || true)
    if [ "$result" -eq 0 ]; then
        printf '%-20s %10s inputs in %d s, %s a second, %s\n' "$target" "${runs:-no}" $((SECONDS - began)) \
            "${rate:-none}" "${coverage:-no coverage}"
    else
        status=1
        printf '%-20s FAILED\n' "$target"
        grep -E 'Fatal error|ERROR: |SUMMARY|Test unit written' "$log" || tail -n 20 "$log"
        printf 'again: SWIFT_BACKTRACE=enable=no %s %s FILE\n' "$program" "$target"
    fi
done
exit "$status"
