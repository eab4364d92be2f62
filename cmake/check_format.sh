#!/usr/bin/env bash
# Are all C++ files formatted as .clang-format says? --fix rewrites the files.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=cmake/pinned_tool.sh
. cmake/pinned_tool.sh
mode=(--dry-run --Werror)
if [ "${1-}" = --fix ]; then mode=(-i); fi

pinned_tool clang-format "the format check"
find include tests bench examples packaging \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cuh' -o -name '*.cu' \) -print0 |
  xargs -0 --no-run-if-empty "$tool" "${mode[@]}"
