#!/usr/bin/env bash
# Are all C++ files formatted as .clang-format says? Another version of clang-format breaks lines in other places, so
# only version 14 (Debian 12) judges; --fix rewrites the files.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run --Werror)
if [ "${1-}" = --fix ]; then mode=(-i); fi

if ! command -v clang-format-14 >/dev/null; then
  echo "skipped: the format check; get clang-format with: apt-get install clang-format-14"
  exit 77
fi
find include tests bench examples packaging \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cuh' -o -name '*.cu' \) -print0 |
  xargs -0 --no-run-if-empty clang-format-14 "${mode[@]}"
