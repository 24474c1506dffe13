#!/usr/bin/env bash
# Finds the programs that the tests drive, and installs those that are missing
# (Debian and Ubuntu, as root). Elsewhere it prints the line that installs them.
# When nothing is missing it does nothing and says so.
set -euo pipefail

missing=()

# need NAME PACKAGES COMMAND...: COMMAND tells whether NAME is there.
need() {
  local name=$1 packages=$2
  shift 2
  if "$@" >/dev/null 2>&1; then
    echo "test-setup: $name is here"
  else
    echo "test-setup: $name is missing"
    missing+=($packages)
  fi
}

has() { command -v "$1"; }
has_initdb() { command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
has_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
has_examples() { command -v python3 && command -v curl && command -v openssl; }
has_compiler() { command -v "$(go env CC)"; }

if ! has node >/dev/null || ! has npm >/dev/null || [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
  echo "test-setup: the SDK tests need Node 20 or newer with npm; install it from your distribution or https://nodejs.org" >&2
  exit 1
fi

need "a C compiler (race detector)" "gcc libc6-dev" has_compiler
need "PostgreSQL" "postgresql" has_initdb
need "sqlite3 (backups)" "sqlite3" has sqlite3
need "promtool" "prometheus" has promtool
need "Chromium" "chromium fonts-dejavu-core" has_chromium
need "systemd-analyze" "systemd" has systemd-analyze
need "python3, curl and openssl (examples of the READMEs)" "python3 curl openssl" has_examples
need "root certificates" "ca-certificates" test -s /etc/ssl/certs/ca-certificates.crt
[ "${#missing[@]}" -eq 0 ] && exit 0

install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ] || ! has apt-get >/dev/null; then
  echo "test-setup: install what is missing and try again, on Debian or Ubuntu by:" >&2
  echo "  sudo sh -c '$install'" >&2
  exit 1
fi

# The tests start their own servers: those that come with the packages stay off.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi

log=$(mktemp)
echo "test-setup: installing ${missing[*]}"
if ! DEBIAN_FRONTEND=noninteractive sh -c "$install" >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "test-setup: this failed: $install" >&2
  exit 1
fi
rm -f "$log"
