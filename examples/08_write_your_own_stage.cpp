// Your own quantizer, made of scalar pieces; ccomp derives packing, error feedback, collectives and text from it.
#include <ccomp/ccomp.hpp>

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

// [stage]
namespace mylab {

/// Levels of +-1/2, +-3/2, ... +-15/2 times a scale that a block shares. There is no level at zero, so this is for
/// values none of which is small, such as those that top_k keeps.
struct midrise {
  static constexpr std::string_view name = "midrise";
  static constexpr int bits = 4;  // sign and three bits of magnitude

  std::uint32_t block = 64;  // values that share a scale: a power of two from 16 to 4096

  static constexpr auto fields() { return std::tuple{ccomp::field{"block", &midrise::block}}; }

  using statistic = ccomp::max_abs;  // what has to be known of a block before its values can be coded
  struct parameters {                // what travels beside the codes; floats only
    float scale;
  };
  CCOMP_HD parameters fit(ccomp::max_abs m, std::size_t) const {
    return {m.value() < 0x1p-118f ? 0.0f : m.value() * 0.125f};  // below, the inverse would overflow
  }
  CCOMP_HD std::uint32_t code(float x, parameters p, std::uint32_t) const {
    float const inverse = p.scale > 0 ? 1 / p.scale : 0.0f;
    auto const level = static_cast<std::int32_t>((x < 0 ? -x : x) * inverse);
    return (x < 0 ? 8u : 0u) | static_cast<std::uint32_t>(level < 7 ? level : 7);
  }
  CCOMP_HD float value(std::uint32_t code, parameters p) const {
    float const level = static_cast<float>(static_cast<std::int32_t>(code & 7u)) + 0.5f;
    return ((code & 8u) != 0 ? -level : level) * p.scale;
  }
  /// Every value is off by at most scale / 2 = max|x| / 16, a block of b values by b / 256 of its squared norm.
  bool contracts() const { return block < 256; }
};
static_assert(ccomp::check_stage<midrise>());  // names what is missing, if anything is

}
// [/stage]

int main() {
  std::mt19937 engine(8);
  std::normal_distribution<float> normal;
  std::vector<float> gradient(64 * 1000);
  for (float& g : gradient) g = normal(engine);
  gradient[0] = HUGE_VALF;  // infinite: makes its block NaN, and no other
  // [claims]
  std::vector<float> decoded(gradient.size());
  std::vector<std::byte> payload(ccomp::payload_bytes<float>(mylab::midrise{}, gradient.size()));
  ccomp::workspace ws{ccomp::host_exec{}};
  ccomp::encode({}, mylab::midrise{}, gradient, payload, ws);
  ccomp::decode({}, mylab::midrise{}, payload, decoded, ws);
  bool good = std::isnan(decoded[0]) && std::isnan(decoded[63]);
  for (std::size_t i = 64; i < decoded.size(); ++i) {
    float top = 0;
    for (std::size_t j = i / 64 * 64; j < i / 64 * 64 + 64; ++j) top = std::max(top, std::abs(gradient[j]));
    good = good && std::abs(decoded[i] - gradient[i]) <= top / 16 * 1.000001f;
  }
  // [/claims]
  gradient[0] = 0;
  // [use]
  ccomp::stage_registry registry = ccomp::stage_registry::standard();
  registry.add<mylab::midrise>("sixteen levels, none of them zero");
  ccomp::any_compressor const chosen("top_k(0.05) | midrise(block=128)", registry);
  std::vector<std::vector<float>> result(4, gradient);
  ccomp::thread_group(4).run([&](ccomp::thread_communicator& comm) {
    auto& mine = result[static_cast<std::size_t>(comm.rank())];
    ccomp::workspace memory{ccomp::host_exec{}};
    ccomp::error_feedback feedback{chosen, mine.size()};
    ccomp::allreduce({}, comm, feedback, mine, memory);
  });
  // [/use]
  for (auto const& r : result) good = good && r == result[0] && r != gradient;
  std::printf("%s: %s\n", chosen.text().c_str(), good ? "all claims hold" : "A CLAIM DOES NOT HOLD");
  return good ? 0 : 1;
}
