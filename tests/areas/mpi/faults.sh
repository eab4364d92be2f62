#!/usr/bin/env bash
# faults.sh <flavour> <mpirun> <program>: one rank of four is late, stopped, killed, brings another number of bytes, or
# sends bytes that are changed on their way.
set -uo pipefail
flavour=$1 mpirun=$2 program=$3
failed=0

# expect <fault> <rank> <pattern>: what the rank has said.
expect() {
  if grep -qE "^rank $2: .*$3" <<<"$said" && ! grep -qE "^rank $2: .*; " <<<"$said"; then return; fi
  echo "$1: rank $2 should say '$3'; all said:"
  echo "$said"
  failed=1
}
# start <fault> [<option>...]: the program with that fault. A stopped rank hears only SIGKILL.
start() {
  local fault=$1
  shift
  said=$(timeout -k 5 60 "$mpirun" "$@" -n 4 "$program" "$fault" 2>&1)
  pkill -KILL -f "^$program $fault\$" || true
}

lost="timeout: ccomp: allreduce: mpi_communicator::.* rank 3 has not answered within 1000 ms"
for fault in late stopped; do
  start $fault
  for rank in 0 1 2; do expect $fault $rank "$lost"; done
done
start length
for rank in 1 2; do expect length $rank "sent 100 bytes where this rank expects 200"; done
changed="allreduce: .*bytes from rank 3 were changed on their way"
for fault in damaged damaged_sum; do
  start $fault
  expect $fault 0 "$changed"
  for rank in 1 2 3; do expect $fault $rank "timeout: ccomp: allreduce: mpi_communicator::.* rank 0 has not answered"; done
done
# mpirun ends all ranks when one is killed, unless it is told not to; MPICH's then ends them another way.
if [ "$flavour" = openmpi ]; then
  start killed --enable-recovery
  for rank in 0 1 2; do expect killed $rank "$lost"; done
else
  start killed
  if grep -q "no exception" <<<"$said"; then failed=1; fi
fi
exit $failed
