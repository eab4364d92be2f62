#pragma once
/// A chain as engines see it: leading transforms, one stage that ends the segment, and the tail that codes that stage's
/// carrier. Sizes follow from (chain, n, element type) alone.

#include <ccomp/core/stage_facts.hpp>

#include <algorithm>
#include <span>

CCOMP_BEGIN
namespace detail {

using program = std::span<stage_ref const>;

/// The first segment of a program. Exactly one of quantizer, cast and vector ends it, or none (raw values).
struct segment {
  program transforms;
  stage_ref end;
  program tail;  // only after a vector stage

  [[nodiscard]] quantizer_facts const* quantizer() const { return end.facts ? end.facts->quantizer : nullptr; }
  [[nodiscard]] element_type const* cast() const { return end.facts ? end.facts->cast : nullptr; }
  [[nodiscard]] vector_facts const* vector() const { return end.facts ? end.facts->vector : nullptr; }
};

inline segment first_segment(program p) {
  std::size_t i = 0;
  while (i < p.size() && p[i].facts->transform) ++i;
  segment s{p.first(i), {}, {}};
  if (i < p.size()) {
    s.end = p[i];
    s.tail = p.subspan(i + 1);
  }
  return s;
}

inline bool is_linear(program p) {
  for (auto const& s : p)
    if (!s.facts->linear) return false;
  return true;
}

/// Whether a stage draws random bits, so that the bytes depend on the step.
inline bool is_stochastic(program p) {
  for (auto const& s : p)
    if (s.facts->stochastic(s.stage)) return true;
  return false;
}
/// Settings are in range and nothing follows a stage that leaves no values.
void validate(program p);

/// Fingerprint of the chain, seeds included; ranks and frames compare it.
inline std::uint64_t fingerprint(program p) {
  std::uint64_t h = 0x63636f6d70ull;
  for (auto const& s : p) h = hash64(h, fingerprint_of(*s.facts->description, s.stage));
  return h;
}
std::string text(program p);

/// Stages of a chain that text or a GPU's kernels describe.
inline constexpr std::size_t most_stages = 16;

/// More values than any memory holds. Below that no size in bytes can wrap.
inline constexpr std::size_t most_values = std::size_t{1} << 56;
void expect_countable(std::size_t n, char const* call);

/// Calls that are made once per step need one where the chain draws: with none given all would draw the same bits.
void expect_step(char const* call, program p, step at);

/// Error feedback needs a chain whose error does not exceed its input. Behind a stage whose carrier is not made of the
/// tensor's values (factors, gains), that is not enough of each stage: what it sends is multiplied, and two coarse factors
/// may have a product that is further off than zero. There a cast or a quantizer of at least 4 bits may follow.
void expect_contraction(program p, std::size_t n);

/// Values that must stay together when a tensor is cut for several ranks. Blocks are powers of two, so the largest
/// divides into all; 256 is the group that shares random counters.
std::size_t granule(program p);

/// The element type of what the segment's end leaves: transforms compute in float, and so do some vector stages.
inline element_type carried_type(segment const& s, element_type type) {
  return s.transforms.empty() && !(s.vector() && s.vector()->floats) ? type : element_type::float32;
}

/// Where the parts of a quantizer's payload lie.
struct quantizer_layout {
  std::size_t side, codes;
  [[nodiscard]] std::size_t total() const { return side + codes; }
};
inline quantizer_layout layout_of(stage_ref q, std::size_t n) {
  auto const& facts = *q.facts->quantizer;
  return {pad16(ceil_div(n, facts.block(q.stage)) * facts.parameter_bytes(q.stage)),
          pad16(packed_bytes(n, facts.bits))};
}

std::size_t capacity(program p, std::size_t n, element_type type);

/// What a linear program sends: so many values of this type.
struct linear_carrier {
  std::size_t n;
  element_type type;
};
linear_carrier carrier_of(program p, std::size_t n, element_type type);

/// The chain that encodes a sum of payloads: what was selected once is not selected again.
class sum_program {
 public:
  sum_program(program p, std::size_t payloads);
  sum_program(sum_program const&) = delete;
  sum_program& operator=(sum_program const&) = delete;
  operator program() const { return stages_; }

 private:
  std::vector<stage_ref> stages_;
  std::vector<std::shared_ptr<void const>> owned_;
};

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION void validate(program p) {
  expects(!p.empty(), "compressor: the chain has no stage");
  for (std::size_t i = 0; i < p.size(); ++i) {
    p[i].facts->validate(p[i].stage);
    expects(i + 1 == p.size() || !(p[i].facts->quantizer || p[i].facts->cast), [&] {
      return sentence("compressor: ", p[i].text(), " leaves no values for ", p[i + 1].text(), " to code");
    });
  }
}
[[CCOMP_SMALL]] CCOMP_FUNCTION std::string text(program p) {
  std::string t;
  for (auto const& s : p) {
    if (!t.empty()) t += '|';
    t += s.text();
  }
  return t;
}
CCOMP_FUNCTION void expect_countable(std::size_t n, char const* call) {
  expects(n <= most_values, [&] { return sentence(call, ": a tensor may have up to 2^56 values, got ", n); });
}
CCOMP_FUNCTION void expect_contraction(program p, std::size_t n) {
  constexpr int least_bits = 4;
  stage_ref const* factors = nullptr;
  for (auto const& s : p) {
    expects(s.facts->contracts(s.stage, n), [&] {
      return sentence("error_feedback: ", s.text(), " is not a contraction (its error may exceed its input), ",
                      "so its residual could grow without bound; use it without feedback");
    });
    bool const fine =
        s.facts->transform || s.facts->cast || (s.facts->quantizer && s.facts->quantizer->bits >= least_bits);
    expects(!factors || fine, [&] {
      return sentence(
          "error_feedback: what ", factors->text(), " sends is multiplied, and ", s.text(),
          " behind it may be too coarse for the product to be a contraction; use a cast or a quantizer of at least ",
          least_bits, " bits there, or no feedback");
    });
    if (s.facts->vector && s.facts->vector->floats) factors = &s;
  }
}
CCOMP_FUNCTION void expect_step(char const* call, program p, step at) {
  expects(at.given || !is_stochastic(p),
          [&] { return sentence(call, ": ", text(p), " draws random bits by the step; pass {.at = step}"); });
}
CCOMP_FUNCTION std::size_t granule(program p) {
  auto const s = first_segment(p);
  std::size_t g = random_group;
  for (auto const& t : s.transforms) g = std::max(g, t.facts->transform->block(t.stage));
  if (auto const* q = s.quantizer()) g = std::max(g, q->block(s.end.stage));
  if (auto const* v = s.vector()) g = std::max(g, v->block(s.end.stage));
  return g;
}
CCOMP_FUNCTION std::size_t capacity(program p, std::size_t n, element_type type) {
  auto const s = first_segment(p);
  type = carried_type(s, type);
  if (s.quantizer()) return layout_of(s.end, n).total();
  if (auto const* cast = s.cast()) return pad16(n * element_bytes(*cast));
  if (auto const* v = s.vector())
    return pad16(v->side_bytes(s.end.stage, n)) + capacity(s.tail, v->carrier_size(s.end.stage, n), type);
  return pad16(n * element_bytes(type));
}
CCOMP_FUNCTION linear_carrier carrier_of(program p, std::size_t n, element_type type) {
  auto const s = first_segment(p);
  type = carried_type(s, type);
  if (auto const* cast = s.cast()) return {n, *cast};
  if (auto const* v = s.vector()) return carrier_of(s.tail, v->carrier_size(s.end.stage, n), type);
  return {n, type};
}
CCOMP_FUNCTION sum_program::sum_program(program p, std::size_t payloads) {
  for (auto s : p) {
    if (payloads > 1 && s.facts->sum_of) {
      owned_.push_back(s.facts->sum_of(s.stage, payloads));
      s.stage = owned_.back().get();
    }
    stages_.push_back(s);
  }
}
#endif

}  // namespace detail
CCOMP_END
