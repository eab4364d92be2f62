# Sourced by bench/network/measure.sh: network namespaces with limited links, and mpirun over them. No packet leaves them.
# shellcheck shell=bash
#
# One namespace per rank, <name>-0, <name>-1, ..., each joined by a virtual cable to a bridge in <name>-hub. A token bucket at
# both ends of each cable limits what a rank sends and what it receives. <name> is network_name, which holds the number of this
# process, so that two runs do not meet; addresses may be the same, since nothing joins one hub to another.

network_name=ccomp-$$
network_ranks=4
network_subnet=10.203.0 # rank r is .(r + 1)

# network_lacking: what stands in root's way here, as one clause; nothing where all is well.
network_lacking() {
  local tool probe=$network_name-probe why
  for tool in ip tc; do
    if ! command -v "$tool" >/dev/null; then
      echo "this machine lacks $tool (Debian package: iproute2)"
      return
    fi
  done
  if ! { command -v mpirun.openmpi && command -v mpicxx.openmpi; } >/dev/null &&
    ! { mpirun --version 2>/dev/null | grep -q 'Open MPI' && command -v mpicxx >/dev/null; }; then
    echo "this machine lacks Open MPI (Debian packages: libopenmpi-dev openmpi-bin)"
    return
  fi
  if ! why=$({ ip netns add "$probe" && ip netns exec "$probe" true; } 2>&1); then
    ip netns del "$probe" 2>/dev/null || true
    echo "network namespaces cannot be made here ($(head -n 1 <<<"$why"))"
    return
  fi
  if ! why=$({ ip -n "$probe" link add name probe0 type veth peer name probe1 &&
    ip -n "$probe" link add name probe2 type bridge; } 2>&1); then
    echo "the kernel has no virtual cables or bridges (veth, bridge: $(head -n 1 <<<"$why"))"
  elif ! why=$(ip netns exec "$probe" tc qdisc replace dev probe0 root tbf rate 1gbit burst 65536 latency 40ms 2>&1); then
    echo "the kernel cannot limit the rate of a link (sch_tbf: $(head -n 1 <<<"$why"))"
  fi
  ip netns del "$probe" 2>/dev/null || true
}

# network_each: the names of this run's namespaces that exist.
network_each() { ip netns list 2>/dev/null | awk -v name="$network_name-" 'index($1, name) == 1 { print $1 }'; }

# network_remove_stale: what a run that was killed without notice has left, if its process is gone.
network_remove_stale() {
  local space owner pid
  for space in $(ip netns list 2>/dev/null | awk '$1 ~ /^ccomp-[0-9]+-(hub|probe|[0-9]+)$/ { print $1 }'); do
    owner=${space#ccomp-}
    owner=${owner%%-*}
    [ ! -d "/proc/$owner" ] || continue
    for pid in $(ip netns pids "$space" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
    ip netns del "$space" 2>/dev/null || true
  done
}

network_up() {
  local hub=$network_name-hub rank space
  ip netns add "$hub"
  ip -n "$hub" link add name hub type bridge
  ip -n "$hub" link set dev hub up
  for ((rank = 0; rank < network_ranks; ++rank)); do
    space=$network_name-$rank
    ip netns add "$space"
    ip -n "$hub" link add name "port$rank" type veth peer name link netns "$space"
    ip -n "$hub" link set dev "port$rank" master hub up
    ip -n "$space" link set dev lo up
    ip -n "$space" address add "$network_subnet.$((rank + 1))/24" dev link
    ip -n "$space" link set dev link up
  done
}

# network_burst <Mbit/s>: the bytes that may pass at once, which are not slowed: 1 ms of the rate or one packet of 64 KiB,
# whichever is more, but 16 KiB below 1 Gbit/s, where 64 KiB would be 5 ms.
network_burst() {
  local mbit=$1
  if [ "$mbit" -lt 1000 ]; then
    echo 16384
  elif [ $((mbit * 125)) -lt 65536 ]; then
    echo 65536
  else
    echo $((mbit * 125))
  fi
}

# network_limit <Mbit/s>: of every link, in both directions.
network_limit() {
  local rank burst
  burst=$(network_burst "$1")
  for ((rank = 0; rank < network_ranks; ++rank)); do
    ip netns exec "$network_name-$rank" tc qdisc replace dev link root tbf rate "$1mbit" burst "$burst" latency 40ms
    ip netns exec "$network_name-hub" tc qdisc replace dev "port$rank" root tbf rate "$1mbit" burst "$burst" latency 40ms
  done
}

# network_mpirun <seconds> <folder> <argument of mpirun>...: one rank per namespace, over TCP alone. It ends after so many
# seconds, whatever happens. <folder>, without blanks in its name, takes the files of Open MPI, and a link to enter.sh.
# Without --foreground, timeout would put mpirun into a group that a terminal stops.
network_mpirun() {
  local seconds=$1 folder=$2 hosts="" rank mpirun
  shift 2
  mpirun=$(command -v mpirun.openmpi) || mpirun=mpirun
  for ((rank = 1; rank <= network_ranks; ++rank)); do hosts+="${hosts:+,}$network_subnet.$rank:1"; done
  CCOMP_NETWORK=$network_name TMPDIR=$folder ip netns exec "$network_name-0" timeout --foreground -k 5 "$seconds" "$mpirun" \
    --allow-run-as-root --oversubscribe --bind-to none --host "$hosts" -n "$network_ranks" -x OMP_WAIT_POLICY=passive \
    --mca plm rsh --mca plm_rsh_agent "$folder/enter" --mca plm_rsh_no_tree_spawn 1 --mca orte_keep_fqdn_hostnames 1 \
    --mca pml ob1 --mca btl tcp,self --mca btl_tcp_if_include "$network_subnet.0/24" \
    --mca oob_tcp_if_include "$network_subnet.0/24" --mca orte_tmpdir_base "$folder" "$@"
}

# network_down: ends what runs in this run's namespaces and removes them. May be called at any time, and twice.
network_down() {
  local space pid signal
  for signal in TERM KILL; do
    for space in $(network_each); do
      for pid in $(ip netns pids "$space" 2>/dev/null); do
        kill -"$signal" "$pid" 2>/dev/null || true
      done
    done
    [ "$signal" = KILL ] || network_wait_for_end
  done
  for space in $(network_each); do ip netns del "$space" 2>/dev/null || true; done
}

# network_wait_for_end: up to two seconds, in which processes that were told to end do so.
network_wait_for_end() {
  local tries space busy
  for ((tries = 0; tries < 20; ++tries)); do
    busy=
    for space in $(network_each); do busy+=$(ip netns pids "$space" 2>/dev/null); done
    [ -n "$busy" ] || return 0
    sleep 0.1
  done
}
