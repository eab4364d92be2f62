#!/usr/bin/env bash
# oldest_cmake.sh <source tree> <work folder> <compiler> <main.cpp> <repository> <tag> <component>...: the oldest CMake that may
# consume ccomp installs it, builds a consumer with these components, and configures consumers of the other kinds.
set -euo pipefail
source_tree=$1 work=$2 compiler=$3 main=$4 repository=$5 tag=$6
here=$(realpath "$(dirname "$0")")
cmake=
for candidate in "$source_tree/build/venv/bin/cmake" cmake; do # the first is made by tests/run
  if "$candidate" --version 2>/dev/null | grep -q '^cmake version 3\.22\.'; then cmake=$candidate && break; fi
done
if [ -z "$cmake" ]; then
  echo "skipped: consumers with CMake 3.22; get it with: /usr/bin/python3 -m venv build/venv && build/venv/bin/pip install 'cmake==3.22.*'"
  exit 77
fi
rm -rf "$work"
components=$(IFS=';' && echo "${*:7}")

# configure <name> <folder> <option>...
configure() {
  "$cmake" -G Ninja -S "$2" -B "$work/$1" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug "${@:3}"
}
configure library "$source_tree" -DCCOMP_BUILD_TESTS=OFF -DCCOMP_BUILD_BENCH=OFF -DCCOMP_BUILD_EXAMPLES=OFF
"$cmake" --install "$work/library" --prefix "$work/prefix" >/dev/null
consumer=(-DCONSUMER_MAIN="$main" -DCONSUMER_COMPONENTS="$components")
configure find_package "$here/find_package" "${consumer[@]}" -DCMAKE_PREFIX_PATH="$work/prefix"
"$cmake" --build "$work/find_package"
"$work/find_package/consumer"
if said=$(configure compiled "$here/find_package" -DCONSUMER_MAIN="$main" -DCONSUMER_COMPONENTS=compiled -DCMAKE_PREFIX_PATH="$work/prefix" 2>&1 |
  tr -s ' \n' ' ') || [[ $said != *"was made without ccomp::compiled (CCOMP_BUILD_COMPILED)"* ]]; then
  echo "a package of headers does not refuse the component compiled: $said" && exit 1
fi
configure add_subdirectory "$here/add_subdirectory" "${consumer[@]}" -DCCOMP_SOURCE="$source_tree"
configure fetch_content "$here/fetch_content" "${consumer[@]}" -DCCOMP_REPOSITORY="$repository" -DCCOMP_TAG="$tag"

# ccomp's own programs need more, and say so.
if said=$(configure own "$source_tree" 2>&1 | tr -s ' \n' ' ') ||
  [[ $said != *"need CMake 3.25 or later, and this is 3.22."* ]]; then
  echo "a CMake that is too old for ccomp's own programs is not refused: $said" && exit 1
fi
