#!/usr/bin/env bash
# Sees to what a build needs beside Swift: the headers of OpenSSL, zlib and libcrypt. Quick when all is there.
#   scripts/setup.sh            what building and running need
#   scripts/setup.sh --python   as well a Python environment with the peers of the interop tests, in .build/python
#   scripts/setup.sh --trials   as well what the trials of the gateway need: scripts/trial-packages.txt
#   scripts/setup.sh --interop  as well the Debian packages of scripts/interop-packages.txt, which those tests play against
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
        && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=300 \
            --no-install-recommends "$@" >/dev/null
}

# Installs Debian packages and keeps what is in them from being started: daemons of the interop tests are started by the
# tests, on ports of their own. Debian asks policy-rc.d before it starts a service; a machine that has one keeps its own.
install_unstarted() {
    local policy=/usr/sbin/policy-rc.d status=0 ours=no
    if [ ! -e "$policy" ]; then
        ours=yes
        # The removal stands first, so that no interruption leaves the file behind.
        trap "as_root rm -f $policy" EXIT
        as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$1" && chmod 755 "$1"' policy "$policy"
    fi
    apt_install "$@" || status=$?
    if [ "$ours" = yes ]; then
        as_root rm -f "$policy"
        trap - EXIT
    fi
    return "$status"
}

# Tells if a C header is where a compiler finds it without being told.
has_header() {
    local directory
    for directory in /usr/include "/usr/include/$(uname -m)-linux-gnu" /usr/local/include; do
        [ -e "$directory/$1" ] && return 0
    done
    return 1
}

check_swift() {
    command -v swift >/dev/null || give_up "Swift is not installed (or not on PATH). Get 6.2 or later from https://www.swift.org/install"
    local version major minor
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    major=${version%%.*}
    minor=${version#*.}
    [ -n "$version" ] || give_up "'swift --version' does not work. Get Swift 6.2 or later from https://www.swift.org/install"
    if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 2 ]; }; then
        give_up "Swift $version is too old: 6.2 or later is needed, from https://www.swift.org/install"
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
        || give_up "the interop tests need Python 3.10 or later (python3)."
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

# Peers of the gateway's trials alone, beside those of the interop tests.
trial_peers() {
    python_peers
    .build/python/bin/python -m pip install --quiet --requirement scripts/trial-requirements.txt
}

# The Debian packages of a list that are not installed.
missing_of() {
    local package
    sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$1" | while read -r package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# Software of others that interop tests play against. None of it is optional: a peer that is not there is a failure.
interop_packages() {
    local list=$1 missing
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null \
        || give_up "the interop tests need Debian or Ubuntu: their peers are the packages of $list. Elsewhere run the other cases: scripts/setup.sh --python, then Tests/Interop/run.sh --without-foreign"
    missing=$(missing_of "$list" | tr '\n' ' ')
    [ -z "$missing" ] && return
    may_be_root || give_up "the interop tests need these packages: apt-get install --no-install-recommends $missing(as root)"
    # shellcheck disable=SC2086  (the names of packages have no spaces)
    install_unstarted $missing || give_up "apt could not install what the interop tests need: $missing"
    missing=$(missing_of "$list" | tr '\n' ' ')
    [ -z "$missing" ] || give_up "these packages are still missing after apt ran: $missing"
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
    --interop)
        interop_packages scripts/interop-packages.txt
        python_peers
        ;;
    --trials)
        interop_packages scripts/interop-packages.txt
        interop_packages scripts/trial-packages.txt
        trial_peers
        ;;
    *) give_up "unknown option: $1 (there are --python, --interop and --trials)" ;;
esac
