#!/usr/bin/env bash
# Measures swift-khp beside NIOWebSocket and plain SwiftNIO on this machine, and prints tables in Markdown.
#   ./run.sh                    all of it
#   ./run.sh micro              the parts in memory, in time
#   ./run.sh load               servers under load, in their processor time for each operation
#   ./run.sh instructions       servers under load, in instructions for each operation (needs valgrind)
#   ./run.sh instruments        our server without an instrument and with one that does nothing, in instructions (needs valgrind)
#   ./run.sh growth [WORD ...]  inputs that a peer controls, in instructions at n and 4n (needs valgrind)
#   ./run.sh memory             what a connection and a very large message take (Linux)
#   ./run.sh scale              18,000 connections and their drain, 100,000 in memory, latencies, a flood over the limits
#   ./run.sh publish            one message to 10,000 sockets, beside uWebSockets where KHP_UWS_PUBLISH names its server
#   ./run.sh http [PART ...]    ordinary HTTP beside a bare NIOHTTP1: loads, slow, uploads; http2 beside a bare NIOHTTP2
#                               (needs wrk and h2load, Debian's packages wrk and nghttp2-client)
#   ./run.sh soak [SECONDS]     10,000 connections that come and go through proxies that break them: half an hour
#   ./run.sh gateway            khp gateway beside HAProxy, websockify and mosquitto's own listener; KHP names a release build
#   ./run.sh plot               draws the newest tables of README.md for the documentation
#   ./run.sh build              what check needs, and nothing more
#   ./run.sh check              fails where a figure that repeats has passed its bound in bounds.txt (needs valgrind);
#                               KHP_BENCH_MARGIN=10 allows ten percent more, for another machine than the bounds' own
#   KHP_RELEASE_BUILD names a build folder that other packages share: only build builds there.
set -euo pipefail
cd "$(dirname "$0")"

build=${KHP_RELEASE_BUILD:-.build}
bin=$build/release
work=.build/run
servers="khp-sync khp-async nio-websocket tcp-echo"
# Name, what bench-load does, operations for the two counted runs.
loads=(
    "echo 125 B|echo --size 125|200 1200"
    "echo 125 B, 32 deep|echo --size 125 --depth 32|640 6400"
    "echo 1 KiB|echo --size 1024|200 1200"
    "echo 64 KiB|echo --size 65536|50 250"
    "opening handshake, accept to close|handshake|100 1300"
    "opening + extended handshake, accept to close|handshake --extended|100 1300"
    "echo 1 KiB, deflate|echo --deflate --size 1024|128 1152"
    "echo 1 KiB, deflate without context|echo --deflate --no-context --size 1024|128 1152"
    "echo 64 KiB, deflate|echo --deflate --size 65536|64 192"
    "echo 64 KiB, deflate without context|echo --deflate --no-context --size 65536|64 192"
)
# Name, what bench-load does, connections that are counted.
states=(
    "TCP, nothing said|connected|1000"
    "half a request|head|1000"
    "opening done, no extended request|extended|1000"
    "open, nothing said|open|1000"
    "open, after an echo of 1 KiB|used --size 1024|1000"
    "open, after an echo of 64 KiB|used --size 65536|1000"
    "open with deflate, nothing said|open --deflate|1000"
    "open with deflate, after 100 KiB each way|used --kib 100 --size 4096 --deflate|500"
    "the same without context|used --kib 100 --size 4096 --deflate --no-context|500"
)
server_pid=

say() { printf '%s\n' "$*" >&2; }

stop_server() {
    [ -n "$server_pid" ] || return 0
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    server_pid=
}
trap stop_server EXIT

# start_server COMMAND...: starts it on a free port, sets server_pid and port.
start_server() {
    : >"$work/server.out"
    "$@" 0 >"$work/server.out" 2>"$work/server.err" &
    server_pid=$!
    port=
    for _ in $(seq 300); do
        port=$(awk '/^listening/ { print $2 }' "$work/server.out")
        [ -z "$port" ] || return 0
        kill -0 "$server_pid" 2>/dev/null || break
        sleep 0.1
    done
    say "run: the server did not start: $*"
    cat "$work/server.err" >&2
    exit 1
}

# run_load SERVER LOAD OPTIONS...: prints "OPERATIONS SECONDS CPU-SECONDS".
run_load() {
    local server=$1 load=$2
    shift 2
    # shellcheck disable=SC2206 # words on purpose
    local words=($load)
    [ "$server" != tcp-echo ] || words+=(--raw)
    "$bin/bench-load" "${words[0]}" "$port" "${words[@]:1}" "$@"
}

# Tells if a server takes part in a load: NIOWebSocket has no permessage-deflate.
takes_part() { [[ $1 != nio-websocket || $2 != *--deflate* ]]; }

# program SERVER LOAD: the server's name for bench-server. Beside compressed messages plain TCP calls zlib.
program() {
    if [[ $1 == tcp-echo && $2 == *--deflate* ]]; then echo tcp-deflate; else echo "$1"; fi
}

# print_tables FILE UNIT: rows from lines "LOAD|SERVER|VALUE", of which the smallest counts.
print_table() {
    awk -F'|' -v unit="$2" '
        function shown(value) {
            if (value == "") return "-"
            if (unit != "instructions") return sprintf(value < 10 ? "%.2f" : "%.1f", value)
            text = sprintf("%d", value)
            while (text ~ /[0-9][0-9][0-9][0-9]($|,)/) text = gensub3(text)
            return text
        }
        function gensub3(text,    head, tail) {
            head = text; tail = ""
            if (match(text, /,/)) { head = substr(text, 1, RSTART - 1); tail = substr(text, RSTART) }
            return substr(head, 1, length(head) - 3) "," substr(head, length(head) - 2) tail
        }
        function ratio(a, b) { return a == "" || b == "" || b == 0 ? "-" : sprintf("%.2f", a / b) }
        !($1 in seen) { seen[$1] = 1; order[++count] = $1 }
        best[$1, $2] == "" || $3 + 0 < best[$1, $2] { best[$1, $2] = $3 + 0 }
        END {
            print "| " unit " per operation | khp, handler | khp, async | NIOWebSocket | plain TCP " \
                "| NIOWebSocket ÷ handler | NIOWebSocket ÷ async | async ÷ handler | handler ÷ plain TCP |"
            print "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
            for (i = 1; i <= count; i++) {
                s = best[order[i], "khp-sync"]; a = best[order[i], "khp-async"]
                n = best[order[i], "nio-websocket"]; t = best[order[i], "tcp-echo"]
                print "| " order[i] " | " shown(s) " | " shown(a) " | " shown(n) " | " shown(t) " | " ratio(n, s) \
                    " | " ratio(n, a) " | " ratio(a, s) " | " ratio(s, t) " |"
            }
        }' "$1"
}

micro() {
    printf '## In memory\n\n'
    "$bin/bench-micro"
    printf '\n'
}

# In rounds over all servers, so that what else the machine does falls on all of them.
under_load() {
    local results=$work/load.txt name load server done seconds cpu
    : >"$results"
    for round in 1 2 3; do
        say "run: under load, round $round of 3"
        for entry in "${loads[@]}"; do
            IFS='|' read -r name load _ <<<"$entry"
            for server in $servers; do
                takes_part "$server" "$load" || continue
                start_server "$bin/bench-server" "$(program "$server" "$load")"
                read -r done seconds cpu < <(run_load "$server" "$load" --connections 8 --seconds 1 --pid "$server_pid")
                stop_server
                # Where the processor time cannot be told, the time of the clock stands in for it.
                awk -v OFS='|' -v name="$name" -v server="$server" -v done="$done" -v seconds="$seconds" -v cpu="$cpu" \
                    'BEGIN { print name, server, (cpu > 0 ? cpu : seconds) / done * 1e6 }' >>"$results"
            done
        done
    done
    printf '## Under load: one event loop, eight connections\n\n'
    print_table "$results" "processor time in µs"
    printf '\n'
}

# count_instructions SERVER LOAD OPERATIONS: of the server's whole life.
count_instructions() {
    start_server valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/bench-server" "$(program "$1" "$2")"
    run_load "$1" "$2" --count "$3" >/dev/null
    # The last connections are closed before the server is.
    sleep 0.3
    stop_server
    awk '/Collected/ { print $NF }' "$work/server.err"
}

instructions() {
    if ! command -v valgrind >/dev/null; then
        say "run: no valgrind here, so no instructions are counted (apt install valgrind)"
        return 0
    fi
    local results=$work/instructions.txt name load counts few many server
    : >"$results"
    # Callgrind reads debug information slowly, and old versions not at all.
    strip -g -o "$work/bench-server" "$bin/bench-server"
    for entry in "${loads[@]}"; do
        IFS='|' read -r name load counts <<<"$entry"
        read -r few many <<<"$counts"
        say "run: counting instructions: $name"
        for server in $servers; do
            takes_part "$server" "$load" || continue
            # The difference of two runs: what starting and stopping cost cancels out.
            local first second
            first=$(count_instructions "$server" "$load" "$few")
            second=$(count_instructions "$server" "$load" "$many")
            echo "$name|$server|$(((second - first) / (many - few)))" >>"$results"
        done
    done
    printf '## Instructions in user space: one event loop, one connection\n\n'
    print_table "$results" "instructions"
    printf '\n'
}

# The cost of being watched: the same server without an instrument, with one, and with one that is told of frames.
instruments() {
    if ! command -v valgrind >/dev/null; then
        say "run: no valgrind here, so no instructions are counted (apt install valgrind)"
        return 0
    fi
    strip -g -o "$work/bench-server" "$bin/bench-server"
    local name load counts few many server first second
    printf '## Instruments: instructions in user space, one event loop, one connection\n\n'
    printf '| instructions per operation | no instrument | one that does nothing | one that is told of frames |\n|---|---:|---:|---:|\n'
    for entry in "${loads[@]}"; do
        IFS='|' read -r name load counts <<<"$entry"
        [[ $load != *--deflate* && $load != *65536* ]] || continue
        read -r few many <<<"$counts"
        printf '| %s |' "$name"
        for server in khp-sync khp-steps khp-frames; do
            first=$(count_instructions "$server" "$load" "$few")
            second=$(count_instructions "$server" "$load" "$many")
            printf ' %d |' $(((second - first) / (many - few)))
        done
        printf '\n'
    done
    printf '\n'
}

# count_growth ROW BYTES: instructions of its work at that size.
count_growth() {
    local times counts=()
    for times in 1 3; do
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/bench-growth" "$1" "$2" "$times" \
            2>"$work/growth.err"
        counts+=("$(awk '/Collected/ { print $NF }' "$work/growth.err")")
    done
    echo $(((counts[1] - counts[0]) / 2))
}

# count_allocations SERVER LOAD OPERATIONS: of the server's whole life.
count_allocations() {
    start_server valgrind --tool=memcheck --leak-check=no --undef-value-errors=no "$work/bench-server" \
        "$(program "$1" "$2")"
    run_load "$1" "$2" --count "$3" >/dev/null
    sleep 0.3
    stop_server
    awk '/total heap usage/ { gsub(",", "", $5); print $5 }' "$work/server.err"
}

# count_memory SERVER STATE: KiB in RAM for a connection in that state.
count_memory() {
    local entry name load count bytes
    for entry in "${states[@]}"; do
        IFS='|' read -r name load count <<<"$entry"
        [ "$name" = "$2" ] || continue
        start_server "$bin/bench-server" "$1"
        # shellcheck disable=SC2086 # words on purpose
        read -r bytes _ < <("$bin/bench-load" idle "$port" $load --connections "$count" --pid "$server_pid" \
            --log "$work/server.out")
        stop_server
        awk -v bytes="$bytes" 'BEGIN { print bytes / 1024 }'
        return
    done
    say "run: bounds.txt: there is no state '$2'"
    return 1
}

# Each row of bounds.txt, counted as the tables are.
check() {
    if ! command -v valgrind >/dev/null; then
        say "run: no valgrind here, so nothing is checked (apt install valgrind)"
        return 0
    fi
    strip -g -o "$work/bench-server" "$bin/bench-server"
    local what name server bound load counts few many first second counted failed=0
    printf '| per operation | server | counted | bound |\n|---|---|---:|---:|\n'
    while IFS='|' read -r what name server bound <&3; do
        [[ -n $what && $what != \#* ]] || continue
        if [ "$what" = memory ]; then
            counted=$(count_memory "$server" "$name") || return 1
        else
            load=
            for entry in "${loads[@]}"; do
                if [ "${entry%%|*}" = "$name" ]; then IFS='|' read -r _ load counts <<<"$entry"; fi
            done
            [ -n "$load" ] || { say "run: bounds.txt: there is no load '$name'"; return 1; }
            read -r few many <<<"$counts"
            first=$("count_$what" "$server" "$load" "$few")
            second=$("count_$what" "$server" "$load" "$many")
            counted=$(awk -v a="$first" -v b="$second" -v n=$((many - few)) 'BEGIN { print (b - a) / n }')
        fi
        awk -v what="$what" -v name="$name" -v server="$server" -v bound="$bound" \
            -v margin="${KHP_BENCH_MARGIN:-0}" -v counted="$counted" 'BEGIN {
            bound *= 1 + margin / 100
            printf "| %s, %s | %s | %.*f | %s |%s\n", what, name, server, (counted < 100 ? 2 : 0), counted, bound, \
                (counted > bound + 0 ? " **over**" : "")
            exit (counted > bound + 0)
        }' || failed=1
    done 3<bounds.txt
    [ "$failed" = 0 ] || say "run: a bound is passed: mend that, or move the bound and say why"
    return "$failed"
}

growth() {
    if ! command -v valgrind >/dev/null; then
        say "run: no valgrind here, so no growth is measured (apt install valgrind)"
        return 0
    fi
    strip -g -o "$work/bench-growth" "$bin/bench-growth"
    local limit most module bound name small large least word last='' failed=0
    printf '# Growth: instructions at a quarter of the limit and at the limit, and the time at the limit\n\n'
    while IFS='|' read -r limit most module bound name; do
        for word in "${@:-}"; do
            [[ $name == *"$word"* ]] || continue 2
        done
        if [ "$module" != "$last" ]; then
            [ -z "$last" ] || printf '\n'
            last=$module
            printf '## What %s reads and shows\n\n' "$module"
            printf '| input | limit in bytes | at a quarter | at the limit | ratio | ms | what bounds the work |\n'
            printf '|---|---:|---:|---:|---:|---:|---|\n'
        fi
        say "run: growth: $name"
        small=$(count_growth "$name" $((limit / 4)))
        large=$(count_growth "$name" "$limit")
        least=$("$bin/bench-growth" "$name" "$limit" time)
        # Below some thousands of instructions there is nothing to compare. Work that does not grow is not that of the
        # input, unless the row says what bounds it.
        awk -v name="$name" -v n="$limit" -v most="$most" -v bound="$bound" -v small="$small" -v large="$large" \
            -v least="$least" 'BEGIN {
            ratio = small > 0 ? large / small : 0
            isOver = ratio > 4.6 && large > 20000 || least > most + 0
            isFlat = bound == "" && ratio < 2
            printf "| %s | %d | %d | %d | %.2f | %.3f%s | %s |\n", name, n, small, large, ratio, least, \
                isOver ? " **over**" : "", isFlat ? "**nothing**" : bound
            exit isOver || isFlat
        }' || failed=1
    done < <("$bin/bench-growth")
    [ "$failed" = 0 ] || say "run: some of it grows faster than its input, or not with it, or takes too long"
    return "$failed"
}

memory() {
    if [ ! -r /proc/self/status ]; then
        say "run: no /proc here, so no memory is measured"
        return 0
    fi
    local name load count server bytes live mode before peak after
    printf '## Memory for a connection, in KiB: in RAM (in blocks that the server holds)\n\n'
    printf '| KiB for a connection | khp, handler | khp, async | NIOWebSocket |\n|---|---:|---:|---:|\n'
    for entry in "${states[@]}"; do
        IFS='|' read -r name load count <<<"$entry"
        say "run: memory: $name"
        printf '| %s |' "$name"
        for server in khp-sync khp-async nio-websocket; do
            if ! takes_part "$server" "$load"; then
                printf ' - |'
                continue
            fi
            start_server "$bin/bench-server" "$server"
            # shellcheck disable=SC2086 # words on purpose
            read -r bytes live < <("$bin/bench-load" idle "$port" $load --connections "$count" --pid "$server_pid" \
                --log "$work/server.out")
            stop_server
            awk -v bytes="$bytes" -v live="$live" 'BEGIN { printf " %.1f (%.1f) |", bytes / 1024, live / 1024 }'
        done
        printf '\n'
    done
    printf '\n## One message of 1 GiB each way, both ends in one process, in MiB\n\n'
    printf '| | before | at the most | after |\n|---|---:|---:|---:|\n'
    for mode in "" --deflate; do
        say "run: memory: 1 GiB ${mode:-plain}"
        # shellcheck disable=SC2086 # none is none
        read -r before peak after < <("$bin/bench-stream" 1024 $mode)
        awk -v name="${mode:+with deflate}" -v before="$before" -v peak="$peak" -v after="$after" 'BEGIN {
            printf "| %s | %.1f | %.1f | %.1f |\n", name == "" ? "plain" : name, before / 1024, peak / 1024, after / 1024
        }'
    done
    printf '\n'
}

scale() {
    local name words row
    say "run: scale: connections that stay"
    printf '## Connections that stay\n\n| connections | KiB each | µs of processor time for an opening | for an echo |\n'
    printf '|---:|---:|---:|---:|\n'
    start_server "$bin/bench-scale" serve
    "$bin/bench-scale" hold "$port" --pid "$server_pid"
    stop_server
    say "run: scale: in memory"
    printf '\n## In memory, both ends in one process\n\n| connections | KiB each | µs of processor time for an opening '
    printf '| for an echo |\n|---:|---:|---:|---:|\n'
    "$bin/bench-scale" pipes
    say "run: scale: latencies"
    printf '\n## Latency of an echo of 125 B in µs, 2,000 messages a second\n\n| server | connections '
    printf '| p50 | p99 | p99.9 | most |\n|---|---:|---:|---:|---:|---:|\n'
    for words in 1 100 5000; do
        # As many rounds as it takes to see the machine's own unrest.
        for _ in 1 2 3; do
            for name in khp-sync nio-websocket; do
                start_server "$bin/bench-server" "$name"
                row=$("$bin/bench-scale" latency "$port" --connections "$words")
                stop_server
                printf '| %s | %s | %s |\n' "$name" "$words" "$row"
            done
        done
    done
    say "run: scale: over the limits"
    printf '\n## 250 good connections at a server for 500, and 2,000 that ask again each second\n\n'
    printf '| | p50 | p99 | p99.9 | most | processor | KiB | |\n|---|---:|---:|---:|---:|---:|---:|---|\n'
    # As many as are good and let in there.
    start_server "$bin/bench-scale" serve --limit 250
    other_port=$port other_pid=$server_pid
    start_server "$bin/bench-scale" serve --limit 500
    "$bin/bench-scale" shed "$port,$other_port" --pid "$server_pid" --connections 250 --flood 2000
    stop_server
    server_pid=$other_pid stop_server
    printf '\n'
}

# In rounds, so that what else the machine does falls on both; the smallest counts.
publish() {
    local name size words server command done seconds cpu results=$work/publish.txt
    : >"$results"
    for _ in 1 2 3; do
        while IFS='|' read -r name size words; do
            for server in khp uws; do
                if [ "$server" = uws ]; then
                    [ -n "${KHP_UWS_PUBLISH:-}" ] || continue
                    start_server "${BASH:-bash}" -c 'exec "$0" ${1:+"$1"}' "$KHP_UWS_PUBLISH" "${words#--}"
                else
                    start_server "$bin/bench-server" "khp-group${words:+-deflate}"
                fi
                say "run: publish: $name, $server"
                # shellcheck disable=SC2086 # none is none
                read -r done seconds cpu < <("$bin/bench-load" publish "$port" --size "$size" $words \
                    --connections "${KHP_PUBLISH_CONNECTIONS:-10000}" --seconds 4 --pid "$server_pid")
                stop_server
                awk -v OFS='|' -v name="$name" -v server="$server" -v done="$done" -v seconds="$seconds" -v cpu="$cpu" \
                    'BEGIN { print name, server, (cpu > 0 ? cpu : seconds) / done * 1e6 }' >>"$results"
            done
        done <<<"125 B|125|
1 KiB|1024|
1 KiB, deflate|1024|--deflate"
    done
    printf '## One message to %s sockets: processor time in µs for each that arrives\n\n' "${KHP_PUBLISH_CONNECTIONS:-10000}"
    printf '| processor time in µs for each message that arrives | khp, group | uWebSockets | khp ÷ uWebSockets |\n'
    printf '|---|---:|---:|---:|\n'
    awk -F'|' '
        !($1 in seen) { seen[$1] = 1; order[++count] = $1 }
        best[$1, $2] == "" || $3 + 0 < best[$1, $2] { best[$1, $2] = $3 + 0 }
        END {
            for (i = 1; i <= count; i++) {
                k = best[order[i], "khp"]; u = best[order[i], "uws"]
                printf "| %s | %.2f | %s | %s |\n", order[i], k, u == "" ? "-" : sprintf("%.2f", u), \
                    u == "" ? "-" : sprintf("%.2f", k / u)
            }
        }' "$results"
    printf '\n'
}

# soak SECONDS: two proxies, as each has two descriptors for a connection.
soak() {
    local ports=() proxies=() number status=0
    start_server "$bin/bench-scale" serve
    for number in 1 2; do
        "$bin/bench-scale" proxy 0 --to "$port" --seed "$number" >"$work/proxy$number.out" &
        proxies+=($!)
    done
    for number in 1 2; do
        until grep -q '^listening' "$work/proxy$number.out"; do sleep 0.1; done
        ports+=("$(awk '/^listening/ { print $2 }' "$work/proxy$number.out")")
    done
    say "run: soak: $1 seconds"
    printf '## %s s of conversations through proxies that break connections\n\n' "$1"
    "$bin/bench-scale" chaos "${ports[0]},${ports[1]}" --pid "$server_pid" \
        --connections "${KHP_SOAK_CONNECTIONS:-10000}" --seconds "$1" || status=$?
    kill "${proxies[@]}"
    # It ends by itself, and fails where a sink has missed something.
    kill "$server_pid"
    wait "$server_pid" || status=1
    server_pid=
    grep -v '^listening' "$work/server.out" || true
    return "$status"
}

# origin: when, of which commit and where the tables of this run were measured.
origin() {
    local processor
    processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
    printf '%s, commit %s, %s, %s, %s' "$(date '+%d %B %Y')" "$(git rev-parse --short HEAD)" \
        "${processor:-$(uname -m)}" "$(uname -sm)" "$(swift --version 2>/dev/null | sed -nE 's/.*(Swift version [0-9.]+).*/\1/p')"
}

# The tables of README.md name theirs in a sentence of its own above them.
plot() { .build/debug/bench-plot ../Documentation/swift-khp.docc/Resources <README.md; }

release=(swift build --scratch-path "$build" --disable-build-manifest-caching -c release)
say "run: building"
if [ -n "${KHP_RELEASE_BUILD:-}" ] && [ "${1:-}" != build ]; then
    :
elif [ "${1:-}" = check ] || [ "${1:-}" = build ] || [ "${1:-}" = publish ] || [ "${1:-}" = http ] || [ "${1:-}" = instruments ]; then
    for product in bench-server bench-load; do "${release[@]}" --product "$product" >&2; done
    [ "${1:-}" != http ] || "${release[@]}" --product bench-http2 >&2
elif [ "${1:-}" = gateway ]; then
    for product in bench-server bench-load; do "${release[@]}" --product "$product" >&2; done
    [ -n "${KHP:-}" ] || make -C .. khp >&2
elif [ "${1:-}" = plot ]; then
    swift build --product bench-plot >&2
elif [ "${1:-}" = growth ]; then
    "${release[@]}" --product bench-growth >&2
else
    "${release[@]}" >&2
fi
mkdir -p "$work"
case ${1:-all} in
    build) ;;
    micro) micro ;;
    load) under_load ;;
    instructions) instructions ;;
    instruments) instruments ;;
    growth)
        # The whole table is kept beside this script.
        if [ $# -gt 1 ]; then growth "${@:2}"; else growth | tee growth.md; fi
        ;;
    memory) memory ;;
    check) check ;;
    scale) scale ;;
    gateway) python3 gateway.py "${2:-all}" ;;
    publish) publish ;;
    http) python3 ordinary_http.py "$bin/bench-server" "${@:2}" ;;
    soak) soak "${2:-1800}" ;;
    plot) plot ;;
    all)
        {
            micro
            under_load
            instructions
            memory
        } | tee "$work/tables.md"
        say "run: the same as pictures:"
        "$bin/bench-plot" "$work/plots" "$(origin)" <"$work/tables.md" >&2
        ;;
    *)
        modes="micro|load|instructions|instruments|growth [WORD ...]|memory|scale|publish|http [PART ...]|soak [SECONDS]|gateway|plot|build|check"
        say "usage: run.sh [$modes]"
        exit 64
        ;;
esac
