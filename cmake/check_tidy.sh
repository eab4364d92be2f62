#!/usr/bin/env bash
# cmake/check_tidy.sh [--fix] [FOLDER...]: does clang-tidy find nothing in the headers, by .clang-tidy? One translation unit
# includes them all, so templates are judged as they are written. FOLDERs hold the headers of Eigen, CUDA and MPI; what
# needs a library that is not there is left out. --fix rewrites what it can.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=cmake/pinned_tool.sh
. cmake/pinned_tool.sh
mode=()
if [ "${1-}" = --fix ]; then mode=(--fix) && shift; fi
folders=("$@")
if [ $# -eq 0 ]; then
  folders=(/usr/include/eigen3 /usr/local/cuda/include)
  for word in $(mpicxx -show 2>/dev/null || true); do
    if [[ $word == -I* ]]; then folders+=("${word#-I}"); fi
  done
fi

pinned_tool clang-tidy "what clang-tidy says of the headers"

# found <header of another library>...: are all of them in the folders?
found() {
  local header folder
  for header in "$@"; do
    for folder in "${folders[@]}"; do
      if [ -e "$folder/$header" ]; then continue 2; fi
    done
    return 1
  done
}
left_out=() lacking=() options=(-std=c++20 -Iinclude)
for folder in "${folders[@]}"; do options+=(-isystem "$folder"); done
if ! found Eigen/Core; then
  lacking+=(Eigen)
  left_out+=(-path '*/low_rank/*' -o)
fi
if found cuda_runtime.h cublas_v2.h cusolverDn.h nccl.h; then
  options+=(-include tests/sim/cuda/cuda_sim.hpp) # kernels as C++
else
  lacking+=("CUDA with NCCL, cuBLAS and cuSOLVER")
  left_out+=(-name '*.cuh' -o -path '*/exec/*' -o -path '*/comm/nccl*' -o -path '*/comm/thread_device.hpp' -o)
fi
if ! found mpi.h; then
  lacking+=(MPI)
  left_out+=(-path '*/comm/mpi*' -o)
fi
for library in "${lacking[@]}"; do
  echo "note: clang-tidy has not seen what needs $library; get it with: cmake/check_tidy.sh <folder of its headers>..."
done

unit=$(mktemp --suffix=.cpp)
trap 'rm -f "$unit"' EXIT
(cd include && find ccomp \( "${left_out[@]}" -false \) -o \( -name '*.hpp' -o -name '*.cuh' \) -printf '#include <%p>\n' | LC_ALL=C sort) >"$unit"
"$tool" --config-file=.clang-tidy --quiet "${mode[@]}" "$unit" -- "${options[@]}"
