#pragma once
/// The passes of one tensor on a GPU.

#include <ccomp/codec/encode.hpp>
#include <ccomp/codec/frame.cuh>
#include <ccomp/engine/cuda/program.cuh>

CCOMP_BEGIN
namespace detail {

template <class C> class device_codec {
 public:
  static constexpr std::size_t seal_scratch = 64;  // the checksum's sum

  device_codec(cuda_exec const& ex, C const& c, program stages, workspace<cuda_exec>& ws, char const* call)
      : ex_(ex), compressor_(c), stages_(stages), ws_(ws), call_(call) {
    expect_device(ex, call);
    ws.expect_stream(ex, call);
    ws.raise(call);
    // Only vector stages find fault with payloads.
    if (first_segment(stages).vector()) status_ = ws.status(call);
  }

  void expect_memory(void const* p, char const* what) const { expect_device_memory(ex_, p, call_, what); }
  void expect_step(step at) const { expect_memory(at.on_device, "the step"); }
  /// Kernels check the content of a payload, not its length.
  void expect_whole(std::span<std::byte const> payload, values const& y) const {
    expect_payload(payload.size(), capacity(stages_, y.n, y.type), call_);
  }
  [[nodiscard]] queued_call queue() const { return {ex_, ws_}; }
  void copy(void* to, void const* from, std::size_t bytes) const { ex_.copy(to, from, bytes); }

  template <bool Feedback> [[nodiscard]] std::size_t encode_scratch(const_values const& x) const {
    return device_scratch_bytes(encode_pass<Feedback>, program_for<encode_pass<Feedback>>(), call_of(x, {}), ws_);
  }
  template <bool Feedback>
  std::size_t encode(const_values const& x, residual_ref residual, pass_options const& at, std::span<std::byte> payload,
                     std::span<std::byte> memory) const {
    ws_.note_use(residual.data);
    block_call call = call_of(x, at);
    call.whole.in = {x.data, x.type};
    call.whole.residual = {residual.data, residual.type};
    call.how.decay = residual.decay;
    call.whole.payload = payload.data();
    run_pass(encode_pass<Feedback>, ex_, program_for<encode_pass<Feedback>>(), call, scratch(memory), ws_);
    return capacity(stages_, x.n, x.type);
  }
  [[nodiscard]] std::size_t decode_scratch(values const& y) const {
    block_call call = call_of(y, {});
    call.sum.count = 1;
    return device_scratch_bytes(device_pass::decode, program_for<device_pass::decode>(), call, ws_);
  }
  void decode(std::span<std::byte const> payload, values const& y, bool add, pass_options const& at,
              std::span<std::byte> memory) const {
    block_call call = call_of(y, at);
    call.sum.sources = payload.data();
    call.sum.count = 1;
    call.whole.out = {y.data, y.type};
    call.sum.add_to_out = add;
    run_pass(device_pass::decode, ex_, program_for<device_pass::decode>(), call, scratch(memory), ws_);
  }

  /// The bytes written by a chain whose size depends on the values. The host waits and reads them.
  [[nodiscard]] std::size_t encoded_bytes(std::byte const* payload, std::size_t room, const_values const& x) const {
    return counted() ? counted_extent(payload, room, x.n, x.type) : room;
  }
  [[nodiscard]] std::size_t extent(std::span<std::byte const> payload, values const& y) const {
    std::size_t const room = capacity(stages_, y.n, y.type);
    return counted() && payload.size() <= room ? counted_extent(payload.data(), payload.size(), y.n, y.type) : room;
  }
  void seal(frame_header const& h, pass_options const& at, std::span<std::byte const> payload, std::byte* out,
            std::span<std::byte> memory) const {
    queue_checksum(ex_, payload, memory.data());
    launch(ex_, "frame_header", frame_header_kernel<>, dim3(1), 1, h, at.at,
           reinterpret_cast<checksum_word const*>(memory.data()), out);
  }
  [[nodiscard]] frame_header read(std::span<std::byte const> bytes) const {
    frame_header h;
    ex_.copy_to_host(&h, bytes.data(), sizeof h);
    return h;
  }
  [[nodiscard]] std::uint64_t frame_checksum(frame_header const& h, std::span<std::byte const> payload,
                                             std::span<std::byte> memory) const {
    queue_checksum(ex_, payload, memory.data());
    checksum_word sum = 0;
    ex_.copy_to_host(&sum, memory.data(), sizeof sum);
    return device_frame_checksum(h, sum);
  }
  /// Only the kernels that decode a sparsifier's payload can check its indices. Until then the values stay in scratch
  /// memory.
  [[nodiscard]] std::size_t decode_checked_scratch(values const& y) const {
    return waiting_bytes(y) + decode_scratch(y);
  }
  void decode_checked(std::span<std::byte const> payload, values const& y, pass_options const& at,
                      std::span<std::byte> memory) const {
    if (!status_) return decode(payload, y, false, at, memory);
    values const waiting{memory.data(), y.type, y.n};
    decode(payload, waiting, false, at, memory.subspan(waiting_bytes(y)));
    ex_.synchronize();
    expects<payload_error>(!status_->take_bad_payload(),
                           "decompress: the indices in the frame are not what any encode produces");
    ex_.copy(y.data, waiting.data, y.n * element_bytes(y.type));
  }

 private:
  template <bool Feedback>
  static constexpr device_pass encode_pass = Feedback ? device_pass::encode_feedback : device_pass::encode;

  template <device_pass Pass> [[nodiscard]] device_program program_for() const {
    return device_program_of<Pass>(compressor_, stages_);
  }
  [[nodiscard]] block_call call_of(const_values const& v, pass_options const& at) const {
    block_call call = device_call(v.n, v.type, at);
    call.status = status_;
    return call;
  }
  [[nodiscard]] bool counted() const {
    return std::ranges::any_of(stages_, [](stage_ref const& s) { return s.facts->vector && s.facts->vector->counted; });
  }
  [[nodiscard]] std::size_t counted_extent(std::byte const* payload, std::size_t bytes, std::size_t n,
                                           element_type type) const {
    std::vector<std::uint64_t> copy(ceil_div(bytes, 8));
    ex_.copy_to_host(copy.data(), payload, bytes);
    return detail::extent(stages_, reinterpret_cast<std::byte const*>(copy.data()), bytes, n, type);
  }
  [[nodiscard]] std::size_t waiting_bytes(values const& y) const {
    return status_ ? round_up(y.n * element_bytes(y.type), 64) : 0;
  }

  cuda_exec const& ex_;
  C const& compressor_;
  program stages_;
  workspace<cuda_exec>& ws_;
  char const* call_;
  device_status* status_ = nullptr;
};

template <> struct codec_engine<cuda_exec> {
  template <class C> static auto stages_of(C const& c) { return detail::stages_of(c); }
  template <class C>
  static device_codec<C> make(cuda_exec const& ex, C const& c, program stages, workspace<cuda_exec>& ws,
                              char const* call) {
    return {ex, c, stages, ws, call};
  }
};

}  // namespace detail
CCOMP_END
