#!/usr/bin/env bash
# Runs each example from the binaries in .build/debug (or in the directory given) and compares what it prints.
# Every run is bounded; the server takes a free port and is stopped by its process id.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_BACKTRACE=enable=no

binaries=${1:-.build/debug}
scratch=$(mktemp -d)
server=
passed=0
failed=0
ran=()

stop_server() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
        server=
    fi
}
trap 'stop_server; rm -rf "$scratch"' EXIT

# Waits until a command succeeds, at most 20 seconds.
wait_for() {
    local turn
    for ((turn = 0; turn < 400; turn++)); do
        "$@" && return
        sleep 0.05
    done
    return 1
}
has_ended() { ! kill -0 "$1" 2>/dev/null; }

verdict() {
    if [ "$2" = ok ]; then
        passed=$((passed + 1))
        echo "ok      $1"
    else
        failed=$((failed + 1))
        echo "FAILED  $1: $2"
    fi
}

# check NAME [ARGUMENT...] <EXPECTED: standard output with each port written as PORT, and exit status 0.
check() {
    local name=$1 pid status=0
    shift
    ran+=("$name")
    cat >"$scratch/expected"
    "$binaries/Example$name" "$@" >"$scratch/output" 2>"$scratch/errors" </dev/null &
    pid=$!
    if ! wait_for has_ended "$pid"; then
        kill -KILL "$pid"
        wait "$pid" 2>/dev/null || true
        verdict "$name" "still running after 20 s"
        return
    fi
    wait "$pid" || status=$?
    if [ "$status" -ne 0 ]; then
        verdict "$name" "exit status $status"
        cat "$scratch/errors"
    elif ! sed -E 's/127\.0\.0\.1:[0-9]+/127.0.0.1:PORT/g' "$scratch/output" | diff "$scratch/expected" -; then
        verdict "$name" "other output than expected (<)"
    else
        verdict "$name" ok
    fi
}

for echoing in EchoServer StreamingServer; do
    "$binaries/Example$echoing" 0 >"$scratch/server" 2>&1 </dev/null &
    server=$!
    ran+=("$echoing")
    if wait_for grep -qs 'address=.* listening' "$scratch/server"; then
        address=$(sed -nE 's/.*address=([0-9.]+:[0-9]+).*/\1/p' "$scratch/server")
        check EchoClient "ws://$address/echo" <<'END'
echoed: hello
echoed: Grüße
echoed: goodbye
extended handshake: completed with 101
closed
END
        if has_ended "$server"; then verdict "$echoing" "ended by itself"; else verdict "$echoing" ok; fi
    else
        verdict "$echoing" "it does not say where it listens"
        cat "$scratch/server"
    fi
    stop_server
done

check BasicLogin <<'END'
server says: text("Welcome, joe!")
challenges answered: 1
refused: The server refused the credentials.
END

check DigestLogin <<'END'
asked for Digest in desk, in the extended handshake
server says: text("Welcome, joe!")
closed with 1008: the session is over; authenticate again
asked for Digest in desk, in the extended handshake
server says: text("Welcome, joe!")
closed with 1008: the session is over; authenticate again
END

check Redirector <<'END'
302 in the extended handshake: ws://127.0.0.1:PORT/ -> ws://127.0.0.1:PORT/quotes
echoed: text("arrived")
refused: The redirect to ws://127.0.0.1:PORT/quotes is not followed: the redirect policy is never.
END

check CustomExtension <<'END'
agreed in the extended handshake: x-number; from=100
on the wire: 100:hello
echoed: text("hello")
on the wire: 101:again
echoed: text("again")
END

check SignedMessages <<'END'
agreed in the extended handshake: x-signed; algorithm=hmac-sha256
agreed in the extended handshake: permessage-deflate; client_max_window_bits=12
signed: 260 bytes, compressed: true
echoed and verified: buy 100 EUR/USD at 1.0425;
END

for program in Examples/*/main.swift; do
    name=$(basename "$(dirname "$program")")
    case " ${ran[*]} " in
        *" $name "*) ;;
        *) verdict "$name" "not run by Examples/run.sh" ;;
    esac
done

echo "examples: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
