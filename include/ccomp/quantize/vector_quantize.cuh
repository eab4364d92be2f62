#pragma once
/// vector_quantize on GPUs.

#include <ccomp/engine/cuda/bit_row.cuh>
#include <ccomp/quantize/vector_quantize.hpp>
#include <ccomp/quantize/vector_team.cuh>

#include <vector>

CCOMP_BEGIN
namespace detail {

/// A codebook in the memory of a GPU.
struct device_words {
  float const *values = nullptr, *halves = nullptr;
  unsigned parts = 1, part_bits = 0;
};

/// The codebooks that calls with one workspace use, copied once.
class device_codebooks {
 public:
  explicit device_codebooks(cuda_exec const& ex) : ex_(ex) {}
  device_codebooks(device_codebooks const&) = delete;
  device_codebooks& operator=(device_codebooks const&) = delete;
  ~device_codebooks() {
    for (auto const& each : copies_) cuda_exec::let_go(each.memory);
  }

  device_words words_of(vector_codebook const& book) {
    auto const shape = book.shape();
    float const* values = nullptr;
    for (auto const& each : copies_)
      if (each.book == book) values = each.memory;
    if (!values) values = copy(book);
    return {values, values + book.values().size(), static_cast<unsigned>(shape.parts),
            static_cast<unsigned>(shape.part_bits())};
  }

 private:
  struct copied {
    vector_codebook book;
    float* memory;
  };

  float const* copy(vector_codebook const& book) {
    expects(!ex_.capturing(),
            "CUDA: the stream records a graph and the codebook is new; make one call with it before recording");
    std::size_t const values = book.values().size_bytes(), halves = book.halves().size_bytes();
    copies_.push_back({book, static_cast<float*>(ex_.allocate(values + halves))});
    auto* const memory = copies_.back().memory;
    ex_.copy_from_host(memory, book.values().data(), values);
    ex_.copy_from_host(memory + book.values().size(), book.halves().data(), halves);
    return memory;
  }

  cuda_exec ex_;
  std::vector<copied> copies_;
};

/// Words that lie in shared memory at a time, whatever their length.
inline constexpr unsigned shared_word_values = 8192, most_shared_words = 1024;

/// The word next to each of the thread's vectors, for one part of the words: its numbers are those from `first` on.
template <unsigned Part, unsigned Each, unsigned Dim>
__device__ void find_part(device_words const& words, unsigned part, float const (&x)[Each][Dim], unsigned first,
                          float (&values)[shared_word_values], float (&halves)[most_shared_words],
                          unsigned (&at)[Each]) {
  constexpr unsigned together =
      shared_word_values / Part < most_shared_words ? shared_word_values / Part : most_shared_words;
  unsigned const count = 1u << words.part_bits;
  float const* const own_values = words.values + std::uint64_t{part} * count * Part;
  float const* const own_halves = words.halves + std::uint64_t{part} * count;
  float best[Each];
  CCOMP_UNROLL
  for (unsigned j = 0; j < Each; ++j) {
    best[j] = largest_float;
    at[j] = 0;
  }
  for (unsigned begin = 0; begin < count; begin += together) {
    unsigned const here = count - begin < together ? count - begin : together;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < here * Part; i += vector_threads) values[i] = own_values[begin * Part + i];
    for (unsigned i = threadIdx.x; i < here; i += vector_threads) halves[i] = own_halves[begin + i];
    __syncthreads();
    for (unsigned w = 0; w < here; ++w) {
      CCOMP_UNROLL
      for (unsigned j = 0; j < Each; ++j) {
        float d = halves[w];
        CCOMP_UNROLL
        for (unsigned i = 0; i < Part; ++i) d = fused_less(d, x[j][first + i], values[w * Part + i]);
        at[j] = d < best[j] ? begin + w : at[j];
        best[j] = d < best[j] ? d : best[j];
      }
    }
  }
}

template <unsigned Dim, unsigned Part, class Queue>
__global__ void __launch_bounds__(vector_threads, 2)
    encode_words_kernel(device_encode_call call, unsigned block, device_words words, per_item<std::uint16_t> codes) {
  using team_type = vector_team<Dim>;
  constexpr unsigned each = team_type::each;
  CCOMP_SHARED(double[vector_threads], sums);
  CCOMP_SHARED(float[shared_word_values], values);
  CCOMP_SHARED(float[most_shared_words], halves);
  team_type const team(block, call.n);
  float x[each][Dim];
  double terms[each], lengths[each];
  team.load({call.values.mine(), element_type::float32}, call.n, x);
  square_vectors(x, terms);
  double const squares = team.fold(terms, sums);
  float const scale = block_scale(squares, team.values > 0 ? team.values : 1);
  float const inverse = inverse_or_zero(scale, scale > 0);
  unsigned code[each];
  CCOMP_UNROLL
  for (unsigned j = 0; j < each; ++j) {
    code[j] = 0;
    terms[j] = lengths[j] = 0;
    CCOMP_UNROLL
    for (unsigned i = 0; i < Dim; ++i) x[j][i] = inverse > 0 ? mul(x[j][i], inverse) : 0.0f;
  }
  CCOMP_UNROLL
  for (unsigned p = 0; p < Dim / Part; ++p) {
    unsigned at[each];
    find_part<Part>(words, p, x, p * Part, values, halves, at);
    CCOMP_UNROLL
    for (unsigned j = 0; j < each; ++j) {
      code[j] |= at[j] << p * words.part_bits;
      float const* const word =
          words.values + (std::uint64_t{p} << words.part_bits) * Part + std::uint64_t{at[j]} * Part;
      CCOMP_UNROLL
      for (unsigned i = 0; i < Part; ++i) {
        float const w = team.first(j) + p * Part + i < call.n ? word[i] : 0.0f;
        terms[j] = add(terms[j], mul(static_cast<double>(w), static_cast<double>(x[j][p * Part + i])));
        lengths[j] = add(lengths[j], mul(static_cast<double>(w), static_cast<double>(w)));
      }
    }
  }
  CCOMP_UNROLL
  for (unsigned j = 0; j < each; ++j)
    if (team.first(j) < call.n) codes.mine()[team.first(j) / Dim] = static_cast<std::uint16_t>(code[j]);
  double const product = team.fold(terms, sums), length = team.fold(lengths, sums);
  if (team.member == 0 && team.values > 0)
    call.carrier.mine()[team.begin / block] = block_gain(squares, scale, product, length);
}

/// 32 bits a thread of the row of codes.
CCOMP_KERNEL __launch_bounds__(vector_threads)
    pack_codes_kernel(per_item<std::uint16_t const> codes, std::uint64_t count, unsigned bits,
                      per_item<std::byte> side) {
  std::uint64_t const w = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x;
  if (32 * w >= count * bits) return;
  auto const* const mine = codes.mine();
  reinterpret_cast<std::uint32_t*>(side.mine())[w] =
      row_word(bits, count, w, [&](std::uint64_t i) { return std::uint32_t{mine[i]}; });
}

/// A thread for each vector.
template <unsigned Dim, class Queue>
__global__ void __launch_bounds__(vector_threads)
    decode_words_kernel(device_decode_call call, unsigned block, device_words words, unsigned bits) {
  std::uint64_t const v = std::uint64_t{blockIdx.x} * vector_threads + threadIdx.x, first = Dim * v;
  if (first >= call.n) return;
  auto const* const row = reinterpret_cast<std::uint32_t const*>(call.side.mine());
  std::uint32_t const code = row_number(row, bits, v);
  float const gain = call.carrier.mine()[first / block];
  unsigned const part = Dim / words.parts;
  CCOMP_UNROLL
  for (unsigned i = 0; i < Dim; ++i) {
    unsigned const p = i / part, at = code >> p * words.part_bits & ((1u << words.part_bits) - 1u);
    float const w = words.values[((std::uint64_t{p} << words.part_bits) + at) * part + i % part];
    if (first + i < call.n) call.write(first + i, canonical(saturating_mul(w, gain)));
  }
}

}  // namespace detail

template <int Dim, int Bits> struct device_stage<vector_quantize<Dim, Bits>> {
  using stage = vector_quantize<Dim, Bits>;

  template <class Queue> static void encode(stage const& s, Queue q, device_encode_call const& c) {
    constexpr auto dim = static_cast<unsigned>(Dim);
    auto const words = q.memory().template kept<detail::device_codebooks>("vector_quantize").words_of(s.words());
    std::uint64_t const count = detail::ceil_div(c.n, dim);
    auto const codes = q.template take_each<std::uint16_t>(count, c.items);
    auto const run = [&](auto kernel) {
      q.run("encode_words", kernel, detail::ceil_div(c.n, detail::tile_values), c.items, c, unsigned{s.block}, words,
            codes);
    };
    if (words.parts == 1) run(detail::encode_words_kernel<dim, dim, Queue>);
    if (words.parts == 2) run(detail::encode_words_kernel<dim, dim / 2, Queue>);
    if constexpr (dim >= 4)
      if (words.parts == 4) run(detail::encode_words_kernel<dim, dim / 4, Queue>);
    if constexpr (dim >= 8)
      if (words.parts == 8) run(detail::encode_words_kernel<dim, 1, Queue>);
    q.run_each("pack_codes", detail::pack_codes_kernel<Queue>, detail::ceil_div(count * Bits, 32), c.items,
               per_item<std::uint16_t const>{codes.data, codes.bytes}, count, unsigned{Bits}, c.side);
  }
  template <class Queue> static void decode(stage const& s, Queue const& q, device_decode_call const& c) {
    constexpr auto dim = static_cast<unsigned>(Dim);
    auto const words = q.memory().template kept<detail::device_codebooks>("vector_quantize").words_of(s.words());
    q.run_each("decode_words", detail::decode_words_kernel<dim, Queue>, detail::ceil_div(c.n, dim), c.items, c,
               unsigned{s.block}, words, unsigned{Bits});
  }
};

CCOMP_END
