/// What every compressor must do with every element type, size and kind of value.

#include <support/catalogue.hpp>
#include <support/codec.hpp>
#include <support/named_compressor.hpp>

#include <ccomp/testing/compressor_check.hpp>

#include <doctest/doctest.h>

#include <algorithm>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace {

using namespace ccomp;
using namespace support;

/// `each`: only every so-manieth entry.
template <class F> void for_each_entry(F const& f, std::size_t each = 1) {
  auto const& all = catalogue();
  for (std::size_t i = 0; i < all.size(); i += each) {
    named_compressor const c(all[i].text);
    testing::detail::compressor_check check(c.stages(), all[i]);
    check.run([&] { f(check); });
    for (auto const& fault : check.faults()) FAIL_CHECK(fault);
  }
}
/// 16-bit tensors differ from float in how they are read and written only: a part of the catalogue does for long ones.
template <class T> constexpr std::size_t long_tensor_entries = std::same_as<T, float> ? 1 : 5;

}  // namespace

TEST_CASE("conformance: texts without end are refused in one sentence, and power_sgd says what it needs") {
  auto refused = [](std::string const& text, char const* what) {
    std::string said;
    try {
      named_compressor const c(text);
    } catch (invalid_argument const& e) {
      said = e.what();
    }
    CHECK(said.find(what) != std::string::npos);
    CHECK(said.size() < 400);
  };
  std::string many = "scale";
  for (int i = 1; i < 16; ++i) many += "|scale";
  CHECK(named_compressor(many).stages().size() == 16);
  refused(many + "|scale", "at most 16 stages");
  for (int i = 0; i < 20000; ++i) many += "|scale";
  refused(many, "at most 16 stages");
  refused(std::string(1 << 20, 'a'), "too long");
  refused("top_k(" + std::string(1 << 20, '1') + ")", "too long");
  refused("top_k" + std::string(1 << 20, '('), "expected a setting");
  refused("power_sgd(4)", "<ccomp/low_rank/power_sgd.hpp>");
}

#if defined(__SANITIZE_ADDRESS__)
// g++ -Os does not give back the frames that AddressSanitizer lends for detect_stack_use_after_return=1. There are 2048 of
// 512 bytes; each further call first looks through all of them, and then does without.
TEST_CASE("conformance: AddressSanitizer's frames come back") {
  if (__asan_get_current_fake_stack() == nullptr) return;  // not asked for
  for (int i = 0; i < 3000; ++i) CHECK(named_compressor("top_k(0.5)|uniform_quantize<8>(512)").stages().size() == 2);
  auto lent = []() __attribute__((noinline)) {  // called after those: a frame is lent when its function begins
    char frame[300];
    return __asan_addr_is_in_fake_stack(__asan_get_current_fake_stack(), frame, nullptr, nullptr) != nullptr;
  };
  CHECK(lent());
}
#endif

TEST_CASE_TEMPLATE("conformance: finite values of every size", T, float, float16, bfloat16) {
  for_each_entry([](auto& check) { check.template finite<T>(); });
}

TEST_CASE_TEMPLATE("conformance: NaN and Inf stay in their block and out of residuals", T, float, float16, bfloat16) {
  for_each_entry([](auto& check) { check.template spoilt<T>(); });
}

TEST_CASE_TEMPLATE("conformance: a million and seven values", T, float, float16, bfloat16) {
  for_each_entry([](auto& check) { check.template many_values<T>(1'000'007, 2); }, long_tensor_entries<T>);
}

TEST_CASE_TEMPLATE("conformance: the same bytes on every instruction set and number of threads", T, float, float16,
                   bfloat16) {
  std::vector<host_exec> alone;
  for (auto const isa : instruction_sets()) alone.push_back({1, isa});
  instruction_set const best = instruction_sets().back();
  for_each_entry([&](auto& check) {
    for (std::size_t const n : {std::size_t{33}, std::size_t{257}, std::size_t{8191}})
      check.template same_bits<T>(n, alone);
  });
  for_each_entry(
      [&](auto& check) {
        check.template same_bits<T>(7 * 65536 + 21, {{1, best}, {2, best}, {7, best}, {7, instruction_set::baseline}});
      },
      long_tensor_entries<T>);
}

TEST_CASE_TEMPLATE("conformance: the step, the tensor and the rank draw the bits, and nothing else does", T, float,
                   float16, bfloat16) {
  for_each_entry([](auto& check) { check.template draws_by_step<T>(); });
}

TEST_CASE_TEMPLATE("conformance: damaged payloads are refused or decode within bounds", T, float, float16, bfloat16) {
  for_each_entry([](auto& check) { check.template hostile<T>(60); });
}

TEST_CASE("conformance: padding is zero") {
  auto const zero_from = [](std::vector<std::byte> const& bytes, std::size_t begin, std::size_t end) {
    return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                       bytes.begin() + static_cast<std::ptrdiff_t>(end), [](std::byte b) { return b == std::byte{}; });
  };
  std::vector<float> const x{1, -2, 3};
  auto const halves = encoded(named_compressor("cast<float16>"), x);
  CHECK(halves.size() == 16);
  CHECK(zero_from(halves, 6, 16));
  auto const bytes = encoded(named_compressor("uniform_quantize<8>"), x);
  CHECK(bytes.size() == 32);
  CHECK(zero_from(bytes, 4, 16));
  CHECK(zero_from(bytes, 19, 32));
  auto const bits = encoded(named_compressor("sign_quantize"), x);
  CHECK(bits.size() == 32);
  CHECK(bits[16] == std::byte{2});
  CHECK(zero_from(bits, 17, 32));
  auto const sparse = encoded(named_compressor("top_k(count=1, indices=raw)"), x);
  CHECK(sparse.size() == 32);
  CHECK(zero_from(sparse, 4, 16));
  CHECK(zero_from(sparse, 20, 32));
}
