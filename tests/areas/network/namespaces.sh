#!/usr/bin/env bash
# namespaces.sh <ccomp-bench-network> <folder>: bench/network/measure.sh leaves neither a namespace nor a process, whether it is
# interrupted, ended or killed; and its links are limited.
set -euo pipefail
program=$1
folder=$2
cd "$(dirname "$0")/../../.."
# shellcheck source=bench/network/namespaces.sh
. bench/network/namespaces.sh

skip() {
  echo "skipped: network namespaces: $1"
  exit 77
}
[ "$EUID" -eq 0 ] || skip "run the tests as root"
lacking=$(network_lacking)
[ -z "$lacking" ] || skip "$lacking"

fail() {
  echo "$*" >&2
  exit 1
}
measuring=
trap '[ -z "$measuring" ] || kill -KILL "$measuring" 2>/dev/null || true; network_remove_stale' EXIT
mkdir -p "$folder"

# begin: a run that would take a minute; returns once its ranks compute.
begin() {
  bench/network/measure.sh --quick --compressor=natural "--parts=$folder" "$program" >"$folder/log" 2>&1 &
  measuring=$!
  local tries
  for ((tries = 0; tries < 300; ++tries)); do
    if grep -q 'ms$' "$folder/log" 2>/dev/null; then return; fi
    kill -0 "$measuring" 2>/dev/null || fail "the run ended early: $(cat "$folder/log")"
    sleep 0.1
  done
  fail "no rank has answered: $(cat "$folder/log")"
}
expect_nothing_left() {
  local left
  left=$(ip netns list | grep "^ccomp-$measuring-" || true)
  [ -z "$left" ] || fail "after $1 these namespaces are left: $left"
  left=$(pgrep -f "$folder/" || true)
  [ -z "$left" ] || fail "after $1 these processes are left: $left"
}

begin
limits=$(for space in "ccomp-$measuring-0" "ccomp-$measuring-hub"; do ip netns exec "$space" tc qdisc show; done | grep -c 'tbf .*rate 1Gbit')
[ "$limits" -eq 5 ] || fail "$limits links of rank 0 and the hub are limited, not 5"
spaces=$(ip netns list | grep -c "^ccomp-$measuring-")
[ "$spaces" -eq 5 ] || fail "$spaces namespaces, not 5"
kill -TERM "$measuring"
wait "$measuring" && fail "a run that was ended says that it succeeded"
expect_nothing_left "the end by SIGTERM"

begin
kill -KILL "$measuring"
wait "$measuring" 2>/dev/null || true
network_remove_stale
expect_nothing_left "a kill and the next run's start"
