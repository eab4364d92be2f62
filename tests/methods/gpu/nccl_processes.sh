#!/usr/bin/env bash
# nccl_processes.sh <nccl_process> <ranks>: starts one process a rank, which meet through a file. Exit code 77: skipped.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pids=()
for ((rank = 0; rank < $2; ++rank)); do
  timeout 120 "$1" "$folder/id" "$rank" "$2" &
  pids+=($!)
done
code=0
for pid in "${pids[@]}"; do
  wait "$pid"
  ended=$?
  if [ "$code" -eq 0 ] || [ "$code" -eq 77 ]; then [ "$ended" -eq 0 ] || code=$ended; fi
done
exit "$code"
