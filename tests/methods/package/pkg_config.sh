#!/usr/bin/env bash
# pkg_config.sh <prefix> <compiler> <main.cpp> <work folder>: a program without CMake, from an installed tree that has moved.
set -euo pipefail
if ! command -v pkg-config >/dev/null; then
  echo "skipped: a consumer that uses pkg-config; get it with: apt-get install pkgconf"
  exit 77
fi
rm -rf "$4"
mkdir -p "$4"
cp -r "$1" "$4/moved"
export PKG_CONFIG_PATH=$4/moved/share/pkgconfig

read -r -a flags <<<"$(pkg-config --cflags ccomp)"
read -r -a libraries <<<"$(pkg-config --libs ccomp)"
[[ " ${flags[*]} " == *" -pthread "* && " ${libraries[*]} " == *" -pthread "* ]]
[[ "$(realpath "$(pkg-config --variable=includedir ccomp)")" == "$4/moved/include" ]]
"$2" -std=c++20 -O0 "${flags[@]}" "$3" -o "$4/consumer" "${libraries[@]}"
[[ "$("$4/consumer")" == "ccomp $(pkg-config --modversion ccomp): "* ]]
