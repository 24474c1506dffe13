#!/usr/bin/env bash
# Fails when a hot leaf executes more instructions, or allocates more, than
# bench/results/guard.txt says. It times nothing, so a busy machine does not
# matter. -update writes the file anew. Needs valgrind, and installs it
# (Debian and Ubuntu, as root).
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
  install="apt-get update && apt-get install -y --no-install-recommends valgrind"
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "guard: valgrind is missing; on Debian or Ubuntu: sudo sh -c '$install'" >&2
    exit 1
  fi
  echo "guard: installing valgrind"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! DEBIAN_FRONTEND=noninteractive sh -c "$install" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    exit 1
  fi
fi
go run ./bench/guard "$@"
