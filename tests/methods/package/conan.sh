#!/usr/bin/env bash
# conan.sh <source tree> <work folder>: `conan create` makes the package in a cache of its own and builds test_package.
set -euo pipefail
source_tree=$1
work=$2

conan=$source_tree/build/venv/bin/conan # made by tests/run
[ -x "$conan" ] || conan=$(command -v conan) || {
  echo "skipped: the Conan package; get Conan with: /usr/bin/python3 -m venv build/venv && build/venv/bin/pip install 'conan>=2,<3'"
  exit 77
}

export CONAN_HOME=$work/home
rm -rf "$work"
mkdir -p "$work"
"$conan" profile detect
"$conan" create "$source_tree" -s compiler.cppstd=20 -s build_type=Release --no-remote \
  -c tools.cmake.cmaketoolchain:generator=Ninja \
  -c tools.cmake.cmake_layout:test_folder="$work/test_package" -c tools.cmake.cmaketoolchain:user_presets=
