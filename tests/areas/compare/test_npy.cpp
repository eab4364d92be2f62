#include "npy_file.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <string>
#include <vector>

using namespace compare_test;

namespace {

std::vector<float> const six = {1, -2.5F, 0, 3e-8F, 4e20F, -0.0F};

bool contains(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

}

TEST_CASE("one and two dimensions, float32 and float16, format versions 1 to 3") {
  auto const flat = read(npy_bytes(dictionary("<f4", "False", "(6,)"), raw(six)));
  CHECK(flat.shape == std::vector<std::size_t>{6});
  CHECK(flat.type == "float32");
  CHECK(flat.values == six);

  for (char major = 1; major <= 3; ++major) {
    auto const rows = read(npy_bytes(dictionary("<f4", "False", "(2, 3)"), raw(six), major));
    CHECK(rows.shape == std::vector<std::size_t>{2, 3});
    CHECK(rows.values == six);
  }

  // 1, -2, the smallest subnormal, the largest number
  std::vector<std::uint16_t> const halves = {0x3c00, 0xc000, 0x0001, 0x7bff};
  auto const half = read(npy_bytes(dictionary("<f2", "False", "(4,)"), raw(halves)));
  CHECK(half.type == "float16");
  CHECK(half.values == std::vector<float>{1, -2, 0x1p-24F, 65504});
}

TEST_CASE("any number of dimensions is read; what they mean is not the file's to say") {
  CHECK(read(npy_bytes(dictionary("<f4", "False", "(1, 2, 3)"), raw(six))).shape == std::vector<std::size_t>{1, 2, 3});
  CHECK(read(npy_bytes(dictionary("<f4", "False", "()"), raw(std::vector<float>{7}))).values == std::vector<float>{7});
}

TEST_CASE("keys may come in any order and quotes of either kind") {
  auto const array = read(npy_bytes("{\"shape\":(6),\"fortran_order\":False,\"descr\":\"<f4\"}", raw(six)));
  CHECK(array.values == six);
}

TEST_CASE("what is no such file is refused with the reason") {
  struct wrong {
    std::string bytes;
    std::string reason;
  };
  auto const whole = npy_bytes(dictionary("<f4", "False", "(6,)"), raw(six));
  auto const with = [](std::string const& header) { return npy_bytes(header, raw(six)); };
  std::vector<wrong> const cases = {
      {"", "no NumPy file"},
      {"PK\3\4 zip archive", "no NumPy file"},
      {whole.substr(0, 7), "no NumPy file"},
      {whole.substr(0, 9), "ends within its header"},
      {whole.substr(0, 40), "ends within its header"},
      {whole.substr(0, whole.size() - 1), "announces 6 values of 4 bytes, but 23 bytes follow"},
      {whole + 'x', "announces 6 values of 4 bytes, but 25 bytes follow"},
      {npy_bytes(dictionary("<f4", "False", "(6,)"), raw(six), 4), "format version"},
      {npy_bytes(std::string(70000, ' '), "", 2), "claims 70000 bytes"},
      {with(dictionary(">f4", "False", "(6,)")), "of type '>f4'"},
      {with(dictionary("<f8", "False", "(3,)")), "of type '<f8'"},
      {with(dictionary("|O", "False", "(3,)")), "of type '|O'"},
      {with(dictionary("\x1b[31m\n", "False", "(3,)")), "of type '?[31m?'"},
      {with("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }"), "records"},
      {with(dictionary("<f4", "True", "(2, 3)")), "Fortran order"},
      {with(dictionary("<f4", "Maybe", "(2, 3)")), "neither True nor False"},
      {with(dictionary("<f4", "False", "()")), "announces 1 values"},
      {with(dictionary("<f4", "False", "(1, 2, 4)")), "announces 8 values"},
      {npy_bytes(dictionary("<f4", "False", "(3, 0, 7)"), ""), "no values"},
      {with(dictionary("<f4", "False", "(65536, 65536, 65536, 65536)")), "too many values"},
      {npy_bytes(dictionary("<f4", "False", "(0,)"), ""), "no values"},
      {npy_bytes(dictionary("<f4", "False", "(0, 6)"), ""), "no values"},
      {npy_bytes(dictionary("<f4", "False", "(4, 0)"), ""), "no values"},
      {with(dictionary("<f4", "False", "(-6,)")), "no tuple of numbers"},
      {with(dictionary("<f4", "False", "(six,)")), "no tuple of numbers"},
      {with(dictionary("<f4", "False", "6")), "lacks a '('"},
      {with(dictionary("<f4", "False", "(18446744073709551616,)")), "a number too large"},
      {with(dictionary("<f4", "False", "(18446744073709551615, 2)")), "too many values"},
      {with(dictionary("<f4", "False", "(4294967296, 4294967296)")), "too many values"},
      // 2^62 values of 4 bytes are 0 bytes modulo 2^64
      {npy_bytes(dictionary("<f4", "False", "(4611686018427387904,)"), ""), "too many values"},
      {with("{'descr': '<f4', 'fortran_order': False, }"), "no key 'shape'"},
      {with("{'descr': '<f4', 'shape': (6,), }"), "no key 'fortran_order'"},
      {with("{'fortran_order': False, 'shape': (6,), }"), "no key 'descr'"},
      {with("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"), "given twice"},
      {with("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'more': True}"), "unknown"},
      {with("{'descr': '<f4', 'fortran_order': False, 'shape': (6,)} x"), "after the closing"},
      {with("{'descr': '<f4"), "without an end"},
      {with(""), "lacks a '{'"},
      {with(std::string(100, '\0')), "lacks a '{'"},
  };
  for (auto const& each : cases) {  // clang 16 captures no structured binding under OpenMP
    auto const& reason = each.reason;
    auto const sentence = refusal(each.bytes);
    INFO("wanted: " << reason << ", got: " << sentence);
    CHECK(contains(sentence, reason));
    CHECK(sentence.starts_with("the input cannot be used: "));
    CHECK(sentence.ends_with("."));
    CHECK(sentence.find_first_of("\n\r\x1b") == std::string::npos);
  }
}

TEST_CASE("damaged headers are refused or read, never anything else") {
  auto const whole = npy_bytes(dictionary("<f4", "False", "(2, 3)"), raw(six));
  std::mt19937 random(7);
  std::size_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = whole;
    for (auto hits = 1 + random() % 3; hits > 0; --hits) {
      bytes[random() % (bytes.size() - raw(six).size())] = static_cast<char>(random() & 0xffU);
    }
    auto const sentence = refusal(bytes);
    if (sentence.empty()) continue;
    ++refused;
    REQUIRE(sentence.starts_with("the input cannot be used: "));
  }
  CHECK(refused > 15000);
}

TEST_CASE("a path that is no file is refused") {
  auto const sentence_for = [](char const* path) -> std::string {
    try {
      compare::read_npy(std::filesystem::path(path));
    } catch (compare::user_error const& e) {
      return e.what();
    }
    return "";
  };
  CHECK(sentence_for("no/such/file.npy") == "the input 'no/such/file.npy' does not exist.");
  CHECK(sentence_for(".") == "the input '.' is not a file.");
  CHECK(sentence_for("/dev/null") == "the input '/dev/null' is not a file.");
}
