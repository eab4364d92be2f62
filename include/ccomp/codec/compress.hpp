#pragma once
/// compress and decompress, with any exec: payloads in a frame that describes them. Frames and tensors are memory of
/// the exec; the bytes are the same for every exec.

#include <ccomp/codec/encode.hpp>
#include <ccomp/codec/frame.hpp>

CCOMP_BEGIN

/// Bytes that `compress` may write for n values of type T.
template <element T = float, compressor C> std::size_t max_compressed_bytes(C const& c, std::size_t n) {
  return sizeof(detail::frame_header) + payload_bytes<T>(c, n);
}

namespace detail {

/// The parts that depend on the engine alone, so that all chains of the host share them.
template <class Engine, class Exec>
std::size_t compress_by(Engine const& engine, char const* call, program stages, const_values x,
                        std::span<std::byte> out, workspace<Exec>& ws, pass_options const& at) {
  std::size_t const room = capacity(stages, x.n, x.type);
  expect_payload(out.size(), sizeof(frame_header) + room, call);
  engine.expect_memory(out.data(), "the output");
  engine.expect_memory(x.data, "the input");
  engine.expect_step(at.at);
  [[maybe_unused]] auto const queued = engine.queue();
  auto const target = out.subspan(sizeof(frame_header));
  bool const aligned = reinterpret_cast<std::uintptr_t>(target.data()) % 16 == 0;
  std::size_t const seal = engine.seal_scratch, copied = aligned ? 0 : pad16(room);
  auto const memory = ws.reserve(seal + copied + engine.template encode_scratch<false>(x), call);
  auto const payload = aligned ? target : memory.subspan(seal, room);
  std::size_t used = engine.template encode<false>(x, {}, at, payload, memory.subspan(seal + copied));
  used = engine.encoded_bytes(payload.data(), used, x);
  if (!aligned) engine.copy(target.data(), payload.data(), used);
  engine.seal(make_header(stages, x.type, x.n, at, used), at, payload.first(used), out.data(), memory.first(seal));
  return sizeof(frame_header) + used;
}
template <class Engine, class Exec>
frame_info decompress_by(Engine const& engine, char const* call, program stages, std::span<std::byte const> bytes,
                         values y, workspace<Exec>& ws) {
  expect_header(bytes.size());
  engine.expect_memory(y.data, "the output");
  engine.expect_memory(bytes.data(), "the frame");
  [[maybe_unused]] auto const queued = engine.queue();
  frame_header const h = engine.read(bytes);
  frame_info const info = read_header(h, bytes.size());
  auto source = bytes.subspan(sizeof h);
  bool const aligned = reinterpret_cast<std::uintptr_t>(source.data()) % 16 == 0;
  std::size_t const seal = engine.seal_scratch, copied = aligned ? 0 : pad16(source.size());
  auto const memory = ws.reserve(seal + copied + engine.decode_checked_scratch(y), call);
  if (!aligned) {
    engine.copy(memory.data() + seal, source.data(), source.size());
    source = memory.subspan(seal, source.size());
  }
  check_checksum(h, engine.frame_checksum(h, source, memory.first(seal)));
  expect_frame(info, stages, y.type, y.n);
  expect_extent(source.size(), engine.extent(source, y));
  engine.decode_checked(source, y, {info.at, info.tensor, info.rank}, memory.subspan(seal + copied));
  return info;
}

}  // namespace detail

/// Codes `in` into a frame and returns the size of the frame. `out` may start anywhere and has at least
/// `max_compressed_bytes<T>(c, n)` bytes.
///
/// With a cuda_exec the call is asynchronous, except for a chain whose size depends on the values (threshold): then the
/// call waits for the size, and it throws while the stream records a graph.
template <class Exec, compressor C, class In>
std::size_t compress(Exec const& ex, C const& c, In const& in, std::span<std::byte> out, workspace<Exec>& ws,
                     pass_options at = {}) {
  using namespace detail;
  constexpr auto call = "compress";
  if constexpr (codec_exists<Exec>()) {
    exclusive_use const alone(ws.usage(), call, "workspace");
    auto const x = view(input_span(in));
    auto const stages = codec_engine<Exec>::stages_of(c);
    validate(stages);
    auto const engine = codec_engine<Exec>::make(ex, c, stages, ws, call);
    return compress_by(engine, call, stages, x, out, ws, at);
  } else {
    return 0;
  }
}

/// Decodes a frame into `out`. Throws payload_error and writes nothing if the frame is damaged, or belongs to another
/// compressor (settings and seeds included), another element type or another size. With a cuda_exec the call waits,
/// because the host checks header and checksum.
template <class Exec, compressor C, class Out>
frame_info decompress(Exec const& ex, C const& c, std::span<std::byte const> bytes, Out&& out, workspace<Exec>& ws) {
  using namespace detail;
  constexpr auto call = "decompress";
  if constexpr (codec_exists<Exec>()) {
    exclusive_use const alone(ws.usage(), call, "workspace");
    auto const y = view(output_span(out));
    auto const stages = codec_engine<Exec>::stages_of(c);
    validate(stages);
    auto const engine = codec_engine<Exec>::make(ex, c, stages, ws, call);
    return decompress_by(engine, call, stages, bytes, y, ws);
  } else {
    return {};
  }
}

CCOMP_END
