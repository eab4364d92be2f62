#!/usr/bin/env bash
# Are all C++ files formatted as .clang-format says? Another version of clang-format breaks lines in other places, so
# only the one of cmake/tools.txt judges; --fix rewrites the files.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run --Werror)
if [ "${1-}" = --fix ]; then mode=(-i); fi

wanted=$(sed -n 's/^clang-format==//p' cmake/tools.txt)
formatter=
for candidate in build/venv/bin/clang-format clang-format; do
  if "$candidate" --version 2>/dev/null | grep -qF "version $wanted"; then formatter=$candidate && break; fi
done
if [ -z "$formatter" ]; then
  echo "skipped: the format check; get clang-format with: pip install clang-format==$wanted"
  exit 77
fi
find include tests bench examples packaging \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cuh' -o -name '*.cu' \) -print0 |
  xargs -0 --no-run-if-empty "$formatter" "${mode[@]}"
