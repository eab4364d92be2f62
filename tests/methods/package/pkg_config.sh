#!/usr/bin/env bash
# pkg_config.sh <prefix> <compiler> <main.cpp> <work folder>: programs without CMake, from an installed tree that has moved.
set -euo pipefail
if ! command -v pkg-config >/dev/null; then
  echo "skipped: a consumer that uses pkg-config; get it with: apt-get install pkgconf"
  exit 77
fi
rm -rf "$4"
mkdir -p "$4"
cp -r "$1" "$4/moved"
PKG_CONFIG_PATH=$(find "$4/moved" -type d -name pkgconfig)
export PKG_CONFIG_PATH

# consumer <name in pkg-config> <flags>...
consumer() {
  local flags libraries
  read -r -a flags <<<"$(pkg-config --cflags "$1")"
  read -r -a libraries <<<"$(pkg-config --libs "$1")"
  [[ " ${flags[*]} " == *" -pthread "* && " ${libraries[*]} " == *" -pthread "* ]]
  "$compiler" -std=c++20 -O0 "${@:2}" "${flags[@]}" "$main" -o "$work/consumer" "${libraries[@]}" || return
  [[ "$("$work/consumer")" == "ccomp $(pkg-config --modversion "$1"): "* ]]
}
compiler=$2 main=$3 work=$4
[[ "$(realpath "$(pkg-config --variable=includedir ccomp)")" == "$work/moved/include" ]]
consumer ccomp
if ! pkg-config --exists ccomp-compiled; then exit; fi # ccomp was configured without it
consumer ccomp-compiled -DCONSUMER_HAS_compiled
if [[ $(uname -m) != x86_64 ]]; then exit; fi
if said=$(consumer ccomp-compiled -DCONSUMER_HAS_compiled -mavx2 2>&1) ||
  [[ $said != *"ccomp: this file is compiled as v0_"*"_avx2_"*", but ccomp::compiled as v0_"*"; give both the same flags"* ]]; then
  echo "ccomp::compiled does not refuse a file with other flags: $said" && exit 1
fi
