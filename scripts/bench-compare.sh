#!/usr/bin/env bash
# Compares the benchmarks of a base (a branch, tag or commit) with those of the
# working tree, round by round in turn, so that what else the machine does
# slows both alike. Works from the environment:
#   BASE    what to compare with          (HEAD)
#   BENCH   regular expression            (.)
#   PKGS    packages, as go test takes them (./...)
#   COUNT   rounds                        (6)
set -euo pipefail
cd "$(dirname "$0")/.."

base=${BASE:-HEAD} bench=${BENCH:-.} count=${COUNT:-6}
read -ra packages <<<"${PKGS:-./...}"
git rev-parse --verify --quiet "$base^{commit}" >/dev/null || {
  echo "bench-compare: no commit $base here; a shallow clone needs: git fetch origin $base" >&2
  exit 1
}

dir=$(mktemp -d)
cleanup() {
  git worktree remove --force "$dir/base" >/dev/null 2>&1 || true
  rm -rf "$dir"
}
trap cleanup EXIT
git worktree add --quiet --detach "$dir/base" "$base"

# round TREE FILE: one round of a tree's benchmarks. A package that the base
# does not have, or that does not build there, is left out of its figures.
round() {
  (cd "$1" && go test -run '^$' -bench "$bench" -benchmem -count 1 "${packages[@]}") >>"$2" 2>>"$dir/notes" || true
}

for ((i = 1; i <= count; i++)); do
  echo "bench-compare: round $i of $count" >&2
  round "$dir/base" "$dir/base.txt"
  round . "$dir/head.txt"
done
if grep -hE '^(--- )?FAIL' "$dir/base.txt" "$dir/head.txt" | sort -u >&2; then
  tail -n 20 "$dir/notes" >&2
fi
mkdir -p dist
cp "$dir/base.txt" dist/bench-base.txt
cp "$dir/head.txt" dist/bench-head.txt
go tool -modfile=tools/go.mod benchstat "base=dist/bench-base.txt" "head=dist/bench-head.txt"
! grep -qE '^(--- )?FAIL' dist/bench-head.txt
