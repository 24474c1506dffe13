#!/usr/bin/env bash
# Everything that a machine can say about the code without running it. All
# checks run; the exit code is 1 when any of them found something.
set -uo pipefail
cd "$(dirname "$0")/.."
tool=(go tool -modfile=tools/go.mod)
failed=0

notes=$(mktemp)
trap 'rm -f "$notes"' EXIT

# check NAME COMMAND...: COMMAND must succeed and print no findings. What it
# says beside them (a module is being downloaded) shows only when it fails.
check() {
  local name=$1 findings
  shift
  if findings=$("$@" 2>"$notes") && [ -z "$findings" ]; then
    echo "lint: $name: fine"
    return
  fi
  { echo "lint: $name:"; echo "$findings"; cat "$notes"; } >&2
  failed=1
}

check "go vet" go vet ./...
check "staticcheck" "${tool[@]}" staticcheck ./...
check "gofumpt (make format mends it)" "${tool[@]}" gofumpt -l .
check "go vet, test/deploy" go -C test/deploy vet ./...
check "staticcheck, test/deploy" env -C test/deploy go tool -modfile=../../tools/go.mod staticcheck ./...
check "go mod tidy" go mod tidy -diff
check "go mod tidy, tools" go -C tools mod tidy -diff
check "go mod tidy, test/deploy" go -C test/deploy mod tidy -diff
check "go vet, dashboards" go -C deploy/grafana/generate vet .
check "go mod tidy, dashboards" go -C deploy/grafana/generate mod tidy -diff
check "dashboards are as they are generated" go -C deploy/grafana/generate run . -check
for script in scripts/*.sh .ci/run; do
  check "shell syntax of $script" bash -n "$script"
done
exit "$failed"
