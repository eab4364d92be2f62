#pragma once
/// The collectives with a host_exec: allreduce, reduce_scatter, reduce_to; allgather, allgatherv, gather_to; broadcast,
/// scatter_from; all_to_all; send and receive. Over any communicator for host memory.

#include <ccomp/collective/all_to_all.hpp>
#include <ccomp/collective/allgather.hpp>
#include <ccomp/collective/allgatherv.hpp>
#include <ccomp/collective/allreduce.hpp>
#include <ccomp/collective/broadcast.hpp>
#include <ccomp/collective/gather_to.hpp>
#include <ccomp/collective/host_engine.hpp>
#include <ccomp/collective/reduce_scatter.hpp>
#include <ccomp/collective/reduce_to.hpp>
#include <ccomp/collective/scatter_from.hpp>
#include <ccomp/collective/send_receive.hpp>

#if CCOMP_LINKED
CCOMP_BEGIN

CCOMP_INSTANTIATION collective_report automatic::run(detail::host_engine&) const;
CCOMP_INSTANTIATION collective_report gather::run(detail::host_engine&) const;
CCOMP_INSTANTIATION collective_report two_shot::run(detail::host_engine&) const;
CCOMP_INSTANTIATION collective_report in_flight::run(detail::host_engine&) const;
namespace detail {
CCOMP_INSTANTIATION collective_report fewest_bytes::run(host_engine&) const;
CCOMP_INSTANTIATION collective_report all_to_all(host_engine&, values const&);
CCOMP_INSTANTIATION collective_report allgather(host_engine&, values const&);
CCOMP_INSTANTIATION collective_report allgatherv(host_engine&, values const&, std::span<std::size_t const>);
CCOMP_INSTANTIATION collective_report broadcast(host_engine&, int);
CCOMP_INSTANTIATION collective_report gather_to(host_engine&, values const&, int);
CCOMP_INSTANTIATION collective_report receive(host_engine&, int);
CCOMP_INSTANTIATION collective_report reduce_scatter(host_engine&, values const&);
CCOMP_INSTANTIATION collective_report reduce_to(host_engine&, values const&, int);
CCOMP_INSTANTIATION collective_report scatter_from(host_engine&, values const&, int);
CCOMP_INSTANTIATION collective_report send(host_engine&, int);
}  // namespace detail

CCOMP_END
#endif
