#pragma once
/// The collectives with a host_exec: allreduce, allgather, reduce_scatter and broadcast, over any communicator for host
/// memory.

#include <ccomp/collective/allgather.hpp>
#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/broadcast.hpp>
#include <ccomp/collective/host_engine.hpp>
#include <ccomp/collective/reduce_scatter.hpp>
