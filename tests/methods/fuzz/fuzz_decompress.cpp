/// Frames from anywhere: decompress refuses them or decodes them, within bounds, and writes nothing when it refuses.
///
/// Byte 0 chooses the compressor among those of stage_list.hpp, byte 1 the element type and whether a frame is made
/// around the rest (so that mutations reach what lies behind the checksum), bytes 2 and 3 the number of values. The rest
/// is the frame, or the payload.

#include <support/compressor_texts.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/low_rank/als.hpp>
#include <ccomp/low_rank/svd.hpp>
#include <ccomp/low_rank/tensor_train.hpp>
#include <ccomp/low_rank/tucker.hpp>
#if __has_include(<Eigen/Core>)
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/low_rank/randomized_svd.hpp>
#endif
#include <ccomp/testing/hostile_frames.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace ccomp;

[[noreturn]] void broken(char const* what, std::string const& text) {
  std::fprintf(stderr, "%s: %s\n", text.c_str(), what);
  std::abort();
}

/// Those of compressor_texts.hpp, then those of the joining stages that are there.
std::vector<std::string> known_texts() {
  auto all = support::compressor_texts();
  for (auto const& known : known_stages())
    for (auto const& row : detail::joining_stages)
      if (known.name == row.name)
        for (auto const* list : {&row.compared, &row.timed, &row.examples}) detail::add_texts(all, *list);
  return all;
}
/// Some compressors take few numbers of values: in place of any other, that of the shapes in the rows' examples.
std::size_t accepted_size(any_compressor const& c, std::size_t n) {
  for (std::size_t const size : {n, std::size_t{1000}, std::size_t{64 * 64 * 3 * 3}}) {
    try {
      static_cast<void>(detail::capacity(c.stages(), size, element_type::float32));
      return size;
    } catch (invalid_argument const&) {
    }
  }
  broken("takes no number of values that is known here", c.text());
}

template <class T> void attempt(any_compressor const& c, std::vector<std::byte> const& bytes, std::size_t n) {
  static workspace<host_exec> ws{{1}};
  auto const fault = testing::detail::decompress_fault<T>(c, bytes, n, ws);
  if (!fault.empty()) broken(fault.c_str(), c.text());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size < 4) return 0;
  static std::vector<std::string> const texts = known_texts();
  static std::vector<std::optional<any_compressor>> made(texts.size());
  std::size_t const which = data[0] % texts.size();
  if (!made[which]) made[which].emplace(texts[which]);
  any_compressor const& c = *made[which];
  std::size_t const n = accepted_size(c, (data[2] | std::size_t{data[3]} << 8) % 3000);
  auto const type = static_cast<element_type>(data[1] % 3);
  bool const framed = (data[1] & 0x80) == 0;

  std::vector<std::byte> bytes(size - 4 + (framed ? sizeof(detail::frame_header) : 0));
  auto* const rest = bytes.data() + (bytes.size() - (size - 4));
  if (size > 4) std::memcpy(rest, data + 4, size - 4);
  if (framed) {
    // Sizes are guessed rarely: the payload is cut or filled up to what fits, unless a bit says otherwise.
    if ((data[1] & 0x40) == 0) {
      constexpr std::size_t header = sizeof(detail::frame_header);
      std::size_t const room = detail::capacity(c.stages(), n, type);
      bytes.resize(header + room);
      std::size_t const extent = [&] {
        try {
          return detail::extent(c.stages(), bytes.data() + header, room, n, type);
        } catch (payload_error const&) {
          return room;
        }
      }();
      bytes.resize(header + extent);
      bytes.shrink_to_fit();
    }
    testing::detail::make_frame(c, type, n, bytes);
  }
  switch (type) {
    case element_type::float32:
      attempt<float>(c, bytes, n);
      break;
    case element_type::float16:
      attempt<float16>(c, bytes, n);
      break;
    case element_type::bfloat16:
      attempt<bfloat16>(c, bytes, n);
      break;
  }
  return 0;
}
