#!/usr/bin/env bash
# The parts of KHPProtocol that the fuzzer's inputs reach: replays seeds and corpus in a build that counts.
#   Tests/Fuzz/coverage.sh                a row for each folder, then the files with the most that is not reached
#   Tests/Fuzz/coverage.sh FILE           a file of Sources/KHPProtocol, line by line
set -euo pipefail
cd "$(dirname "$0")/../.."
export SWIFT_BACKTRACE=enable=no

fuzzed=.build/fuzz
scratch=.build/fuzz-coverage
# No optimiser: it removes regions that were in the source. The linker leaves out libFuzzer's own main only where it
# leaves out what nobody needs; the counters stay.
swift build --package-path Tests/Fuzz --scratch-path "$scratch" -c debug -Xswiftc -sanitize=fuzzer \
    -Xswiftc -profile-generate -Xswiftc -profile-coverage-mapping -Xswiftc -use-ld=lld \
    -Xlinker --gc-sections -Xlinker -znostart-stop-gc >&2
program=$scratch/debug/khp-fuzz

# The toolchain's own: the format of profiles changes with it.
tools=$(dirname "$(readlink -f "$(command -v swift)")")
profiles=$scratch/profiles
rm -rf "$profiles"
mkdir -p "$profiles"
# Of runs that replay nothing.
export LLVM_PROFILE_FILE=$profiles/others.raw
for target in $("$program" list); do
    seeds=$scratch/seeds/$target
    rm -rf "$seeds"
    "$program" seeds "$target" "$seeds"
    inputs=("$seeds")
    [ ! -d "$fuzzed/corpus/$target" ] || inputs+=("$fuzzed/corpus/$target")
    # -runs=0 runs what is there, and makes nothing new.
    LLVM_PROFILE_FILE=$profiles/$target.profraw "$program" "$target" -runs=0 "${inputs[@]}" >"$profiles/$target.log" 2>&1 ||
        { tail -n 5 "$profiles/$target.log" >&2; exit 1; }
    printf 'replayed %-20s %s\n' "$target" "$(grep -oE 'INITED.*cov: [0-9]+' "$profiles/$target.log" | grep -oE 'cov: [0-9]+' || true)" >&2
done
"$tools/llvm-profdata" merge -sparse "$profiles"/*.profraw -o "$profiles/all.profdata"

if [ $# -gt 0 ]; then
    "$tools/llvm-cov" show "$program" -instr-profile="$profiles/all.profdata" "$1"
    exit
fi
"$tools/llvm-cov" report "$program" -instr-profile="$profiles/all.profdata" Sources/KHPProtocol >"$profiles/report.txt"
awk '
    /\.swift / {
        # The name, regions, missed regions; names are relative to the common folder.
        folder = $1
        sub(/^.*KHPProtocol\//, "", folder)
        file = folder
        sub(/\/.*$/, "", folder)
        regions[folder] += $2; missed[folder] += $3; allRegions += $2; allMissed += $3
        lines[++count] = sprintf("%5d of %5d  %s", $3, $2, file)
    }
    END {
        printf "| folder | regions | reached |\n|---|---:|---:|\n"
        for (folder in regions)
            printf "| %s | %d | %.1f %% |\n", folder, regions[folder], 100 * (1 - missed[folder] / regions[folder]) | "sort"
        close("sort")
        printf "| all | %d | %.1f %% |\n\nregions not reached, by file:\n", allRegions, 100 * (1 - allMissed / allRegions)
        for (i = 1; i <= count; i++) print lines[i] | "sort -rn | head -40"
    }' "$profiles/report.txt"
