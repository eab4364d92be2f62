#!/usr/bin/env bash
# conan.sh <source tree> <work folder> [<recipe of a release> <Eigen's headers or ""> <component>...]: makes the package
# and builds its consumer, in a cache of its own and with the profile that Conan detects. Without a recipe: the package of the
# source tree, as the documentation says. With one: the package of the release, with options.
set -euo pipefail
source_tree=$1 work=$2 recipe=${3-} eigen=${4-}

conan=$source_tree/build/venv/bin/conan # made by tests/run
[ -x "$conan" ] || conan=$(command -v conan) || {
  echo "skipped: the Conan package; get Conan with: /usr/bin/python3 -m venv build/venv && build/venv/bin/pip install 'conan>=2,<3'"
  exit 77
}
export CONAN_HOME=$work/home
rm -rf "$work"
mkdir -p "$work/eigen"
"$conan" profile detect
# Kept out of the source tree, and with a generator that is there.
printf '%s\n' "tools.cmake.cmake_layout:test_folder=$work/test" "tools.cmake.cmaketoolchain:generator=Ninja" >"$CONAN_HOME/global.conf"

if [ -z "$recipe" ]; then
  cd "$source_tree"
  if said=$("$conan" create . --no-remote -s compiler.cppstd=gnu17 2>&1) ||
    [[ $said != *"ccomp needs C++20, and the profile says compiler.cppstd=gnu17: add -s compiler.cppstd=20"* ]]; then
    echo "a standard that is too old is not refused: $said" && exit 1
  fi
  "$conan" create . --no-remote -s compiler.cppstd=20
  # Without optimisation, which takes the compiler a minute.
  "$conan" create . --no-remote -s compiler.cppstd=20 -s build_type=Debug -o "ccomp/*:compiled=True"
  exit
fi

# In place of the package eigen, which a remote has: this machine's headers.
cat >"$work/eigen/conanfile.py" <<EOF
from conan import ConanFile


class Eigen(ConanFile):
    name = "eigen"
    version = "3.4.0"
    package_type = "header-library"

    def package_info(self):
        self.cpp_info.includedirs = ["$eigen"]
EOF
options=()
if [[ " ${*:5} " == *" cuda cublas cusolver nccl "* ]]; then options+=(-o "ccomp/*:with_cuda=True"); fi
if [[ " ${*:5} " == *" mpi "* ]]; then options+=(-o "ccomp/*:with_mpi=True"); fi
if [ -n "$eigen" ]; then
  options+=(-o "ccomp/*:with_eigen=True")
  "$conan" create "$work/eigen" --no-remote
fi
"$conan" create "$recipe" --version "$(sed -nE 's/^  "(.*)":$/\1/p' "$recipe/conandata.yml")" --no-remote -s compiler.cppstd=20 "${options[@]}"
licences=("$CONAN_HOME"/p/b/ccomp*/p/licenses/LICENSE)
diff "$source_tree/LICENSE" "${licences[0]}"
