#!/bin/sh
# In place of ssh: mpirun calls it as `enter.sh [options] ADDRESS COMMAND...`, and the command runs in the network namespace
# that has this address. CCOMP_NETWORK is what the names of the namespaces begin with.
while [ "${1#-}" != "$1" ]; do shift; done
rank=$((${1##*.} - 1))
shift
exec ip netns exec "$CCOMP_NETWORK-$rank" sh -c "$*"
