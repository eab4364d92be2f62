// Compiled, never run: the kernels that stages bring, without those that the engine makes around them.
#include <ccomp/quantize/e8_lattice.hpp>
#include <ccomp/quantize/vector_quantize.hpp>
#include <ccomp/sparsify/approximate_top_k.hpp>
#include <ccomp/sparsify/block_threshold.hpp>
#include <ccomp/sparsify/block_top_k.hpp>

namespace detail = ccomp::detail;
using queue = ccomp::device_queue;
template <class T> using each = ccomp::per_item<T>;
using encode_call = ccomp::device_encode_call;
using decode_call = ccomp::device_decode_call;

template __global__ void detail::select_in_blocks<queue>(detail::vector_source, unsigned, unsigned, each<std::uint32_t>,
                                                         each<float>);
template __global__ void detail::read_in_blocks<queue>(detail::index_read_call);
template __global__ void detail::sample_kernel<queue>(detail::vector_source, each<float>, std::uint64_t);
template __global__ void detail::trial_kernel<queue>(detail::selection_input, each<float const>,
                                                     each<detail::bound_trial>, int);
template __global__ void detail::reach_kernel<queue>(detail::vector_source, each<detail::bound_trial>);
template __global__ void detail::block_squares<queue>(detail::vector_source, unsigned, each<detail::tile_norm>,
                                                      each<float>);
template __global__ void detail::whole_mean<queue>(std::uint64_t, each<detail::tile_norm>, each<float>);
template __global__ void detail::block_bound<queue>(detail::selection_input, std::uint64_t, each<detail::tile_norm>);
template __global__ void detail::expand_blocks<queue>(detail::expand_call);
template __global__ void detail::expand_lists<queue>(detail::expand_list_call);
template __global__ void detail::encode_e8_kernel<queue>(encode_call, unsigned);
template __global__ void detail::decode_e8_kernel<queue>(decode_call, unsigned);
template __global__ void detail::pack_codes_kernel<queue>(each<std::uint16_t const>, std::uint64_t, unsigned,
                                                          each<std::byte>);
#define CCOMP_TEST_WORDS(DIM, PART)                                                                                   \
  template __global__ void detail::encode_words_kernel<DIM, PART, queue>(encode_call, unsigned, detail::device_words, \
                                                                         each<std::uint16_t>);
CCOMP_TEST_WORDS(2, 2)
CCOMP_TEST_WORDS(2, 1)
CCOMP_TEST_WORDS(4, 4)
CCOMP_TEST_WORDS(4, 1)
CCOMP_TEST_WORDS(8, 8)
CCOMP_TEST_WORDS(8, 4)
CCOMP_TEST_WORDS(8, 1)
template __global__ void detail::decode_words_kernel<2, queue>(decode_call, unsigned, detail::device_words, unsigned);
template __global__ void detail::decode_words_kernel<8, queue>(decode_call, unsigned, detail::device_words, unsigned);
