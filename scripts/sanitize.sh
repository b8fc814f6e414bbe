#!/usr/bin/env bash
# All tests under a sanitizer, each in a build of its own below .build/sanitize.
#   scripts/sanitize.sh                                 ThreadSanitizer, then AddressSanitizer with leaks
#   scripts/sanitize.sh thread                          one of them
#   scripts/sanitize.sh thread 3 KHPClientTests         three times in a row, some of the tests: races depend on schedules
# Reports that are not ours to mend are in scripts/sanitizers, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_BACKTRACE=enable=no
# Everything is five to twenty times slower: so are the tests' deadlines.
export KHP_TEST_PATIENCE=${KHP_TEST_PATIENCE:-10}

suppressions=$PWD/scripts/sanitizers
export TSAN_OPTIONS="suppressions=$suppressions/thread.txt halt_on_error=0 exitcode=66 ${TSAN_OPTIONS:-}"
export ASAN_OPTIONS="detect_leaks=1 ${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$suppressions/leak.txt print_suppressions=0 ${LSAN_OPTIONS:-}"

which=${1:-thread address}
times=${2:-1}
filter=${3:-}

status=0
for sanitizer in $which; do
    scratch=.build/sanitize/$sanitizer
    mkdir -p "$scratch"
    echo "== $sanitizer: building"
    for package in . Command Examples; do
        swift build --package-path "$package" --build-tests --sanitize="$sanitizer" --scratch-path "$scratch" \
            --disable-build-manifest-caching >"$scratch/build.log" 2>&1 || { tail -n 40 "$scratch/build.log"; exit 1; }
    done
    preloaded=
    if [ "$sanitizer" = thread ] && [ "$(uname -s)" = Linux ]; then
        preloaded=$PWD/$scratch/mutex.so
        clang -O1 -shared -fPIC -D_GNU_SOURCE -o "$preloaded" "$suppressions/mutex.c" -ldl
    fi
    for round in $(seq "$times"); do
        echo "== $sanitizer: round $round of $times"
        log=$scratch/test-$round.log
        result=0
        : >"$log"
        for package in . Command Examples; do
            LD_PRELOAD=$preloaded swift test --package-path "$package" --skip-build --no-parallel \
                --sanitize="$sanitizer" --scratch-path "$scratch" --disable-build-manifest-caching \
                ${filter:+--filter "$filter"} >>"$log" 2>&1 || result=$?
        done
        reports=$(grep -cE 'WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer' "$log" || true)
        grep -E 'Test run with|^SUMMARY: |✘ Test ' "$log" | sort | uniq -c || true
        if [ "$result" -ne 0 ] || [ "$reports" -ne 0 ]; then
            status=1
            echo "$sanitizer: $reports reports, exit status $result; see $log"
        fi
    done
done
exit "$status"
