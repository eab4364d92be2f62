#include <bench/compare/printable.hpp>
#include <bench/compare/table.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

using namespace compare;

namespace {

comparison example(std::size_t links) {
  comparison all;
  all.where.n = 1000;
  all.where.n_timed = 16 << 20;
  all.where.ranks = 4;
  all.where.file_rows = 4;
  all.where.threads = 2;
  all.where.repetitions = 7;
  all.where.feedback_steps = 32;
  for (std::size_t i = 1; i <= links; ++i)
    all.links.push_back({std::to_string(100 * i) + "gbit", 1e11 * static_cast<double>(i)});
  all.dense_float32 = {"dense float32", {0, 1e8}};
  all.dense_half = {"dense bf16", {0.01, 5e7}};
  result one;
  one.compressor = "hadamard_rotate|uniform_quantize<4>(block=1024, round=stochastic)";
  one.exact = {12345678, 7.88, 0.123, 0.9912, "two_shot", 1 << 20, 0.1, true, 0.01, ""};
  one.timed.encode = 0.01;
  one.timed.decode = 0.02;
  one.timed.read = 0.002;
  one.timed.allreduce = 0.1;
  one.price = {0.04, 1e7};
  all.results.assign(3, one);
  all.results[1].compressor = "sign_quantize";
  all.results[2].exact.feedback_error.reset();
  return all;
}

// Where its lines end is no part of what a text says.
std::string unwrapped(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// The same from a GPU.
comparison on_a_gpu(comparison all) {
  all.where.device = device_facts{"NVIDIA H100 80GB HBM3 or another name that is long", "13.0", "13.0"};
  for (auto& one : all.results) {
    one.timed.copy = 0.001;
    one.timed.payload_bytes = all.where.n_timed;  // a quarter of the values' bytes
    one.timed.check = device_check{true, true, true};
  }
  return all;
}

}

TEST_CASE("no line is wider than 80 columns, however many links and however long the names") {
  for (std::size_t const links : {1U, 4U, 30U}) {
    for (auto all : {example(links), on_a_gpu(example(links))}) {
      all.where.input = std::string(200, 'n') + ".npy";
      all.where.reading = "float32 [4, 1000] is read as 4 ranks of 1000 values, one row each.";
      all.results[0].compressor += "|" + all.results[0].compressor + "|top_k";
      all.results[1].compressor = std::string(300, 'x');
      auto const text = to_text(all);
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line);) {
        INFO(line);
        CHECK(line.size() <= 80);
      }
      CHECK((text.find("more link speed") != std::string::npos) == (links == 30));
    }
  }
}

TEST_CASE("a wrong sum is shouted about, a right one is not") {
  auto all = example(4);
  CHECK(to_text(all).find("WARNING") == std::string::npos);
  all.results[1].exact.ranks_agree = false;
  CHECK(to_text(all).find("WARNING: the ranks' results differ for sign_quantize.") != std::string::npos);
}

TEST_CASE("speeds of a GPU stand beside a copy on it, and results other than the host's are shouted about") {
  auto all = on_a_gpu(example(4));
  CHECK(all.of_copy(all.results[0].timed, 0.01) == doctest::Approx(1.25 / 2 * 0.1));
  auto const right = to_text(all);
  CHECK(unwrapped(right).find("on NVIDIA H100 80GB HBM3 or another name that is long: a copy") != std::string::npos);
  CHECK(right.find("/ read") == std::string::npos);
  CHECK(right.find(" yes ") != std::string::npos);
  CHECK(right.find("WARNING") == std::string::npos);
  auto const shouted = [&](device_check const& check, std::string const& what) {
    all.results[1].timed.check = check;
    return to_text(all).find("WARNING: " + what + " for sign_quantize.") != std::string::npos;
  };
  CHECK(shouted({false, true, true}, "the GPU's payload differs from the host's"));
  CHECK(to_text(all).find(" NO ") != std::string::npos);
  CHECK(shouted({true, false, true}, "what the GPU decodes differs from the host's"));
  CHECK(shouted({true, true, false}, "the ranks' results on the GPU differ"));
}

TEST_CASE("above a spread of 25 % the machine was not quiet") {
  auto all = example(4);
  all.noise = {30, 40, 0.25};
  CHECK(unwrapped(to_text(all)).find("25 % (30.0 to 40.0 GB/s).") != std::string::npos);
  CHECK(unwrapped(to_text(all)).find("not quiet") == std::string::npos);
  all.noise = {2.8, 10.7, 0.2501};
  CHECK(unwrapped(to_text(all)).find("The machine was not quiet") != std::string::npos);
}

TEST_CASE("nothing small is printed as zero, and no control character reaches the terminal") {
  auto all = example(1);
  all.results[1].compressor = "sign\x1b[31m";
  all.where.input = "a\nb\xc2\x9b\xff\xe2\x80\xae.npy";  // a line end, C1, no UTF-8, right-to-left
  all.results[1].timed.read = all.results[1].timed.encode * 1e-7;
  auto const text = to_text(all);
  CHECK(text.find("sign?[31m") != std::string::npos);
  CHECK(text.find("a?b????.npy") == std::string::npos);
  CHECK(text.find("a?b???.npy") != std::string::npos);
  CHECK(text.find("1.0e-07") != std::string::npos);
  CHECK(printable("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") == "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  CHECK(printable("\xc0\xaf\xed\xa0\x80\xe2\x82") ==
        "?"
        "?"
        "?"
        "?"
        "?");
}

TEST_CASE("columns are aligned and wide first cells stand alone") {
  std::vector<table::cells> const heading = {table::cells{"name", "value"}};
  table lines(heading);
  lines.add({"a", "1"});
  auto const wide = std::string(74, 'x');  // with the gap and the column beside it 81
  lines.add({wide, "22"});
  CHECK(lines.text() == "name  value\n-----------\na         1\n" + wide + "\n         22\n");
}
