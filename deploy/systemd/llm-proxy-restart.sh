#!/bin/sh
# Puts a new process in the place of the running one, for a new binary or new
# settings, without a gap: blue and green share the port of llm-proxy.socket.
# When the new one does not start, the old one stays, and the exit code is 1.
set -eu

old=blue new=green
if systemctl --quiet is-active llm-proxy@green; then
  old=green new=blue
fi
systemctl start "llm-proxy@$new"
# Settings that cannot be used, or a store that cannot be opened, end it by now.
sleep "${SETTLE_SECS:-3}"
if ! systemctl --quiet is-active "llm-proxy@$new"; then
  systemctl stop "llm-proxy@$new"
  echo "llm-proxy@$new did not start, see journalctl -u llm-proxy@$new; llm-proxy@$old serves on" >&2
  exit 1
fi
systemctl stop "llm-proxy@$old" # it drains
echo "llm-proxy@$new serves"
