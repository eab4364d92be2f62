#pragma once
/// The collectives with a host_exec: allreduce, allgather, reduce_scatter and broadcast, over any communicator for host
/// memory.

#include <ccomp/collective/allgather.hpp>
#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/broadcast.hpp>
#include <ccomp/collective/host_engine.hpp>
#include <ccomp/collective/reduce_scatter.hpp>

#if CCOMP_LINKED
CCOMP_BEGIN

CCOMP_INSTANTIATION collective_report automatic::run(detail::host_engine&) const;
CCOMP_INSTANTIATION collective_report gather::run(detail::host_engine&) const;
CCOMP_INSTANTIATION collective_report two_shot::run(detail::host_engine&) const;
CCOMP_INSTANTIATION collective_report in_flight::run(detail::host_engine&) const;
namespace detail {
CCOMP_INSTANTIATION collective_report fewest_bytes::run(host_engine&) const;
CCOMP_INSTANTIATION collective_report allgather(host_engine&, values const&);
CCOMP_INSTANTIATION collective_report broadcast(host_engine&, int);
CCOMP_INSTANTIATION collective_report reduce_scatter(host_engine&, values const&);
}  // namespace detail

CCOMP_END
#endif
