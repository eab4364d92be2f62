// expect: stage needs: static constexpr std::string_view name
#include <ccomp/core/concepts.hpp>
#include <ccomp/core/statistic.hpp>

#include <tuple>

struct half_done {
  static constexpr auto fields() { return std::tuple{}; }
  std::size_t side_bytes(std::size_t) const { return 0; }
  std::size_t carrier_size(std::size_t n) const { return n; }
  std::size_t encode(ccomp::host_exec const&, std::span<float const>, std::span<std::byte>, std::span<float>,
                     std::span<std::byte>, ccomp::pass_options) const {
    return 0;
  }
  void decode(ccomp::host_exec const&, std::span<std::byte const>, std::span<float const>, std::span<float>,
              std::span<std::byte>, ccomp::pass_options) const {}
};
static_assert(ccomp::check_stage<half_done>());
