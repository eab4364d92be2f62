#!/usr/bin/env bash
# overlay.sh <source tree> <work folder>: the overlay port of a changed tree differs, that of an unchanged tree does not.
# Leaves the port of the tree as it was in <work folder>/port/ccomp.
set -euo pipefail
rm -rf "$2"
mkdir -p "$2/tree"
cd "$1"
cp -r CMakeLists.txt LICENSE cmake include packaging "$2/tree"
cd "$2/tree"
port() { packaging/vcpkg/overlay.sh "$2/$1" >/dev/null; }
port port "$2"
find . -exec touch {} +
port again "$2"
diff -r "$2/port" "$2/again"
echo "// changed" >>include/ccomp/version.hpp
port changed "$2"
if diff -rq "$2/port" "$2/changed" >/dev/null; then
  echo "a changed header does not change the port" && exit 1
fi
