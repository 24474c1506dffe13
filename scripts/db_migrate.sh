#!/usr/bin/env bash
# Changes the schema of the PostgreSQL that DB_URL names, by hand. The gateway
# does the same by itself when it starts.
#
# It uses bin/llm-proxy (make build) if it is there, and the sources if not.
set -euo pipefail

usage() {
  cat >&2 <<'USAGE'
usage: DB_URL=postgresql://USER:PASSWORD@HOST:5432/DATABASE scripts/db_migrate.sh COMMAND

  up        apply every migration that is missing
  down      take the newest migration back, and what only it has room for
  version   print the version of the schema
  force N   note that the schema is at version N, without touching it:
            for a database that is marked as interrupted (dirty)
USAGE
  exit 2
}

refuse() {
  echo "db_migrate: $1" >&2
  usage
}

case ${1:-} in
  up | down | version)
    [ "$#" -eq 1 ] || refuse "$1 takes nothing more"
    ;;
  force)
    [ "$#" -eq 2 ] || refuse "force takes one version"
    case $2 in
      '' | *[!0-9]*) refuse "a version is a whole number" ;;
    esac
    ;;
  '') usage ;;
  *) refuse "there is no command $1" ;;
esac
[ -n "${DB_URL:-}" ] || refuse "DB_URL is not set"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -x "$root/bin/llm-proxy" ]; then
  exec "$root/bin/llm-proxy" migrate "$@"
fi
cd "$root"
exec go run ./cmd/llm-proxy migrate "$@"
