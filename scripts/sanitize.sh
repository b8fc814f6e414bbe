#!/usr/bin/env bash
# All that runs, under a sanitizer: the tests, the simulation and the interop cases, in a build below .build/sanitize.
#   scripts/sanitize.sh                                 ThreadSanitizer, then AddressSanitizer with leaks
#   scripts/sanitize.sh thread                          one of them
#   scripts/sanitize.sh thread 3 KHPClientTests         three times in a row, some of the tests: races depend on schedules
#   scripts/sanitize.sh address 1 interop               the interop cases alone; `simulation` is the simulation alone
# KHP_SANITIZED_SEEDS is how many seeds the simulation plays, KHP_SANITIZED_CASES the options of the interop cases.
# Reports that are not ours to mend are in scripts/sanitizers, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_BACKTRACE=enable=no
# Everything is five to twenty times slower: so are the tests' deadlines.
export KHP_TEST_PATIENCE=${KHP_TEST_PATIENCE:-10}

suppressions=$PWD/scripts/sanitizers
which=${1:-thread address}
times=${2:-1}
filter=${3:-}

# Tests, and `interop` and `simulation` where they are asked for or nothing is.
parts=tests
case $filter in
    "") parts="tests simulation interop" ;;
    interop | simulation) parts=$filter ;;
esac

in_build() {
    swift "$1" --sanitize="$sanitizer" --scratch-path "$scratch" --disable-build-manifest-caching "${@:2}"
}

# The transcripts compute alone, and use every core; of the others one runs at a time, as in `make test`.
tests() {
    local package result=0
    if [ -n "$filter" ]; then
        for package in . Command Examples; do
            LD_PRELOAD=$preloaded in_build test --package-path "$package" --skip-build --no-parallel --filter "$filter" \
                || result=$?
        done
        return "$result"
    fi
    LD_PRELOAD=$preloaded in_build test --skip-build --no-parallel --skip '^TranscriptTests\.' || result=$?
    LD_PRELOAD=$preloaded in_build test --skip-build --filter '^TranscriptTests\.' || result=$?
    for package in Command Examples; do
        LD_PRELOAD=$preloaded in_build test --package-path "$package" --skip-build --no-parallel || result=$?
    done
    return "$result"
}

simulation() {
    LD_PRELOAD=$preloaded "$scratch/release/khp-simulate" --seeds "${KHP_SANITIZED_SEEDS:-20000}"
}

# The cases give a program few variables of the environment: what stands for it here sets the sanitizer's.
interop() {
    local name folder=$PWD/$scratch/interop
    mkdir -p "$folder"
    cat "$suppressions"/leak.txt "$suppressions"/exit.txt >"$folder/leak.txt"
    for name in khp ExampleStreamingServer; do
        cat >"$folder/$name" <<SH
#!/bin/sh
export TSAN_OPTIONS='$TSAN_OPTIONS' ASAN_OPTIONS='$ASAN_OPTIONS' LSAN_OPTIONS='suppressions=$folder/leak.txt print_suppressions=0'
export SWIFT_BACKTRACE=enable=no LD_PRELOAD='$preloaded'
exec '$PWD/$scratch/debug/$name' "\$@"
SH
        chmod +x "$folder/$name"
    done
    # shellcheck disable=SC2086  (options without spaces)
    PATH="$PWD/.build/python/bin:$PATH" KHP=$folder/khp KHP_EXAMPLES=$folder Tests/Interop/run.sh \
        --sanitized -j 2 $cases
}

build() {
    local package
    for package in . Command Examples; do
        in_build build --package-path "$package" --build-tests || return
    done
    case $parts in
        *simulation*)
            in_build build --package-path Tests/Simulation -c release --product khp-simulate \
                -Xswiftc -assert-config -Xswiftc Debug || return
            ;;
    esac
}

# Elsewhere than on Debian the cases that need none of its packages.
cases=${KHP_SANITIZED_CASES:-}
case $parts in
    *interop*)
        if command -v apt-get >/dev/null; then
            scripts/setup.sh --interop
        else
            scripts/setup.sh --python
            cases="--without-foreign $cases"
        fi
        ;;
esac
status=0
for sanitizer in $which; do
    scratch=.build/sanitize/$sanitizer
    mkdir -p "$scratch"
    echo "== $sanitizer: building"
    build >"$scratch/build.log" 2>&1 || { tail -n 40 "$scratch/build.log"; exit 1; }
    preloaded=
    if [ "$sanitizer" = thread ] && [ "$(uname -s)" = Linux ]; then
        preloaded=$PWD/$scratch/mutex.so
        clang -O1 -shared -fPIC -D_GNU_SOURCE -o "$preloaded" "$suppressions/mutex.c" -ldl
    fi
    # A file for each process that has something to report, so that none is lost in another program's output.
    reports=$PWD/$scratch/reports
    export TSAN_OPTIONS="suppressions=$suppressions/thread.txt halt_on_error=0 exitcode=66 log_path=$reports/report"
    export ASAN_OPTIONS="detect_leaks=1 log_path=$reports/report"
    export LSAN_OPTIONS="suppressions=$suppressions/leak.txt print_suppressions=0"
    for round in $(seq "$times"); do
        for part in $parts; do
            echo "== $sanitizer, round $round of $times: $part"
            log=$scratch/$part-$round.log
            began=$SECONDS
            result=0
            rm -rf "$reports"
            mkdir -p "$reports"
            "$part" >"$log" 2>&1 || result=$?
            grep -E 'Test run with|✘ Test |^simulation: |^FAIL |^[0-9]+ passed' "$log" | sort | uniq -c || true
            # A program that is killed leaves an empty file at most.
            found=$(find "$reports" -type f -size +0 | wc -l)
            echo "-- $part: $found reports, exit status $result, $((SECONDS - began)) s"
            if [ "$result" -ne 0 ] || [ "$found" -ne 0 ]; then
                status=1
                find "$reports" -type f -size +0 -exec grep -hE '^SUMMARY: ' {} + | sort | uniq -c || true
                rm -rf "$reports-$part-$round"
                mv "$reports" "$reports-$part-$round"
                echo "see $log and $reports-$part-$round"
            fi
        done
    done
done
exit "$status"
