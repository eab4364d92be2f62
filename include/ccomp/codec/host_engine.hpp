#pragma once
/// The passes of one tensor on the host.

#include <ccomp/codec/encode.hpp>
#include <ccomp/codec/frame.hpp>
#include <ccomp/core/payload.hpp>
#include <ccomp/core/reach.hpp>
#include <ccomp/engine/host/checksum.hpp>
#include <ccomp/engine/host/ops.hpp>
#include <ccomp/engine/host/program_codec.hpp>

CCOMP_BEGIN
namespace detail {

inline std::uint64_t frame_checksum(host_exec const& ex, frame_header const& h, std::span<std::byte const> payload) {
  std::byte bytes[frame_header::checked_bytes];
  std::memcpy(bytes, &h, sizeof bytes);
  return hash64(checksum(bytes), checksum(ex, payload));
}

class host_codec {
 public:
  host_codec(host_exec const& ex, program stages, char const* call) : ex_(ex), stages_(stages), call_(call) {}

  void expect_memory(void const* p, char const* what) const { expect_host_memory(p, call_, what); }
  void expect_step(step at) const {
    expects(!at.on_device,
            [&] { return sentence(call_, ": a step in device memory needs a cuda_exec; a host_exec cannot read it"); });
  }
  /// Decoding checks the size.
  static void expect_whole(std::span<std::byte const>, values const&) {}

  /// The host queues no work.
  [[nodiscard]] static int queue() { return 0; }

  template <bool Feedback> [[nodiscard]] std::size_t encode_scratch(const_values const& x) const {
    return scratch_bytes(stages_, x.n);
  }
  template <bool Feedback>
  std::size_t encode(const_values const& x, residual_ref residual, pass_options const& at, std::span<std::byte> payload,
                     std::span<std::byte> memory) const {
    return detail::encode(stages_, {ex_, at}, x, x.type, residual, payload, scratch(memory));
  }
  [[nodiscard]] std::size_t decode_scratch(values const& y) const { return scratch_bytes(stages_, y.n); }
  void decode(std::span<std::byte const> payload, values const& y, bool add, pass_options const& at,
              std::span<std::byte> memory) const {
    std::byte const* const one[] = {payload.data()};
    sum_decoded(stages_, {ex_, at}, one, payload.size(), y.type, y, 1.0f, scratch(memory), add);
  }
  static void copy(void* to, void const* from, std::size_t bytes) { host_exec::copy(to, from, bytes); }

  static constexpr std::size_t seal_scratch = 0;
  void seal(frame_header h, pass_options const&, std::span<std::byte const> payload, std::byte* out,
            std::span<std::byte>) const {
    h.checksum = detail::frame_checksum(ex_, h, payload);
    std::memcpy(out, &h, sizeof h);
  }
  static frame_header read(std::span<std::byte const> bytes) {
    frame_header h;
    std::memcpy(&h, bytes.data(), sizeof h);
    return h;
  }
  [[nodiscard]] std::uint64_t frame_checksum(frame_header const& h, std::span<std::byte const> payload,
                                             std::span<std::byte>) const {
    return detail::frame_checksum(ex_, h, payload);
  }
  [[nodiscard]] std::size_t encoded_bytes(std::byte const*, std::size_t used, const_values const&) const {
    return used;
  }
  [[nodiscard]] std::size_t extent(std::span<std::byte const> payload, values const& y) const {
    return detail::extent(stages_, payload.data(), payload.size(), y.n, y.type);
  }
  /// Errors are found before anything is written.
  [[nodiscard]] std::size_t decode_checked_scratch(values const& y) const { return decode_scratch(y); }
  void decode_checked(std::span<std::byte const> payload, values const& y, pass_options const& at,
                      std::span<std::byte> memory) const {
    decode(payload, y, false, at, memory);
  }

 private:
  host_exec const& ex_;
  program stages_;
  char const* call_;
};

template <> struct codec_engine<host_exec> {
  template <class C> static auto stages_of(C const& c) { return host_stages_of(c); }
  template <class C>
  static host_codec make(host_exec const& ex, C const&, program stages, workspace<host_exec>&, char const* call) {
    return {ex, stages, call};
  }
};

}  // namespace detail

/// What the header of a frame states, after every check that needs no compressor. Throws payload_error.
inline frame_info inspect(std::span<std::byte const> bytes, host_exec const& ex = {}) {
  detail::expect_header(bytes.size());
  detail::host_codec const engine(ex, {}, "inspect");
  engine.expect_memory(bytes.data(), "the frame");
  auto const h = detail::host_codec::read(bytes);
  frame_info const info = detail::read_header(h, bytes.size());
  detail::check_checksum(h, detail::frame_checksum(ex, h, bytes.subspan(sizeof h)));
  return info;
}

CCOMP_END
