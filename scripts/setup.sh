# Sourced by scripts/test, scripts/demo and scripts/bench: what a fresh Debian or Ubuntu machine needs.

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

step() { # step NAME COMMAND…: run and time one check
    local name=$1 start=$SECONDS
    shift
    say "== $name"
    "$@"
    say "   $name: done in $((SECONDS - start)) s"
}

setup_apt() { # setup_apt PACKAGE…: install what is missing; without root say so and go on
    local missing=() package
    for package in "$@"; do
        # Ubuntu 24.04 names some libraries anew (…t64) and they provide the old name.
        grep -qx installed <(dpkg-query -W -f '${db:Status-Status}\n' "$package" "${package}t64" 2>/dev/null) ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "not installed (run as root, or: apt-get install ${missing[*]}); what needs them is skipped"
        return 0
    fi
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

find_python() { # the newest Python this project is tested on, or $PYTHON
    local candidate
    for candidate in ${PYTHON:-} python3.12 python3.11 python3.10 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "needs Python 3.10 or newer with venv: apt-get install python3 python3-venv"
    return 1
}

setup_venv() { # setup_venv FOLDER [dev]: a virtual environment with the pinned dependencies and this project
    local folder=$1 lock=requirements${2:+-$2}.lock stamp mark python
    stamp=$(cat "$lock" setup.cfg pyproject.toml | sha256sum | cut -d' ' -f1)
    mark=$folder/.installed-$lock
    if [ "$(cat "$mark" 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    if [ ! -x "$folder/bin/python" ]; then
        find_python >/dev/null 2>&1 || setup_apt python3-venv python3-pip
        python=$(find_python)
        say "making $folder with $("$python" --version)"
        "$python" -m venv "$folder"
    fi
    say "installing the pinned dependencies ($lock)"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$lock"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
    echo "$stamp" >"$mark"
}

setup_mosquitto() { # setup_mosquitto VENV: the demo's broker, without root as well
    local folder work
    command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || [ -x "$1/mosquitto/usr/sbin/mosquitto" ] ||
        setup_apt mosquitto
    if command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || [ -x "$1/mosquitto/usr/sbin/mosquitto" ]; then
        return 0
    fi
    if ! command -v apt-get >/dev/null; then
        say "no mosquitto here: install it, then run this again"
        return 1
    fi
    # Without root: unpack its package and libraries beside the virtual environment (1.5 MB).
    folder=$(cd "$1" && pwd)/mosquitto
    work=$(mktemp -d)
    say "unpacking mosquitto into $folder"
    (cd "$work" && apt-get download -qq mosquitto libmosquitto1 libdlt2 libwebsockets17 2>/dev/null ||
        cd "$work" && apt-get download -qq mosquitto libmosquitto1 $(apt-cache depends mosquitto |
            sed -n 's/.*Depends: \(libdlt[^ ]*\|libwebsockets[^ ]*\|libev-libevent[^ ]*\|libcjson[^ ]*\)$/\1/p'))
    for package in "$work"/*.deb; do dpkg -x "$package" "$folder"; done
    rm -r "$work"
}

python_of() { # python_of VERSION: an interpreter of that version, from PATH or pyenv; fails where there is none
    local candidate
    for candidate in "python$1" "$(pyenv root 2>/dev/null)/versions/$1".*/bin/python; do
        if "$candidate" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "no Python $1 here: its unit tests are left out"
    return 1
}
