#pragma once
/// compress and decompress with a cuda_exec: frames in device memory, the same bytes as on the host.

#include <ccomp/codec.hpp>
#include <ccomp/passes.cuh>

CCOMP_BEGIN
namespace detail {

/// Adds the checksum terms of a payload to `sum`; a last word that is short is filled up with zeros.
template <class Word> __global__ void checksum_kernel(std::byte const* data, std::uint64_t bytes, Word* sum) {
  std::uint64_t const words = (bytes + 7) / 8, stride = std::uint64_t{gridDim.x} * blockDim.x;
  std::uint64_t total = 0;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < words; i += stride) {
    std::uint64_t w = 0;
    if (8 * i + 8 <= bytes)
      w = reinterpret_cast<std::uint64_t const*>(data)[i];
    else
      for (std::uint64_t b = 8 * i; b < bytes; ++b) w |= static_cast<std::uint64_t>(data[b]) << (8 * (b % 8));
    total += checksum_term(w, i);
  }
  for (int d = 16; d > 0; d /= 2) total += __shfl_xor_sync(full_warp, total, d);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, static_cast<Word>(total));
}
/// What `frame_checksum` is on the host, from the sum over the payload.
CCOMP_HD inline std::uint64_t device_frame_checksum(frame_header const& h, std::uint64_t payload_sum) {
  std::uint64_t words[8], own = mix64(56 + 1);
  __builtin_memcpy(words, &h, sizeof words);
  for (int i = 0; i < 7; ++i) own += checksum_term(words[i], static_cast<std::uint64_t>(i));
  return hash64(own, mix64(h.length + 1) + payload_sum);
}
/// The header goes to any address.
template <class Header>
__global__ void frame_header_kernel(Header h, step at, unsigned long long const* payload_sum, std::byte* out) {
  h.step = at.on_device ? *at.on_device : at.number;
  h.checksum = device_frame_checksum(h, *payload_sum);
  auto const* const bytes = reinterpret_cast<std::byte const*>(&h);
  for (unsigned i = 0; i < sizeof h; ++i) out[i] = bytes[i];
}

using checksum_word = unsigned long long;
/// Bytes of the workspace that hold the sum.
inline constexpr std::size_t checksum_bytes = 64;

inline void queue_checksum(cuda_exec const& ex, std::byte const* payload, std::size_t bytes, std::byte* sum) {
  ex.fill_zero(sum, sizeof(checksum_word));
  constexpr unsigned threads = 128;
  auto const blocks = static_cast<unsigned>(std::min<std::size_t>(ceil_div(ceil_div(bytes, 8), threads), 4096));
  launch(ex, "checksum", checksum_kernel<checksum_word>, dim3(blocks), threads, payload, std::uint64_t{bytes},
         reinterpret_cast<checksum_word*>(sum));
}

/// How many bytes a payload takes whose values decide that: read by the host, which waits.
inline std::size_t counted_extent(cuda_exec const& ex, program stages, std::byte const* payload, std::size_t bytes,
                                  std::size_t n, element_type type) {
  std::vector<std::uint64_t> copy(ceil_div(bytes, 8));
  ex.copy_to_host(copy.data(), payload, bytes);
  return extent(stages, reinterpret_cast<std::byte const*>(copy.data()), bytes, n, type);
}
inline bool is_counted(program stages) {
  for (auto const& s : stages)
    if (s.ops->vector && s.ops->vector->counted) return true;
  return false;
}

}  // namespace detail

/// Codes `in` into a frame, as on the host; returns its size. Asynchronous, except for a chain whose size depends on the
/// values (threshold): there the call waits to learn it. Not while the stream records a graph, then.
template <compressor C, class In>
std::size_t compress(cuda_exec const& ex, C const& c, In const& in, std::span<std::byte> out, workspace<cuda_exec>& ws,
                     pass_options at = {}) {
  using namespace detail;
  exclusive_use const alone(ws.usage(), "compress", "workspace");
  auto const x = input_span(in);
  using T = std::remove_cv_t<typename decltype(x)::element_type>;
  constexpr auto type = element_type_of<T>;
  auto const stages = stages_of(c);
  validate(stages);
  std::size_t const room = capacity(stages, x.size(), type);
  expect_device(ex, "compress");
  ws.expect_stream(ex, "compress");
  ws.raise("compress");
  expect_payload(out.size(), sizeof(frame_header) + room, "compress");
  expect_device_memory(ex, out.data(), "compress", "the output");
  expect_device_memory(ex, x.data(), "compress", "the input");
  expect_device_memory(ex, at.at.on_device, "compress", "the step");

  queued_call const queued(ex, ws);
  auto const target = out.subspan(sizeof(frame_header));
  bool const aligned = reinterpret_cast<std::uintptr_t>(target.data()) % 16 == 0;
  block_call k = device_call(x.size(), type, at);
  k.in = {x.data(), type};
  k.status = status_for(stages, ws, "compress");
  auto const p = device_program_of<device_pass::encode>(c, stages);
  std::size_t const copied = aligned ? 0 : pad16(room);
  auto const memory =
      ws.reserve(checksum_bytes + copied + device_scratch_bytes(device_pass::encode, p, k, ws), "compress");
  k.payload = aligned ? target.data() : memory.data() + checksum_bytes;
  run_pass(device_pass::encode, ex, p, k, scratch(memory.subspan(checksum_bytes + copied)), ws);
  std::size_t const used = is_counted(stages) ? counted_extent(ex, stages, k.payload, room, x.size(), type) : room;
  if (!aligned) ex.copy(target.data(), k.payload, used);
  queue_checksum(ex, k.payload, used, memory.data());
  launch(ex, "frame_header", frame_header_kernel<frame_header>, dim3(1), 1,
         make_header(stages, type, x.size(), at, used), at.at, reinterpret_cast<checksum_word const*>(memory.data()),
         out.data());
  return sizeof(frame_header) + used;
}

/// Writes the values a frame stands for, after the host has judged its header and its checksum: this call waits. Throws
/// payload_error, and writes nothing, where the host's decompress would.
template <compressor C, class Out>
frame_info decompress(cuda_exec const& ex, C const& c, std::span<std::byte const> bytes, Out&& out,
                      workspace<cuda_exec>& ws) {
  using namespace detail;
  exclusive_use const alone(ws.usage(), "decompress", "workspace");
  auto const y = output_span(out);
  using T = typename decltype(y)::element_type;
  constexpr auto type = element_type_of<T>;
  auto const stages = stages_of(c);
  validate(stages);
  expect_device(ex, "decompress");
  ws.expect_stream(ex, "decompress");
  ws.raise("decompress");
  expect_header(bytes.size());
  expect_device_memory(ex, bytes.data(), "decompress", "the frame");
  expect_device_memory(ex, y.data(), "decompress", "the output");
  queued_call const queued(ex, ws);
  frame_header h;
  ex.copy_to_host(&h, bytes.data(), sizeof h);
  frame_info const info = read_header(h, bytes.size());

  auto const source = bytes.subspan(sizeof h);
  bool const aligned = reinterpret_cast<std::uintptr_t>(source.data()) % 16 == 0;
  block_call k = device_call(y.size(), type, {info.at, info.tensor, info.rank});
  k.source_count = 1;
  k.status = status_for(stages, ws, "decompress");
  auto const p = device_program_of<device_pass::decode>(c, stages);
  std::size_t const copied = aligned ? 0 : pad16(source.size());
  // Only the kernels that decode a sparsifier's payload find its indices wrong: until then the values wait.
  std::size_t const waiting = k.status ? scratch::bytes_for<T>(y.size()) : 0;
  auto const memory =
      ws.reserve(waiting + checksum_bytes + copied + device_scratch_bytes(device_pass::decode, p, k, ws), "decompress")
          .subspan(waiting);
  T* const decoded = k.status ? reinterpret_cast<T*>(memory.data() - waiting) : y.data();
  k.out = {decoded, type};
  if (!aligned) ex.copy(memory.data() + checksum_bytes, source.data(), source.size());
  k.sources = aligned ? source.data() : memory.data() + checksum_bytes;
  queue_checksum(ex, k.sources, source.size(), memory.data());
  checksum_word sum = 0;
  ex.copy_to_host(&sum, memory.data(), sizeof sum);
  check_checksum(h, device_frame_checksum(h, sum));
  expect_frame(info, stages, type, y.size());
  std::size_t const room = capacity(stages, y.size(), type);
  expect_extent(source.size(), is_counted(stages) && source.size() <= room
                                   ? counted_extent(ex, stages, k.sources, source.size(), y.size(), type)
                                   : room);
  run_pass(device_pass::decode, ex, p, k, scratch(memory.subspan(checksum_bytes + copied)), ws);
  if (k.status) {
    ex.synchronize();
    expects<payload_error>(!k.status->take_bad_payload(),
                           "decompress: the indices in the frame are not what any encode produces");
    ex.copy(y.data(), decoded, y.size_bytes());
  }
  return info;
}

CCOMP_END
