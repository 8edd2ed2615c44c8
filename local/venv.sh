#!/bin/sh
# Makes .venv with everything in it, or does nothing if it fits pyproject.toml already. Called by every make target.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "make: $*" >&2
    exit 1
}

# What the environment was made from: another list of dependencies, another place, another Python make it stale.
stamp=.venv/.made-from
wanted() {
    { cat pyproject.toml; pwd; "$1" -c 'import sys; print(sys.version, sys.base_prefix)'; } | cksum
}
if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted .venv/bin/python 2>/dev/null)" ]; then
    exit 0
fi

python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    # Run, not only found: a version manager leaves programs in PATH that refuse to work.
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "Python 3.11 or newer is needed, and neither python3 nor python3.11 to python3.14 is one.
Install it with your distribution's package manager (Debian, Ubuntu: apt install python3 python3-venv)."
"$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
    fail "$python has no venv module. Debian and Ubuntu keep it in a package of its own: apt install python3-venv"

echo "Preparing .venv with $("$python" --version)"
rm -f "$stamp"
[ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || rm -rf .venv
"$python" -m venv .venv
everything='.[operator,connector,api,local,dev]'
# uv does in two seconds what takes pip half a minute; where it cannot be had, pip does.
if .venv/bin/python -m pip install --quiet --disable-pip-version-check uv &&
    .venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --editable "$everything"; then
    :
else
    echo "uv did not manage; trying pip"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable "$everything"
fi
wanted .venv/bin/python >"$stamp"
