# Sourced by tests/run and bench/run, after setup.sh: with --build-only they build for a machine with a GPU on one without,
# and collect what it needs in one folder; with --no-build they run that folder.
# shellcheck shell=bash
gpu_kit=build/gpu-kit
gpu_kit_limit=50 # MiB

# gpu_kit_main <tests or bench> <option>...: returns if the options are about something else.
gpu_kit_main() {
  local part=$1 mode="" cuda=no setup=yes architectures="" asked=no options=()
  shift
  case " $* " in *" --build-only "* | *" --no-build "* | *" --architectures"[\ =]*) ;; *) return 0 ;; esac
  while [ $# -gt 0 ]; do
    case $1 in --architectures=* | --input=* | --ranks=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;; esac
    case $1 in
      --help) return 0 ;;
      --cuda) cuda=yes ;;
      --no-setup) setup=no ;;
      --build-only | --no-build)
        if [ -n "$mode" ] && [ "$mode" != "$1" ]; then usage_error "either --build-only or --no-build"; fi
        mode=$1
        ;;
      --quick) options+=("$1") ;;
      --architectures | --input | --ranks)
        [ $# -ge 2 ] || usage_error "$1 needs a value"
        case $1 in
          --architectures) architectures=$2 asked=yes ;;
          --input) case $2 in /*) options+=("$1" "$2") ;; *) options+=("$1" "${OLDPWD:-$PWD}/$2") ;; esac ;; # where it was typed
          *) options+=("$1" "$2") ;;
        esac
        shift
        ;;
      *) usage_error "'$1' is unknown, or has no meaning with --build-only and --no-build" ;;
    esac
    shift
  done
  [ "$cuda" = yes ] || usage_error "--build-only, --no-build and --architectures need --cuda"
  [ -n "$mode" ] || usage_error "--architectures needs --build-only; otherwise the machine's GPU says for which"
  if [ "$mode" = --no-build ]; then
    [ "$asked" = no ] || usage_error "--architectures needs --build-only"
    if [ "$part" = tests ]; then
      for option in ${options[@]+"${options[@]}"}; do [ "$option" = --quick ] || usage_error "'$option' is an option of bench/run"; done
    fi
    [ -f "$gpu_kit/$part.programs" ] || usage_error "$gpu_kit holds no $part to run; --build-only makes it"
    gpu_kit=$PWD/$gpu_kit
    cd "${OLDPWD:-$PWD}" || exit 2 # results lie where the command was typed
    exec "$gpu_kit/run" "$part" ${options[@]+"${options[@]}"}
  fi
  [ ${#options[@]} -eq 0 ] || usage_error "'${options[0]}' has no meaning with --build-only"
  if [ "$asked" = no ]; then architectures=$(gpu_architecture); fi
  [ -n "$architectures" ] || usage_error "--build-only needs --architectures, such as 90 for an H100, where no GPU answers"
  if [ -z "$(find_nvcc)" ]; then
    echo "$part/run --cuda --build-only needs nvcc, which comes with the CUDA toolkit, 12.4 or later" >&2
    exit 2
  fi
  check_architectures
  if [ "$setup" = yes ]; then
    setup_packages g++ cmake ninja-build libeigen3-dev doctest-dev libcli11-dev nlohmann-json3-dev libbenchmark-dev
  fi
  build_for_kit "$part"
  exit
}

# 90 or "80,90" in $architectures becomes what CMake takes: machine code alone, half of what it would be with PTX. 90-virtual
# is PTX.
check_architectures() {
  local one known all=()
  known=$("$(find_nvcc)" --list-gpu-arch | sed 's/compute_//' | paste -sd ' ')
  for one in ${architectures//[,;]/ }; do
    [[ $one =~ ^[1-9][0-9]+[af]?(-real|-virtual)?$ && " $known " == *" ${one%-*} "* ]] ||
      usage_error "--architectures: nvcc here compiles for $known, and '$one' is none of them"
    case $one in *-*) all+=("$one") ;; *) all+=("$one-real") ;; esac
  done
  [ ${#all[@]} -gt 0 ] || usage_error "--architectures needs a value, such as 90"
  architectures=$(IFS=';' && echo "${all[*]}")
}

# build_for_kit <part>: exit code 1 if a program does not build; the others are collected.
build_for_kit() {
  local preset folder targets programs=() started=$SECONDS code=0
  case $1 in
    tests) preset=cuda folder=tests/methods/gpu targets='ccomp-test-gpu-[a-z0-9_-]*' ;;
    bench) preset=bench-cuda folder=bench targets='ccomp-bench-cuda|ccomp-bench-nccl|ccomp-compare-cuda' ;;
  esac
  mkdir -p "build/$preset"
  if ! cmake --preset "$preset" "-DCMAKE_CUDA_ARCHITECTURES=$architectures" >"build/$preset/configure.log" 2>&1; then
    cat "build/$preset/configure.log"
    exit 1
  fi
  cmake --build --preset "$preset" -j "$(setup_jobs)" -- -k 0 || code=1
  mapfile -t programs < <(
    sed -nE "s#^build $folder/($targets): [A-Z]+_EXECUTABLE_LINKER.*#build/$preset/$folder/\\1#p" "build/$preset/build.ninja" | sort -u
  )
  collect "$1" "${programs[@]}" || code=1
  echo "gpu-kit: $((SECONDS - started)) s"
  if [ "$code" -ne 0 ]; then echo "FAILED: not all of $1 is in $gpu_kit"; fi
  return "$code"
}

# collect <part> <program>...: strips and packs those that are there. 1 if one is missing, or the folder too large.
collect() {
  local part=$1 program name library file code=0 bin size
  shift
  bin=$(mktemp -d)
  mkdir -p "$gpu_kit/lib" "$gpu_kit/fallback"
  rm -f "$gpu_kit/$part."*
  for program in "$@"; do
    name=$(basename "$program")
    echo "$name" >>"$gpu_kit/$part.programs"
    if [ -x "$program" ]; then
      strip -o "$bin/$name" "$program"
    else
      echo "gpu-kit: $name did not build and is left out" >&2
      code=1
    fi
  done
  # libcudart travels, and what such a machine may lack. Of what any machine with g++ has, ours stand in for what is older
  # or missing. NCCL, cuBLAS and cuSOLVER, more than a GiB, are that machine's own.
  for library in lib/libcudart lib/libbenchmark fallback/libgomp fallback/libstdc++ fallback/libgcc_s; do
    file=$(for program in "$@"; do ldd "$program" 2>/dev/null; done |
      awk -v name="${library##*/}.so" 'index($1, name) == 1 && $3 ~ "^/" { print $3; exit }')
    [ -z "$file" ] || cp -L "$file" "$gpu_kit/${library%/*}/"
  done
  tar -C "$bin" -czf "$gpu_kit/$part.tgz" .
  rm -rf "$bin"
  cp cmake/gpu_kit/run cmake/gpu_kit/steps tests/methods/gpu/nccl_processes.sh bench/data/step300.npy bench/cuda/merge.py \
    docs/tools/table.py docs/tools/targets.py "$gpu_kit/"
  {
    echo "ccomp $(git rev-parse --short HEAD 2>/dev/null || echo of no commit)$(git diff --quiet HEAD 2>/dev/null || echo ' with changes')"
    echo "built $(date -u +%FT%TZ) for $architectures"
    "$(find_nvcc)" --version | sed -n 's/.*release \([^,]*\).*/nvcc \1/p'
    ldd --version | sed -n '1s/.* \([0-9.]*\)$/glibc \1/p'
  } >"$gpu_kit/built"
  size=$(du -sk "$gpu_kit" | cut -f1)
  echo "gpu-kit: $gpu_kit, $((size / 1024)) MiB; on the machine with the GPU: $gpu_kit/run, or $part/run --cuda --no-build"
  if [ "$size" -gt $((gpu_kit_limit * 1024)) ]; then
    echo "gpu-kit: more than $gpu_kit_limit MiB; fewer architectures take less" >&2
    code=1
  fi
  return "$code"
}
