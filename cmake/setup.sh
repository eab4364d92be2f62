# Sourced by tests/run, bench/run and .ci/run, from the top of the source tree.
# shellcheck shell=bash

# Threads that wait must not take the cores that others compute on: several programs, or several ranks, run at a time.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"

# Where ccache is used, clones of this tree in other folders find each other's results.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$PWD}" CCACHE_NOHASHDIR="${CCACHE_NOHASHDIR:-1}"

# setup_packages <package>...: on Debian and its kin, has these packages installed. Root installs what is missing;
# anybody else is told the one command that does, and the script ends with 2.
setup_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "set-up: not a Debian machine; these Debian packages, or what equals them, must be there: $*"
    return
  fi
  local package missing=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "set-up: some packages are missing; this command installs them:" >&2
    local as_root="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if command -v sudo >/dev/null; then echo "  sudo sh -c '$as_root'" >&2; else echo "  su -c '$as_root'" >&2; fi
    exit 2
  fi
  echo "set-up: installing ${missing[*]}"
  apt-get update -qq || echo "set-up: apt-get update failed; trying with the lists that are here"
  if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
    echo "set-up: apt-get could not install ${missing[*]}" >&2
    exit 2
  fi
}

# How many compilers or tests run at a time.
setup_jobs() { echo "${CCOMP_JOBS:-$(nproc)}"; }

# printable <text>: a terminal obeys control characters; each becomes a '?'.
printable() { printf '%s' "$*" | LC_ALL=C tr '\001-\037\177' '?'; }

# One sentence, exit code 2: for options that the script does not know.
usage_error() {
  echo "$(basename "$(dirname "$0")")/$(basename "$0"): $(printable "$*"); --help lists the options." >&2
  exit 2
}

# gpu_architecture: the compute capability of the first NVIDIA GPU, such as 90; nothing where none answers.
gpu_architecture() {
  nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sed -nE '1s/^([0-9]+)\.([0-9]+)$/\1\2/p'
}

# find_nvcc: the CUDA compiler; nothing where there is none.
find_nvcc() { command -v nvcc || { [ -x /usr/local/cuda/bin/nvcc ] && echo /usr/local/cuda/bin/nvcc; } || true; }

# expect_gpu <what for>: one sentence and exit code 2 unless a GPU answers and nvcc can compile for it.
expect_gpu() {
  if [ -z "$(gpu_architecture)" ]; then
    echo "$1 needs an NVIDIA GPU with its driver, and nvidia-smi shows none on this machine" >&2
    exit 2
  fi
  if [ -z "$(find_nvcc)" ]; then
    echo "$1 needs nvcc, which comes with the CUDA toolkit, 12.4 or later" >&2
    exit 2
  fi
}
