#!/usr/bin/env bash
# Runs every test: vet, then all packages under the race detector (the seeds of
# the fuzz targets included), then the few tests that the detector would
# falsify, such as counts of allocations. Arguments go to go test.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/test-setup.sh
go vet ./...
go test -race -timeout 30m "$@" ./...

mapfile -t files < <(grep -rlE --include='*_test.go' --exclude-dir=node_modules '^//go:build .*!race' .)
if [ "${#files[@]}" -gt 0 ]; then
  names=$(sed -nE 's/^func (Test[A-Za-z0-9_]+)\(.*/\1/p' "${files[@]}" | paste -sd '|')
  mapfile -t packages < <(dirname "${files[@]}" | sort -u)
  echo "without the race detector:"
  go test -timeout 10m -run "^($names)\$" "${packages[@]}"
fi

# The module that reads the image, the chart and the units as their tools do.
# What it needs is heavy, and nothing in it is concurrent: it is compiled without
# the detector.
go -C test/deploy test -timeout 10m "$@" ./...
