// Tensors of 2^31 values and more: kernels and launches count in 64 bits. On the simulator the last thread blocks of a
// launch run alone, on memory of which only their pages exist; a GPU runs it all.
#include <support/cuda/pass_checks.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/codec.hpp>
#include <ccomp/engine/host/program_codec.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>

#include <doctest/doctest.h>

#include <cstring>

using namespace ccomp;

namespace {

constexpr std::size_t over_2_31 = (std::size_t{1} << 31) + 5;

}  // namespace

#if defined(CCOMP_CUDA_SIM)

#include <sys/mman.h>

namespace {

/// Zeros of which only those pages take memory that are written.
template <class T> class thin_array {
 public:
  explicit thin_array(std::size_t n) : n_(n) {
    void* const got =
        mmap(nullptr, n * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(got != MAP_FAILED);
    data_ = static_cast<T*>(got);
  }
  thin_array(thin_array const&) = delete;
  thin_array& operator=(thin_array const&) = delete;
  ~thin_array() { munmap(data_, n_ * sizeof(T)); }
  [[nodiscard]] T* data() const { return data_; }
  void put(std::vector<T> const& values, std::size_t first) { std::ranges::copy(values, data_ + first); }
  [[nodiscard]] std::vector<T> part(std::size_t first, std::size_t n) const {
    return {data_ + first, data_ + first + n};
  }

 private:
  T* data_;
  std::size_t n_;
};

struct last_blocks_alone {
  cuda_sim::schedule before = cuda_sim::current_schedule();
  explicit last_blocks_alone(unsigned count) {
    auto s = before;
    s.last_blocks = count;
    cuda_sim::set_schedule(s);
  }
  last_blocks_alone(last_blocks_alone const&) = delete;
  last_blocks_alone& operator=(last_blocks_alone const&) = delete;
  ~last_blocks_alone() { cuda_sim::set_schedule(before); }
};

/// What a chain's payload is made of: parameters of 4 bytes a block (block 0: none), codes of so many bits.
struct payload_shape {
  std::size_t block, bits;
  [[nodiscard]] std::size_t side(std::size_t n) const {
    return block == 0 ? 0 : ((n + block - 1) / block * 4 + 15) / 16 * 16;
  }
};

/// The end of the last of `chunks` chunks of `chunk` values has the host's bytes: coded with feedback, and two payloads
/// decoded and added.
template <class C>
void check_end(C const& c, payload_shape const& shape, std::size_t chunk, unsigned chunks, unsigned blocks) {
  using detail::device_pass;
  CAPTURE(text(c));
  CAPTURE(chunk);
  CAPTURE(chunks);
  constexpr auto type = element_type::float32;
  std::size_t const n = chunk * chunks, base = n - chunk, length = 8192 + chunk % 2048, first = chunk - length,
                    bytes = payload_bytes(c, chunk), all_bytes = bytes * chunks;
  auto const values = support::gaussian_values(length, 1);
  auto left = support::gaussian_values(length, 2);
  thin_array<float> in(n), rest(n), out(n);
  thin_array<std::byte> payload(2 * all_bytes);  // of two ranks, the second's all zeros
  in.put(values, base + first);
  rest.put(left, base + first);

  last_blocks_alone const end(blocks);
  cuda_exec const ex;
  workspace ws{ex};
  auto call = detail::device_call(n, type, support::here);
  call.chunks.count = chunks;
  call.chunks.size = call.chunks.length = call.chunks.first_stride = chunk;
  call.chunks.payload_stride = call.chunks.source_stride = bytes;
  auto decoding = call;
  call.whole.in = {in.data(), type};
  call.whole.residual = {rest.data(), type};
  call.whole.payload = payload.data();
  detail::run_on_device<device_pass::encode_feedback>(ex, c, call, ws);
  decoding.sum.sources = payload.data();
  decoding.sum.count = 2;
  decoding.sum.stride = all_bytes;
  decoding.whole.out = {out.data(), type};
  decoding.sum.divisor = 2;
  detail::run_on_device<device_pass::decode>(ex, c, decoding, ws);
  ex.synchronize();

  host_exec const host{1};
  workspace host_ws{host};
  auto const stages = detail::host_stages_of(c);
  support::host_bytes alone(payload_bytes(c, length)), none(payload_bytes(c, length));
  detail::scratch const memory(host_ws.reserve(detail::scratch_bytes(stages, length)));
  detail::pass_context context(host, support::here);
  context.first = base + first;
  detail::encode(stages, context, detail::view(std::span<float const>(values)), type, {left.data(), type, 1.0f},
                 alone.span(), memory);
  CHECK(support::same_bytes(rest.part(base + first, length), left));
  auto const part = [](std::vector<std::byte> const& from, std::size_t begin, std::size_t count) {
    return std::vector<std::byte>(from.begin() + static_cast<std::ptrdiff_t>(begin),
                                  from.begin() + static_cast<std::ptrdiff_t>(begin + count));
  };
  std::size_t const at = base / chunk * bytes, codes = (length * shape.bits + 7) / 8;
  if (shape.block > 0) {
    std::size_t const side = (length + shape.block - 1) / shape.block * 4;
    CHECK(payload.part(at + first / shape.block * 4, side) == part(alone.copy(), 0, side));
  }
  CHECK(payload.part(at + shape.side(chunk) + first / 8 * shape.bits, codes) ==
        part(alone.copy(), shape.side(length), codes));
  std::byte const* const two[] = {alone.span().data(), none.span().data()};
  std::vector<float> decoded(length);
  detail::sum_decoded(stages, context, two, alone.span().size(), type, detail::view(std::span(decoded)), 2.0f, memory);
  CHECK(support::same_bytes(out.part(base + first, length), decoded));
}

}  // namespace

TEST_CASE("cuda large: the last blocks of 2^31 + 5 values, and of three chunks of 2^30, give the host's bytes") {
  auto const rotated = hadamard_rotate{.block = 64} | uniform_quantize<3>{.round = rounding::stochastic};
  check_end(rotated, {512, 3}, over_2_31, 1, 5);
  check_end(rotated, {512, 3}, std::size_t{1} << 30, 3, 4);
  check_end(sign_quantize{.block = 2048}, {2048, 1}, over_2_31, 1, 3);  // teams of four warps
  check_end(cast<bfloat16>{}, {0, 16}, over_2_31, 1, 5);                // payloads are more than 2^32 bytes apart
  check_end(cast<bfloat16>{}, {0, 16}, std::size_t{1} << 30, 3, 4);
}

#else

namespace {

/// Device memory without the host's copy that a device_array begins with.
template <class T> class raw_array {
 public:
  explicit raw_array(std::size_t n) : n_(n) {
    void* got = nullptr;
    detail::check_cuda(cudaMalloc(&got, n * sizeof(T)), "cudaMalloc");
    data_ = static_cast<T*>(got);
  }
  raw_array(raw_array const&) = delete;
  raw_array& operator=(raw_array const&) = delete;
  ~raw_array() { static_cast<void>(cudaFree(data_)); }
  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::span<T> span() const { return {data_, n_}; }
  [[nodiscard]] std::vector<T> part(std::size_t first, std::size_t n) const {
    std::vector<T> copy(n);
    cuda_exec{}.copy_to_host(copy.data(), data_ + first, n * sizeof(T));
    return copy;
  }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

bool enough_memory() {
  std::size_t free = 0, all = 0;
  detail::check_cuda(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
  if (free > std::size_t{24} << 30) return true;
  MESSAGE("skipped: 24 GiB of free device memory are needed, there are " << (free >> 30));
  return false;
}

}  // namespace

TEST_CASE("cuda large: 2^31 + 5 values through sign_quantize repeat what a small tensor's decode to") {
  if (!enough_memory()) return;
  constexpr std::size_t period = std::size_t{1} << 20, n = over_2_31;
  auto const values = support::gaussian_values(period, 3);
  sign_quantize const c;
  cuda_exec const ex;
  workspace ws{ex};
  raw_array<float> const x(n);
  raw_array<std::byte> const payload(payload_bytes(c, n));
  ex.copy_from_host(x.data(), values.data(), period * sizeof(float));
  for (std::size_t have = period; have < n; have *= 2)
    ex.copy(x.data() + have, x.data(), std::min(have, n - have) * sizeof(float));
  encode(ex, c, std::span<float const>(x.span()), payload.span(), ws);
  decode(ex, c, payload.span(), x.span(), ws);

  auto const on_host = [&](std::size_t count) {
    workspace host_ws{host_exec{}};
    std::vector<float> y(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
    support::host_bytes bytes(payload_bytes(c, count));
    encode(host_exec{}, c, y, bytes.span(), host_ws);
    decode(host_exec{}, c, bytes.span(), y, host_ws);
    return y;
  };
  auto const whole = on_host(period);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i + period <= n; i += period)
    wrong += support::same_bytes(x.part(i, period), whole) ? 0u : 1u;
  CHECK(wrong == 0);
  CHECK(support::same_bytes(x.part(n - n % period, n % period), on_host(n % period)));
}

TEST_CASE("cuda large: top_k finds the largest of 2^31 + 5 values wherever they are") {
  if (!enough_memory()) return;
  constexpr std::size_t n = over_2_31;
  std::size_t const places[] = {0, 4096, (std::size_t{1} << 31) - 1, std::size_t{1} << 31, n - 1};
  top_k const c{.count = std::size(places)};
  cuda_exec const ex;
  workspace ws{ex};
  raw_array<float> const x(n), y(n);
  raw_array<std::byte> const payload(payload_bytes(c, n));
  ex.fill_zero(x.data(), n * sizeof(float));
  for (std::size_t i = 0; i < std::size(places); ++i) {
    float const v = 2.0f + static_cast<float>(i);
    ex.copy_from_host(x.data() + places[i], &v, sizeof v);
  }
  encode(ex, c, std::span<float const>(x.span()), payload.span(), ws);
  detail::check_cuda(cudaMemset(y.data(), 0x5a, n * sizeof(float)), "cudaMemset");
  decode(ex, c, payload.span(), y.span(), ws);
  ws.check();
  constexpr std::size_t piece = std::size_t{1} << 24;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < n; i += piece) {
    std::size_t const m = std::min(piece, n - i);
    wrong += support::same_bytes(x.part(i, m), y.part(i, m)) ? 0u : 1u;
  }
  CHECK(wrong == 0);
  for (std::size_t i = 0; i < std::size(places); ++i) CHECK(y.part(places[i], 1)[0] == 2.0f + static_cast<float>(i));
}

#endif
