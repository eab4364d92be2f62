#!/usr/bin/env bash
# What bench/run --network does once ccomp-bench-network is built:
#   measure.sh [--quick] [--compressor=TEXT]... [--parts=FOLDER] PROGRAM
# It makes four network namespaces, measures at each rate, removes them, prints the tables and writes build/report/network.*.
# What mpirun and the ranks say goes to FOLDER, build/network. With --parts (for tests) it writes nothing else. However it ends,
# no namespace and no process stays.
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
if [ "$quick" = yes ]; then
  rates=(1000)
  seconds=(40)
  choices+=(--quick --kib=16384 --seconds=1)
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

# measure <result> <most seconds> <argument of mpirun>...: mpirun in the background, because bash would not hear a signal before
# a command in the foreground ends.
measure() {
  local result=$1 most=$2 left status try
  shift 2
  left=$((minutes * 60 - SECONDS))
  if [ "$most" -gt "$left" ]; then most=$left; fi
  if [ "$most" -lt 1 ]; then fail "the $minutes minutes that a run may take are over; nothing was written."; fi
  for try in first second; do # Open MPI now and then fails, or hangs, while its ranks connect
    status=0
    network_mpirun "$most" "$scratch" "$@" --json "$result" 2>"${result%.json}.log" &
    wait $! || status=$?
    if [ "$try" = second ] || [ "$status" -eq 0 ] || [ $((minutes * 60 - SECONDS)) -le "$most" ]; then break; fi
    echo "mpirun ended with $status; trying once more"
  done
  if [ "$status" -eq 124 ]; then fail "mpirun did not end within $most s (${result%.json}.log says more)."; fi
  if [ "$status" -ne 0 ] || [ ! -s "$result" ]; then
    tail -n 20 "${result%.json}.log" >&2
    fail "mpirun ended with $status (${result%.json}.log says more)."
  fi
}

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
  echo "$rate Mbit/s: MPI_Allreduce by the algorithm that Open MPI chooses, and compressors"
  measure "$parts/$rate-default.json" $((seconds[i] + 60)) "$program" "${choices[@]}" --time-limit="${seconds[i]}"
done
network_down
[ "$report" = yes ] || exit 0
mkdir -p build/report
"$python" bench/report/network_report.py "$parts" build/report/network
echo "report: $PWD/build/report/network.html"
