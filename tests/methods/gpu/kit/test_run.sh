#!/usr/bin/env bash
# The script of build/gpu-kit with stand-in programs, and what tests/run and bench/run say to wrong options: no GPU needed.
set -u
root=$(cd "$(dirname "$0")/../../../.." && pwd)
work=$(mktemp -d)
long=91.$$ # seconds, and how this run's sleeping processes are known
sleeping() {
  local file
  for file in /proc/[0-9]*/cmdline; do
    if tr '\0' ' ' <"$file" | grep -q "^sleep $long"; then basename "$(dirname "$file")"; fi
  done 2>/dev/null
}
trap 'for pid in $(sleeping); do kill -KILL "$pid"; done; rm -rf "$work"' EXIT
faults=0
fault() {
  echo "FAULT: $*"
  faults=1
}
expect() { grep -qE -- "$2" "$1" || { fault "nothing in $(basename "$1") matches: $2"; head -n 40 "$1"; }; }

# ---- a folder of stand-ins: what a machine with a GPU may bring
kit="$work/a kit" # a blank in the name
mkdir -p "$kit/lib" "$work/bin"
cp "$root/cmake/gpu_kit/run" "$root/bench/cuda/merge.py" "$root"/docs/tools/{table,targets}.py "$kit/"
cp "$root/bench/data/step300.npy" "$kit/"
echo "stand-ins" >"$kit/built"
program() {
  { echo '#!/usr/bin/env bash'; cat; } >"$work/bin/$1"
  chmod +x "$work/bin/$1"
  echo "$1" >>"$kit/tests.programs"
}
# shellcheck disable=SC2016
program passes <<<'echo "[doctest] test cases: 3 | 3 passed | 0 failed | 0 skipped"; echo "note: eager is $CUDA_MODULE_LOADING"'
program fails <<<'echo "ERROR: CHECK( 1 == 2 ) is \"not\" correct"; exit 1'
program hangs <<<"trap '' TERM; setsid sleep $long & echo started; while :; do sleep $long; done"
program skips <<<'echo "skipped: something; get it elsewhere"; exit 77'
program empty <<<'echo "[doctest] test cases: 0 | 0 passed | 0 failed | 3 skipped"'
program crashes <<<'kill -SEGV $$'
echo never_built >>"$kit/tests.programs"
tar -C "$work/bin" -czf "$kit/tests.tgz" .
cat >"$kit/steps" <<'EOF'
step tests quick alone passes 10 passes
step tests quick beside hangs 1 hangs
step tests quick beside fails 10 fails
step tests quick beside empty 10 empty
step tests quick alone crashes 10 crashes
step tests quick alone skips 10 skips
step tests quick alone missing 10 never_built
step tests quick alone left_out 10 not_of_this_build
step tests full alone only_in_full 10 passes
step bench quick alone of_another_part 10 passes
EOF

out="$work/results"
began=$SECONDS
OUT="$out" "$kit/run" --quick >"$work/said" 2>&1
code=$?
[ "$code" -eq 1 ] || fault "exit code $code in place of 1"
[ $((SECONDS - began)) -lt 20 ] || fault "it took $((SECONDS - began)) s"
for line in '^ok +[0-9.]+ s +passes +test cases: 3 ' '^HUNG +[0-9.]+ s +hangs +ended after 1 s' '^FAILED\(1\) .* fails' '^EMPTY .* empty' \
  '^FAILED\(139\) .* crashes' '^skipped .* skips +skipped: something' '^MISSING .* missing +never_built did not build' \
  '^skipped .* left_out +built without not_of_this_build'; do
  expect "$out/summary.txt" "$line"
done
[ "$(wc -l <"$out/summary.txt")" -eq 8 ] || fault "the summary has $(wc -l <"$out/summary.txt") lines in place of 8"
expect "$work/said" '^note: eager is EAGER$'
expect "$work/said" 'ERROR: CHECK\( 1 == 2 \)'
[ "$(tail -n 1 "$work/said")" = "gpu-kit: FAILED" ] || fault "the last line is: $(tail -n 1 "$work/said")"
tar -tzf "$out/logs.tar.gz" | grep -q 'logs/hangs.log' || fault "logs.tar.gz lacks a log"
[ "$(find "$out" -type f | wc -l)" -le 8 ] || fault "more than 8 files"
if command -v python3 >/dev/null; then
  python3 -c '
import json, sys
found = {s["name"]: s for s in json.load(open(sys.argv[1]))["steps"]}
assert found["hangs"]["state"] == "HUNG" and found["hangs"]["seconds"] >= 1, found' "$out/results.json" || fault "results.json"
fi
# The one in a session of its own is out of reach; nobody waits for it.
[ "$(sleeping | wc -l)" -le 1 ] || fault "processes of a hung program are left"

# ---- only what passes and what is skipped: 0; a signal: the summary all the same; no step: 1
(cd "$work" && "$kit/run" tests --only '^(passes|skips)$' >"$work/said" 2>&1) || fault "exit code $? in place of 0"
[ "$(tail -n 1 "$work/said")" = "gpu-kit: passed" ] || fault "the last line is: $(tail -n 1 "$work/said")"
[ -s "$work/gpu-results/summary.txt" ] || fault "no gpu-results where it was started"
echo 'step tests quick alone sleeps 60 hangs' >"$kit/steps"
"$kit/run" --out "$work/ended" >"$work/said" 2>&1 &
pid=$!
for _ in $(seq 100); do
  sleep 0.1
  compgen -G "${TMPDIR:-/tmp}/tmp.*/logs/sleeps.log.pid" >/dev/null && break
done
kill -TERM "$pid"
wait "$pid"
[ $? -eq 1 ] || fault "a run that was ended returns 0"
expect "$work/said" 'ended from outside'
expect "$work/ended/summary.txt" '^(UNFINISHED|FAILED.137.) .* sleeps'
"$kit/run" --only nothing --out "$work/none" >"$work/said" 2>&1 && fault "a run of no step returns 0"

# ---- the budget: what no longer fits is skipped and named
printf 'step tests quick alone first 1 hangs\nstep tests quick alone second 60 passes\n' >"$kit/steps"
"$kit/run" --seconds 9 --out "$work/short" >"$work/said" 2>&1
expect "$work/short/summary.txt" '^HUNG .* first'
expect "$work/short/summary.txt" '^skipped .* second +no time left'

# ---- --build-only with a stand-in for cmake: what was built is collected, and runs; what was not is an error, as is a
# folder that is too large
tree="$work/a tree"
mkdir -p "$tree"/{cmake,tests/methods/gpu,bench/data,bench/cuda,docs/tools}
cp -r "$root/cmake/gpu_kit" "$root/cmake/setup.sh" "$tree/cmake/"
cp "$root/tests/run" "$tree/tests/"
cp "$root/bench/run" "$tree/bench/"
cp "$root/tests/methods/gpu/nccl_processes.sh" "$tree/tests/methods/gpu/"
cp "$root/bench/data/step300.npy" "$tree/bench/data/"
cp "$root/bench/cuda/merge.py" "$tree/bench/cuda/"
cp "$root"/docs/tools/{table,targets}.py "$tree/docs/tools/"
mkdir "$work/tools"
cat >"$work/tools/nvcc" <<'EOF'
#!/usr/bin/env bash
case $1 in --list-gpu-arch) printf 'compute_80\ncompute_90\n' ;; --version) echo 'release 13.0, V13' ;; esac
EOF
cat >"$work/tools/cmake" <<'EOF'
#!/usr/bin/env bash
echo "$*" >>build/asked
preset=$2 && [ "$1" = --preset ] || preset=$3
[ "$1" = --preset ] || exit "$(cat build/fails)"
case $preset in
  cuda) folder=tests/methods/gpu programs="ccomp-test-gpu-codec ccomp-test-gpu-select" ;;
  bench-cuda) folder=bench programs="ccomp-bench-cuda" ;;
esac
mkdir -p "build/$preset/$folder"
for program in $programs; do
  echo "build $folder/$program: CUDA_EXECUTABLE_LINKER__${program}_Release some.o" >>"build/$preset/build.ninja"
  [ "$program" = ccomp-test-gpu-select ] || cp "$(type -P true)" "build/$preset/$folder/$program"
done
EOF
chmod +x "$work"/tools/*
mkdir "$tree/build"
built() { # built <exit code> <part>
  (cd / && PATH="$work/tools:$PATH" "$tree/$2/run" --cuda --build-only --architectures "$3" --no-setup) >"$work/said" 2>&1
  code=$?
  [ "$code" -eq "$1" ] || { fault "$2/run --build-only: exit code $code in place of $1"; cat "$work/said"; }
}
echo 1 >"$tree/build/fails"
built 1 tests 80,90-virtual
expect "$tree/build/asked" '^--preset cuda -DCMAKE_CUDA_ARCHITECTURES=80-real;90-virtual$'
expect "$tree/build/asked" '^--build --preset cuda .*-k 0$'
expect "$work/said" 'ccomp-test-gpu-select did not build'
expect "$work/said" '^FAILED'
echo 0 >"$tree/build/fails"
built 0 bench 90
(cd "$work" && "$tree/tests/run" --cuda --no-build --quick >"$work/said" 2>&1) && fault "a missing program is no failure"
expect "$work/gpu-results/summary.txt" '^ok .* test.codec'
expect "$work/gpu-results/summary.txt" '^MISSING .* test.select +ccomp-test-gpu-select did not build'
expect "$work/gpu-results/summary.txt" '^skipped .* test.thread +built without ccomp-test-gpu-thread'
(cd "$work" && OUT=here "$tree/bench/run" --cuda --no-build --input "a kit/step300.npy" >"$work/said" 2>&1) || fault "bench: exit code $?"
expect "$work/here/summary.txt" '^ok .* bench.passes'
grep -q test.codec "$work/here/summary.txt" && fault "bench/run ran tests"
cp -r "$tree/build/gpu-kit" "$work/taken" # without the tree
OUT="$work/taken out" "$work/taken/run" --only 'codec|passes' >"$work/said" 2>&1
expect "$work/taken out/summary.txt" '^ok .* bench.passes'
sed -i 's/^gpu_kit_limit=.*/gpu_kit_limit=1/' "$tree/cmake/gpu_kit/build.sh"
built 1 bench 90
expect "$work/said" 'more than 1 MiB'

# ---- wrong options: one sentence, exit code 2, nothing written
refused() { # refused <regex> <command>...
  local regex=$1
  shift
  "$@" >"$work/out" 2>"$work/said" </dev/null
  code=$?
  if [ "$code" -ne 2 ] || [ -s "$work/out" ] || [ "$(wc -l <"$work/said")" -ne 1 ] || ! grep -qE -- "$regex" "$work/said"; then
    fault "$*: exit code $code, and it said: $(cat "$work/out" "$work/said")"
  fi
}
for part in tests bench; do
  refused "$part/run: .* need --cuda" "$root/$part/run" --build-only --architectures 90
  refused "$part/run: .*(nvcc here compiles for|needs nvcc)" "$root/$part/run" --cuda --build-only --architectures ninety
  refused "$part/run: .*(nvcc here compiles for|needs nvcc)" "$root/$part/run" --cuda --build-only --architectures=90,12
  refused "$part/run: --architectures needs a value" "$root/$part/run" --cuda --build-only --architectures
  refused "$part/run: --architectures needs --build-only" "$root/$part/run" --cuda --architectures 90
  refused "$part/run: --architectures needs --build-only" "$root/$part/run" --cuda --no-build --architectures 90
  refused "$part/run: either --build-only or --no-build" "$root/$part/run" --cuda --build-only --no-build
  refused "'--only' is unknown, or has no meaning" "$root/$part/run" --cuda --no-build --only host
  refused "'--quick' has no meaning with --build-only" "$root/$part/run" --cuda --build-only --architectures 90 --quick
done
refused "'--ranks' is an option of bench/run" "$root/tests/run" --cuda --no-build --ranks 4
refused "gpu-kit: unknown option '--fast'" "$kit/run" --fast
refused "gpu-kit: --seconds needs a number" "$kit/run" --seconds soon
refused "gpu-kit: --only needs a value" "$kit/run" --only
refused "gpu-kit: --only needs a regular expression" "$kit/run" --only '('
refused "gpu-kit: --input: 'nowhere.npy' cannot be read" "$kit/run" --input nowhere.npy
refused "gpu-kit: this folder holds no bench" "$kit/run" bench

[ "$faults" -eq 0 ] && echo "gpu kit: good"
exit "$faults"
