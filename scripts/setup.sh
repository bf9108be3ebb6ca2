# Sourced by the scripts beside it, in the repository's folder: what a fresh Debian or Ubuntu machine needs.
# Whatever is there already is left alone, so everything here may be called any number of times.

# The caller's other Pythons (a ROS workspace, say) would be seen inside ours.
unset PYTHONPATH PYTHONHOME
# The tests start hundreds of processes: each would compile the whole project anew.
unset PYTHONDONTWRITEBYTECODE
# ONNX Runtime reports its use to its maker, from version 1.29 on, unless it is told not to.
export ORT_DISABLE_TELEMETRY=1
# uv trusts whom this machine trusts, as pip is told to where there is a certificate authority of one's own.
export UV_SYSTEM_CERTS=1

say() { # on standard error, bold where that is a terminal
    if [ -t 2 ]; then printf '\033[1m%s\033[0m\n' "$*" >&2; else printf '%s\n' "$*" >&2; fi
}

step() { # step NAME COMMAND…: run and time one check
    local name=$1 start=$SECONDS
    shift
    say "== $name"
    "$@"
    say "   $name: done in $((SECONDS - start)) s"
}

quietly() { # quietly COMMAND…: what it says is shown only when it fails
    local said
    said=$("$@" 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
}

is_debian() { # Ubuntu's chromium is a snap, which needs more than a package
    grep -qx 'ID=debian' /etc/os-release 2>/dev/null
}

idly() { # idly COMMAND…: with the time that nothing else wants
    if chrt --idle 0 true 2>/dev/null; then chrt --idle 0 "$@"; else nice -n 19 "$@"; fi
}

missing_packages() { # missing_packages PACKAGE…: those of them that are not installed
    local package
    for package in "$@"; do
        # Ubuntu 24.04 and Debian 13 name some libraries anew (…t64), and these provide the old name.
        grep -qx installed <(dpkg-query -W -f '${db:Status-Status}\n' "$package" "${package}t64" 2>/dev/null) ||
            echo "$package"
    done
}

setup_apt() { # setup_apt PACKAGE…: install what is missing; without root say so and go on
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "going on without what only root can install: apt-get install ${missing[*]}"
        return 0
    fi
    say "installing ${missing[*]}"
    if [ -z "${lists_are_fresh:-}" ]; then
        # One broken source among many must not end it here.
        quietly apt-get -q update || say "going on with the package lists that are here"
        lists_are_fresh=yes
    fi
    if ! apt_install "${missing[@]}"; then
        say "apt-get could not install ${missing[*]}: its words stand above; mend that, then run this again"
        return 1
    fi
}

apt_install() { # apt_install PACKAGE…: waits for another apt, which is at work on a machine that has just started
    DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

find_python() { # the newest Python this project is tested on, or $PYTHON
    local candidate candidates=(python3.12 python3.11 python3.10 python3)
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        say "PYTHON=$PYTHON is no Python 3.10 or newer with venv: name another, or none"
    else
        say "needs Python 3.10 or newer with venv: as root, apt-get install python3-venv"
    fi
    return 1
}

python_of() { # python_of VERSION: an interpreter of that version, from PATH or pyenv; fails where there is none
    local candidate
    for candidate in "python$1" "$(pyenv root 2>/dev/null)/versions/$1".*/bin/python; do
        if "$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    say "no Python $1 here: its unit tests are left out"
    return 1
}

is_installed() { # is_installed FOLDER LOCK: the environment works and holds what the files of this checkout ask for
    [ "$(cat "$1/.installed-$2" 2>/dev/null)" = "$(mark_of "$2")" ] && is_usable "$1"
}

mark_of() { # mark_of LOCK: changes with all that decides what is installed
    cat "$1" setup.cfg pyproject.toml | sha256sum | cut -d' ' -f1
}

is_usable() { # is_usable FOLDER: made to its end, in this place, by the Python that is asked for
    local version='import sys; print(*sys.version_info[:2])' made asked
    # Programs in it, and the project itself, are found by their full path.
    grep -qF "$(pwd -P)/$1" "$1/bin/activate" 2>/dev/null &&
        [ -x "$1/bin/pip" ] && made=$("$1/bin/python" -c "$version" 2>/dev/null) || return 1
    [ -z "${PYTHON:-}" ] || { asked=$("$PYTHON" -c "$version" 2>/dev/null) && [ "$made" = "$asked" ]; }
}

setup_venv() { # setup_venv FOLDER [dev]: a virtual environment with the pinned dependencies and this project
    local folder=$1 lock=requirements${2:+-$2}.lock python
    ! is_installed "$folder" "$lock" || return 0
    if [ -e "$folder" ] && [ ! -w "$folder" ]; then
        say "$folder belongs to $(stat -c %U "$folder"): remove it as that user, then run this again"
        return 1
    fi
    if ! is_usable "$folder"; then
        find_python >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ] || setup_apt python3-venv
        python=$(find_python)
        say "making $folder with $("$python" --version)"
        # A link to the environment of another checkout: emptying it would be felt there.
        [ ! -L "$folder" ] || rm "$folder"
        rm -f "$folder"/.installed-*
        quietly "$python" -m venv --clear "$folder"
    fi
    say "installing the pinned dependencies ($lock) into $folder; this may take some minutes"
    install_into "$folder" -r "$lock"
    install_into "$folder" --no-deps -e .
    mark_of "$lock" >"$folder/.installed-$lock"
    # What checks holds what runs.
    mark_of requirements.lock >"$folder/.installed-requirements.lock"
}

install_into() { # install_into FOLDER ARGUMENT…: with pip; with uv, in a tenth of the time, once there is a .venv that has it
    local folder=$1 pip
    shift
    [ "$folder" = .venv ] || ! uv_install "$folder/bin/python" "$@" || return 0
    pip=("$folder/bin/python" -m pip --disable-pip-version-check install --quiet)
    # pip would warn about it each time.
    may_cache pip || pip+=(--no-cache-dir)
    "${pip[@]}" "$@"
}

uv_install() { # uv_install PYTHON ARGUMENT…: fails where there is no uv, or it cannot do what pip's settings here make possible
    local uv=(.venv/bin/uv pip install --quiet)
    [ -x "${uv[0]}" ] || return 1
    may_cache uv || uv+=(--no-cache)
    "${uv[@]}" --python "$@" 2>/dev/null
}

may_cache() { # may_cache PROGRAM: whether it can write what it has downloaded into its cache
    local cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/$1
    mkdir -p "$cache" 2>/dev/null && [ -O "$cache" ]
}

setup_clients() { # setup_clients: .venv-clients, with NVIDIA's client of the protocol, which pins other packages than ours
    local lock=tests/appliance/oip/clients.lock mark
    mark=$(sha256sum <"$lock")
    [ "$(cat .venv-clients/.installed 2>/dev/null)" != "$mark" ] || return 0
    say "making .venv-clients for the tests against tritonclient"
    quietly "$(find_python)" -m venv --clear .venv-clients
    quietly .venv-clients/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r "$lock"
    echo "$mark" >.venv-clients/.installed
}

setup_house() { # setup_house: .venv-house, with Home Assistant, which wants a Python and packages of its own
    local lock=tests/appliance/home_assistant/house.lock mark python
    mark=$(sha256sum <"$lock")
    [ "$(cat .venv-house/.installed 2>/dev/null)" != "$mark" ] || return 0
    if ! python=$(python_of 3.13 2>/dev/null); then
        say "no Python 3.13 here: the tests against Home Assistant are left out"
        return 0
    fi
    say "making .venv-house for the tests against Home Assistant"
    quietly .venv/bin/uv venv --quiet --clear --python "$python" .venv-house
    quietly .venv/bin/uv pip install --quiet --python .venv-house/bin/python --require-hashes -r "$lock"
    echo "$mark" >.venv-house/.installed
}

setup_node() { # setup_node: .node, with what tests run from npm; left out where npm is not installed
    local mark
    mark=$(sha256sum <tests/node/package-lock.json)
    [ "$(cat .node/.installed 2>/dev/null)" != "$mark" ] || return 0
    if ! node -e 'process.exit(Number(parseInt(process.versions.node) < 18))' 2>/dev/null || ! command -v npm >/dev/null; then
        say "no node 18 and npm here: the tests against AsyncAPI's parser, Node-RED and axe-core are left out"
        return 0
    fi
    say "making .node for the tests against AsyncAPI's parser, Node-RED and axe-core"
    mkdir -p .node
    cp tests/node/package.json tests/node/package-lock.json .node/
    quietly npm ci --prefix .node --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$mark" >.node/.installed
}

find_mosquitto() { # find_mosquitto [VENV]: the program, installed or unpacked beside the virtual environment
    PATH=$PATH:/usr/local/sbin:/usr/sbin command -v mosquitto || ls "${1:-.venv}/mosquitto/usr/sbin/mosquitto" 2>/dev/null
}

setup_mosquitto() { # setup_mosquitto VENV: the demo's broker, without root as well
    ! find_mosquitto "$1" >/dev/null || return 0
    if [ "$(id -u)" -eq 0 ]; then
        setup_apt mosquitto
    elif command -v apt-get >/dev/null; then
        say "unpacking mosquitto into $1/mosquitto"
        unpack mosquitto "$1/mosquitto"
    else
        say "there is no mosquitto here: install it, then run this again"
        return 1
    fi
}

unpack() { # unpack PACKAGE FOLDER: it and those of its libraries that this machine lacks, without root (1 MB here)
    local work said
    work=$(mktemp -d)
    # The machine's package lists may be absent or old, so with lists of our own if it does not work with them.
    if fetch "$1" "$work" >/dev/null 2>&1 || said=$(fetch "$1" "$work" fresh 2>&1); then
        rm -rf "$2" "$2.part"
        for package in "$work"/*.deb; do dpkg -x "$package" "$2.part"; done
        mv "$2.part" "$2"
        rm -r "$work"
    else
        rm -r "$work"
        say "$said"
        say "$1 could not be fetched: mend that, or as root: apt-get install $1"
        return 1
    fi
}

fetch() ( # fetch PACKAGE FOLDER [fresh]: the package files that installing it here would need, into the folder
    set -o pipefail
    cd "$2" || exit
    options=(-q)
    if [ "${3:-}" = fresh ]; then
        options+=(-o "Dir::State::lists=$2/lists" -o "Dir::Cache=$2/cache")
        mkdir -p lists/partial cache/archives/partial
        apt-get "${options[@]}" update || exit
    fi
    names=$(apt-get "${options[@]}" --simulate --no-install-recommends install "$1" |
        sed -n 's/^Inst \([^ ]*\).*/\1/p') || exit
    # The names are words of their own.
    # shellcheck disable=SC2086
    apt-get "${options[@]}" download $names
)
