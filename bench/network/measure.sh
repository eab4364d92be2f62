#!/usr/bin/env bash
# What bench/run --network does once ccomp-bench-network is built:
#   measure.sh [--quick] [--compressor=TEXT]... [--parts=FOLDER] PROGRAM
# It makes four network namespaces, measures at each rate, removes them, prints the tables and writes build/report/network.*.
# Where a python3 has PyTorch, its gloo is measured, too. What mpirun and the ranks say goes to FOLDER, build/network. With
# --parts (for tests) it writes nothing else and leaves PyTorch out. However it ends, no namespace and no process stays.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=cmake/setup.sh
. cmake/setup.sh
# shellcheck source=bench/network/namespaces.sh
. bench/network/namespaces.sh

# In Mbit/s, and for each the seconds after which no further compressor begins.
rates=(100 1000 10000)
seconds=(420 240 240)
choices=()
quick=no
parts=$PWD/build/network
report=yes
while [ $# -gt 1 ]; do
  case $1 in
    --quick) quick=yes ;;
    --compressor=*) choices+=("$1") ;;
    --parts=*) parts=${1#*=} report=no ;;
  esac
  shift
done
case $1 in /*) program=$1 ;; *) program=$PWD/$1 ;; esac
minutes=20 # for the whole
kib=65536 repeat=3
if [ "$quick" = yes ]; then
  rates=(1000)
  seconds=(40)
  kib=16384 repeat=1
  choices+=(--quick)
  minutes=2
fi
python=/usr/bin/python3 # as in bench/run
[ -x "$python" ] || python=python3

scratch= # a folder without blanks in its name: mpirun could not call what lies in another
clean_up() {
  trap '' INT TERM HUP # the second Ctrl-C does not keep the first from its work
  network_down
  # What has just been killed may have been writing there.
  if [ -n "$scratch" ]; then rm -rf "$scratch" || { sleep 1 && rm -rf "$scratch"; } || true; fi
  scratch=
}
trap clean_up EXIT
trap 'clean_up; echo "bench/run: interrupted; the namespaces are gone." >&2; exit 130' INT
trap 'clean_up; exit 143' TERM HUP

fail() {
  echo "bench/run: $(printable "$*")" >&2
  exit 1
}

seconds_left() { echo $((minutes * 60 - SECONDS)); }

# start <result> <most seconds> <argument of mpirun>...: sets status. mpirun in the background, because bash would not hear a
# signal before a command in the foreground ends.
start() {
  local result=$1 most=$2
  shift 2
  status=0
  network_mpirun "$most" "$scratch" "$@" 2>"${result%.json}.log" &
  wait $! || status=$?
}

# measure <result> <most seconds> <program> <argument>...
measure() {
  local result=$1 most=$2 status try
  shift 2
  if [ "$most" -gt "$(seconds_left)" ]; then most=$(seconds_left); fi
  if [ "$most" -lt 1 ]; then fail "the $minutes minutes that a run may take are over; nothing was written."; fi
  for try in first second; do # Open MPI now and then fails, or hangs, while its ranks connect
    start "$result" "$most" "$@" --json "$result"
    if [ "$try" = second ] || [ "$status" -eq 0 ] || [ "$(seconds_left)" -le "$most" ]; then break; fi
    echo "mpirun ended with $status; trying once more"
  done
  if [ "$status" -eq 124 ]; then fail "mpirun did not end within $most s (${result%.json}.log says more)."; fi
  if [ "$status" -ne 0 ] || [ ! -s "$result" ]; then
    tail -n 20 "${result%.json}.log" >&2
    fail "mpirun ended with $status (${result%.json}.log says more)."
  fi
}

# measure_gloo <result>: beside the others. What fails is told and left out.
measure_gloo() {
  local result=$1 most=90 status
  if [ "$most" -gt "$(seconds_left)" ]; then return 0; fi
  start "$result" "$most" "$torch" -B "$PWD/bench/network/gloo.py" "$network_subnet.1" "$kib" "$repeat" "$result"
  if [ "$status" -ne 0 ]; then
    rm -f "$result"
    echo "  it ended with $status and is left out (${result%.json}.log says more)"
  fi
}

choices+=("--kib=$kib" "--seconds=$repeat")
torch= # a Python that has PyTorch with gloo
if [ "$report" = yes ]; then
  for each in python3 "$python"; do
    if [ -z "$torch" ] && "$each" -B bench/network/gloo.py --probe 2>/dev/null; then torch=$(command -v "$each"); fi
  done
fi

mkdir -p "$parts"
rm -f "$parts"/*.json "$parts"/*.log
scratch=$(mktemp -d "${TMPDIR:-/tmp}/ccomp-network.XXXXXX")
case $scratch in
  *[[:space:]]*) fail "mpirun cannot use '$scratch', because its name has a blank; set TMPDIR to another folder." ;;
esac
ln -s "$PWD/bench/network/enter.sh" "$scratch/enter"
network_remove_stale
network_up
control=$(ip netns exec "$network_name-0" cat /proc/sys/net/ipv4/tcp_congestion_control)
printf '{"kernel": "%s", "iproute2": "%s", "congestion_control": "%s", "quick": %s}\n' \
  "$(uname -r)" "$(ip -V | sed 's/.*iproute2-\([^,]*\).*/\1/')" "$control" "$([ "$quick" = yes ] && echo true || echo false)" \
  >"$parts/facts.json"

ring=(--mca coll_tuned_use_dynamic_rules 1 --mca coll_tuned_allreduce_algorithm 4)
for i in "${!rates[@]}"; do
  rate=${rates[i]}
  network_limit "$rate"
  echo "$rate Mbit/s: MPI_Allreduce by Open MPI's ring"
  measure "$parts/$rate-ring.json" 180 "${ring[@]}" "$program" "${choices[@]}" --dense-only
  if [ -n "$torch" ]; then
    echo "$rate Mbit/s: PyTorch's allreduce by gloo"
    measure_gloo "$parts/$rate-gloo.json"
  fi
  echo "$rate Mbit/s: MPI_Allreduce by the algorithm that Open MPI chooses, and compressors"
  measure "$parts/$rate-default.json" $((seconds[i] + 60)) "$program" "${choices[@]}" --time-limit="${seconds[i]}"
done
network_down
[ "$report" = yes ] || exit 0
mkdir -p build/report
"$python" bench/report/network_report.py "$parts" build/report/network
echo "report: $PWD/build/report/network.html"
