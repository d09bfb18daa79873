#!/bin/sh
# What `make check` runs, all of it even when a part fails, so that one run shows everything there is to mend.
#   sh tools/check.sh PYTHON        the interpreter of the development environment
set -u
py=$1
bin=$(dirname "$py")
failed=""

part() {
    name=$1
    shift
    echo "-- $name"
    "$@" || failed="$failed $name"
}

part ruff "$bin/ruff" check .
part format "$bin/ruff" format --check .
part mypy "$bin/mypy" --strict tercel
part pyright "$bin/pyright" --pythonpath "$py" tercel
part imports "$bin/lint-imports"
if [ -d tests/generated ]; then
    part golden "$py" -m pytest -q tests/generated
fi

if [ -n "$failed" ]; then
    echo "check: failed:$failed" >&2
    exit 1
fi
echo "check: all clean"
