#!/usr/bin/env bash
# Sees to what a build needs beside Swift: the headers of OpenSSL, zlib and libcrypt. Quick when all is there.
#   scripts/setup.sh            what building and running need
#   scripts/setup.sh --python   as well a Python environment with the peers of the interop tests, in .build/python
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
give_up() {
    say "setup: $1"
    exit 1
}

# Runs a command as root: directly, or through sudo, which may only ask for a password at a terminal.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ] && [ -t 2 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

may_be_root() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }

# Installs Debian packages, refreshing the package lists first.
apt_install() {
    say "setup: installing $* with apt"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq \
        && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Whether a C header is where a compiler finds it without being told.
has_header() {
    local directory
    for directory in /usr/include "/usr/include/$(uname -m)-linux-gnu" /usr/local/include; do
        [ -e "$directory/$1" ] && return 0
    done
    return 1
}

check_swift() {
    command -v swift >/dev/null || give_up "Swift is not installed (or not on PATH). Get 6.1 or later from https://www.swift.org/install"
    local version major minor
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    major=${version%%.*}
    minor=${version#*.}
    [ -n "$version" ] || give_up "'swift --version' does not work. Get Swift 6.1 or later from https://www.swift.org/install"
    if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 1 ]; }; then
        give_up "Swift $version is too old: 6.1 or later is needed, from https://www.swift.org/install"
    fi
}

libraries_on_linux() {
    local missing=()
    has_header openssl/evp.h || missing+=(libssl-dev)
    has_header zlib.h || missing+=(zlib1g-dev)
    has_header crypt.h || missing+=(libcrypt-dev)
    [ ${#missing[@]} -eq 0 ] && return
    if command -v apt-get >/dev/null && may_be_root; then
        apt_install "${missing[@]}" && return
    fi
    say "setup: the development files of these libraries are missing: ${missing[*]} (Debian's names)."
    say "       Debian, Ubuntu:  apt-get install ${missing[*]}      (as root)"
    say "       Fedora, RHEL:    dnf install openssl-devel zlib-devel libxcrypt-devel"
    say "       Alpine:          apk add openssl-dev zlib-dev libxcrypt-dev"
    give_up "install them, then run this again."
}

libraries_on_macos() {
    local brew openssl
    brew=$(command -v brew || true)
    [ -n "$brew" ] || give_up "OpenSSL 3 is needed and Homebrew is not here. Get it from https://brew.sh, then: brew install openssl@3"
    openssl=$("$brew" --prefix openssl@3 2>/dev/null || true)
    if [ -z "$openssl" ] || [ ! -e "$openssl/include/openssl/evp.h" ]; then
        say "setup: installing openssl@3 with Homebrew"
        "$brew" install openssl@3
    fi
}

# The peers that interop tests talk to; a virtual environment, so that nothing of the system changes.
python_peers() {
    local environment=.build/python wanted=scripts/requirements.txt
    if cmp -s "$wanted" "$environment/requirements.txt"; then
        return
    fi
    command -v python3 >/dev/null || { command -v apt-get >/dev/null && may_be_root && apt_install python3; } \
        || give_up "the interop tests need Python 3.9 or later (python3)."
    mkdir -p .build
    rm -rf "$environment"
    if ! python3 -m venv "$environment" 2>/dev/null; then
        rm -rf "$environment"
        { command -v apt-get >/dev/null && may_be_root && apt_install python3-venv; } \
            || give_up "the interop tests need Python's venv module (Debian: python3-venv)."
        python3 -m venv "$environment"
    fi
    "$environment/bin/python" -m pip install --quiet --requirement "$wanted"
    cp "$wanted" "$environment/requirements.txt"
}

check_swift
case $(uname -s) in
    Linux) libraries_on_linux ;;
    Darwin) libraries_on_macos ;;
    *) say "setup: $(uname -s) is not known here; OpenSSL 3 and zlib with their headers are needed." ;;
esac
case ${1:-} in
    "") ;;
    --python) python_peers ;;
    *) give_up "unknown option: $1 (there is --python)" ;;
esac
