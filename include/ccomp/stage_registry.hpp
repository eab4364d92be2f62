#pragma once
/// Stages by name: what compressor text such as `top_k(0.01) | uniform_quantize<8>` may consist of.

#include <ccomp/engine/host/ops.hpp>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/natural.hpp>
#include <ccomp/quantize/qsgd.hpp>
#include <ccomp/quantize/shared_scale.hpp>
#include <ccomp/quantize/sign.hpp>
#include <ccomp/quantize/ternary.hpp>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_block.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>
#include <ccomp/transform/hadamard.hpp>
#include <ccomp/transform/scale.hpp>
#include <ccomp/transform/sign_flip.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

CCOMP_BEGIN

/// A stage in text: `name<argument>`, then settings by position or by name.
struct stage_text_parts {
  std::string name, argument;
  struct setting {
    std::string key, value;  // no key: by position
  };
  std::vector<setting> settings;
};

/// A stage whose type was chosen at run time.
struct erased_stage {
  std::shared_ptr<void const> object;
  detail::stage_ops const* ops = nullptr;
};

/// The stages that text can name. `standard()` has every stage of the library that needs no third-party header, and
/// power_sgd where a source of the program includes its header; a copy of it can be added to.
class stage_registry {
 public:
  struct entry {
    std::string name, argument, settings, summary;
    erased_stage (*make)(stage_text_parts const&);
  };

  template <stage S> stage_registry& add(std::string summary) {
    std::string argument, settings;
    if constexpr (requires { S::argument(); }) argument = S::argument();
    S const plain{};
    detail::for_each_field<S>([&](auto const& f) {
      detail::append_listed(settings, f.name);
      settings += '=';
      settings += detail::print_value(plain.*f.member);
    });
    entries_.push_back({std::string(S::name), std::move(argument), std::move(settings), std::move(summary), &make<S>});
    return *this;
  }
  [[nodiscard]] std::vector<entry> const& entries() const noexcept { return entries_; }

  /// The stage that the text names; an entry added first is the default of its family.
  [[nodiscard]] erased_stage make_stage(stage_text_parts const& text) const {
    std::string known, arguments, last;
    for (auto const& e : entries_) {
      if (e.name == text.name && (text.argument.empty() || text.argument == e.argument)) return e.make(text);
      if (e.name == text.name) detail::append_listed(arguments, e.argument);
      if (e.name != last) detail::append_listed(known, e.name);
      last = e.name;
    }
    if (arguments.find_first_not_of(", ") != std::string::npos)
      detail::fail("compressor text: " + text.name + " has no variant <" + text.argument + ">; it has " + arguments);
    for (auto const& e : entries_)
      if (e.name == text.name)
        detail::fail("compressor text: " + text.name + " takes nothing in angle brackets, got <" + text.argument + ">");
    detail::expects(text.name != "power_sgd",
                    "compressor text: power_sgd is known once a source of the program includes "
                    "<ccomp/low_rank/power_sgd.hpp>, which needs Eigen (CMake: link ccomp::eigen)");
    detail::fail("compressor text: there is no stage '" + text.name + "'; known are " + known);
  }

  /// Stages whose headers need a third-party library join when a source of the program includes them:
  ///   namespace detail { inline bool const power_sgd_joins = stage_registry::join<power_sgd>("..."); }
  template <stage S> static bool join(char const* summary) {
    joined().push_back({[](stage_registry& r, char const* text) { r.add<S>(text); }, summary});
    return true;
  }

  /// A template, so that only programs that call it compile all stages.
  template <class = void> [[nodiscard]] static stage_registry const& standard() {
    static stage_registry const all = [] {
      stage_registry r;
      r.add<cast<bfloat16>>("16-bit float with 8 exponent bits; summed in flight");
      r.add<cast<float16>>("16-bit float with 5 exponent bits; summed in flight");
      r.add<cast<fp8_e4m3>>("8-bit float with 4 exponent bits and a scale a block");
      r.add<cast<fp8_e5m2>>("8-bit float with 5 exponent bits and a scale a block");
      r.add_widths<uniform_quantize>("evenly spaced levels that span each block", widths<8, 1, 2, 3, 4, 5, 6, 7>{});
      r.add_widths<qsgd>("stochastic levels of a block's norm; unbiased", widths<4, 2, 3, 5, 6, 7, 8>{});
      r.add<sign_quantize>("one bit a value and a scale a block");
      r.add<ternary>("-1, 0 or 1 times a scale a block, stochastically; unbiased but for clipping");
      r.add<natural>("sign and a power of two, stochastically; unbiased");
      r.add_widths<shared_scale_quantize>("levels of a scale that all ranks share; integer codes summed in flight",
                                          widths<8, 2, 3, 4, 5, 6, 7>{});
      r.add<hadamard_rotate>("random signs and a Walsh-Hadamard transform of each block: spreads outliers; linear");
      r.add<sign_flip>("random signs; linear");
      r.add<scale>("a constant factor; linear");
      r.add<top_k>("the k values of largest magnitude, exactly");
      r.add<threshold>("the values at or above a magnitude, up to a bounded number");
      r.add<random_k>("k values at places drawn from a shared seed, no indices sent; linear");
      r.add<random_block>("contiguous blocks drawn from a shared seed, no indices sent; linear");
      for (auto const& [add, summary] : joined()) add(r, summary);
      return r;
    }();
    return all;
  }

 private:
  struct joining {
    void (*add)(stage_registry&, char const* summary);
    char const* summary;
  };
  /// Filled before main, and so before standard() is asked for the first time.
  static std::vector<joining>& joined() {
    static std::vector<joining> list;
    return list;
  }

  template <int... Bits> struct widths {};
  template <template <int> class Stage, int... Bits> void add_widths(char const* summary, widths<Bits...>) {
    (add<Stage<Bits>>(summary), ...);
  }

  template <class S> static erased_stage make(stage_text_parts const& text) {
    auto made = std::make_shared<S>();
    std::vector<std::string_view> keys;
    detail::for_each_field<S>([&](auto const& f) { keys.push_back(f.name); });
    std::vector<bool> given(keys.size());
    std::size_t position = 0;
    for (auto const& s : text.settings) {
      std::size_t at = 0;
      if (s.key.empty()) {
        at = position++;
        detail::expects(at < keys.size(), [&] {
          return "compressor text: " + text.name + " takes at most " + std::to_string(keys.size()) + " settings, '" +
                 s.value + "' is one too many";
        });
      } else {
        while (at < keys.size() && keys[at] != s.key) ++at;
        detail::expects(at < keys.size(), [&] {
          std::string known;
          for (auto const k : keys) detail::append_listed(known, k);
          return "compressor text: " + text.name + " has no setting '" + s.key + "'; " +
                 (known.empty() ? "it has none" : "it has " + known);
        });
      }
      detail::expects(!given[at], [&] {
        return "compressor text: " + text.name + "'s " + std::string(keys[at]) + " is given twice";
      });
      given[at] = true;
      std::size_t i = 0;
      detail::for_each_field<S>([&](auto const& f) {
        if (i++ == at) detail::parse_value((*made).*f.member, s.value, text.name, f.name);
      });
    }
    detail::ops_of<S>.validate(made.get());
    return {std::move(made), &detail::ops_of<S>};
  }

  std::vector<entry> entries_;
};

CCOMP_END
