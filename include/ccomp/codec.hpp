#pragma once
/// encode, decode, compress and decompress with a host_exec.

#include <ccomp/codec/compress.hpp>
#include <ccomp/codec/host_engine.hpp>

#if CCOMP_LINKED
CCOMP_BEGIN
namespace detail {

CCOMP_INSTANTIATION std::size_t encode_by<false>(host_codec const&, char const*, program, const_values, residual_ref,
                                                 std::span<std::byte>, workspace<host_exec>&, pass_options const&);
CCOMP_INSTANTIATION std::size_t encode_by<true>(host_codec const&, char const*, program, const_values, residual_ref,
                                                std::span<std::byte>, workspace<host_exec>&, pass_options const&);
CCOMP_INSTANTIATION void decode_by(host_codec const&, char const*, std::span<std::byte const>, values, bool,
                                   workspace<host_exec>&, pass_options const&);
CCOMP_INSTANTIATION std::size_t compress_by(host_codec const&, char const*, program, const_values, std::span<std::byte>,
                                            workspace<host_exec>&, pass_options const&);
CCOMP_INSTANTIATION frame_info decompress_by(host_codec const&, char const*, program, std::span<std::byte const>,
                                             values, workspace<host_exec>&);

}  // namespace detail
CCOMP_END
#endif
