#!/bin/sh
# Everything that checks the engine in Go without a cluster: test.sh [GO]. Called by `make test-go`.
set -eu
cd "$(dirname "$0")"
go=${1:-go}
staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false"

unformatted=$("$("$go" env GOROOT)/bin/gofmt" -l . ../simulator/whatsam_simulator/hook)
if [ -n "$unformatted" ]; then
    echo "not in gofmt's form: $unformatted" >&2
    exit 1
fi
# The engine is built without C, and so it is checked.
echo "go vet"
CGO_ENABLED=0 "$go" vet ./...
echo "staticcheck"
CGO_ENABLED=0 "$go" run "$staticcheck" ./...
compiler=$("$go" env CC)
if command -v "${compiler%% *}" >/dev/null 2>&1; then
    echo "go test -race (C compiler: $compiler)"
    # Twice the time without it, and nothing that it would not find: the tests run once, with the detector.
    CGO_ENABLED=1 "$go" test -race -timeout 10m ./...
else
    echo "go test, without the race detector: it needs a C compiler, and $compiler is not in PATH"
    CGO_ENABLED=0 "$go" test -timeout 10m ./...
fi
