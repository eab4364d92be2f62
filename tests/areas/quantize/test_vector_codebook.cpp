#include <support/codebooks.hpp>
#include <support/codec.hpp>
#include <support/generators.hpp>

#include <ccomp/any_compressor.hpp>
#include <ccomp/core/chain.hpp>
#include <ccomp/quantize/vector_quantize.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <limits>
#include <string>
#include <thread>
#include <vector>

using namespace ccomp;

TEST_CASE("vector_codebook: saved, loaded, and known by its fingerprint") {
  support::temporary_file const file("book.ccvq"), other("other.ccvq");
  auto book = support::random_words({4, 8, 1});
  vector_quantize<4, 8> const before{book};
  CHECK(text(before) == "vector_quantize<4x8>(codebook=unsaved)");
  book.save(file.path);
  CHECK(text(before) == "vector_quantize<4x8>(codebook=unsaved)");  // a copy is not told of it
  auto const again = vector_codebook::load(file.path);
  CHECK(again == book);
  CHECK(again.shape() == book.shape());
  CHECK(std::filesystem::file_size(file.path) == 20 + 4 * 1024);
  CHECK_FALSE(support::random_words({4, 8, 1}, 4) == book);
  // The same words by text give the same bytes; another codebook's frame is refused.
  auto const x = support::gaussian_values(1000, 6);
  any_compressor const named("vector_quantize<4x8>(codebook=" + file.path + ", block=64)");
  CHECK(support::encoded(named, x) == support::encoded(vector_quantize<4, 8>{book, 64}, x));
  CHECK(any_compressor(text(named)).text() == named.text());
  CHECK(text(vector_quantize<4, 8>{book}) == "vector_quantize<4x8>(codebook=" + file.path + ")");
  workspace<host_exec> ws;
  std::vector<std::byte> frame(max_compressed_bytes<float>(named, x.size()));
  frame.resize(compress({}, named, std::span<float const>(x), std::span(frame), ws));
  std::vector<float> out(x.size(), 7.0f);
  CHECK_THROWS_AS(decompress({}, vector_quantize<4, 8>{support::random_words({4, 8, 1}, 4), 64},
                             std::span<std::byte const>(frame), std::span(out), ws),
                  payload_error);
  CHECK(out == std::vector<float>(x.size(), 7.0f));
}

TEST_CASE("vector_codebook: what is no codebook file is refused by a sentence that names it") {
  support::temporary_file const other("damaged.ccvq");
  auto book = support::random_words({4, 8, 1});
  auto const damage = [&](long at, char what, char const* message) {
    book.save(other.path);
    std::FILE* const f = std::fopen(other.path.c_str(), "r+b");
    std::fseek(f, at, SEEK_SET);
    std::fputc(what, f);
    std::fclose(f);
    CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load(other.path)),
                      doctest::Contains((other.path + " " + message).c_str()));
  };
  damage(0, 'x', "is not a codebook file of version 1");
  damage(4, 2, "is not a codebook file of version 1");
  damage(6, 17, "has a shape that no codebook has");
  damage(6, 0, "has a shape that no codebook has");
  damage(8, 0, "has a shape that no codebook has");
  damage(10, 0, "has a shape that no codebook has");
  damage(8, 7, "has another length than its shape says");
  damage(8, 9, "has another length than its shape says");
  damage(500, 77, "is damaged: its checksum does not match");
  // Longer or shorter by less than a value.
  for (int const more : {-3, -2, -1, 1, 2, 3, 4}) {
    CAPTURE(more);
    book.save(other.path);
    std::filesystem::resize_file(other.path, static_cast<std::uintmax_t>(20 + 4 * 1024 + more));
    CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load(other.path)),
                      doctest::Contains((other.path + " has another length than its shape says").c_str()));
  }
  // Values that no codebook has, with the right checksum.
  for (float const wrong : {std::numeric_limits<float>::quiet_NaN(), -2e18f}) {
    std::vector<float> values(64, 1.0f);
    values[7] = wrong;
    detail::codebook_header h;
    h.dim = h.bits = 4;
    h.parts = 1;
    std::uint64_t const sum = detail::checksum(std::as_bytes(std::span<float const>(values)));
    std::memcpy(h.checksum, &sum, sizeof sum);
    std::FILE* const f = std::fopen(other.path.c_str(), "wb");
    std::fwrite(&h, sizeof h, 1, f);
    std::fwrite(values.data(), sizeof(float), values.size(), f);
    std::fclose(f);
    CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load(other.path)),
                      doctest::Contains((other.path + ": value 7 is not finite or above 2^60").c_str()));
  }
  std::filesystem::resize_file(other.path, 15);
  CHECK_THROWS_AS(static_cast<void>(vector_codebook::load(other.path)), invalid_argument);
  CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load("no/such/file")),
                    doctest::Contains("ccomp: codebook: no/such/file cannot be read"));
  CHECK_THROWS_WITH(book.save("no/such/folder/file"),
                    doctest::Contains("ccomp: codebook: no/such/folder/file cannot be written"));
  CHECK_THROWS_AS(any_compressor("vector_quantize<4x8>(codebook=no/such/file)"), invalid_argument);
  CHECK_THROWS_AS(vector_codebook().save(other.path), invalid_argument);
}

TEST_CASE("vector_codebook: several threads save to one path at once") {
  support::temporary_file const file("ranks.ccvq");
  auto const book = support::random_words({4, 8, 1});
  std::vector<std::string> said(4);
  {
    std::vector<std::thread> ranks;
    for (auto& mine : said)
      ranks.emplace_back([&] {
        try {
          for (int i = 0; i < 50; ++i) {
            auto copy = book;
            copy.save(file.path);
            if (!(vector_codebook::load(file.path) == book)) mine = "another codebook";
          }
        } catch (std::exception const& e) {
          mine = e.what();
        }
      });
    for (auto& rank : ranks) rank.join();
  }
  for (auto const& mine : said) CHECK(mine == "");
  for (int i = 0; i < 4; ++i) CHECK_FALSE(std::filesystem::exists(file.path + ".new-" + std::to_string(i)));
}

TEST_CASE("vector_codebook: a save that fails leaves no file, and a file of an interrupted one is in nobody's way") {
  auto book = support::random_words({4, 8, 1});
  // A folder cannot be replaced by a file.
  std::string const folder = support::temporary_path("folder");
  std::filesystem::create_directory(folder);
  CHECK_THROWS_WITH(book.save(folder), doctest::Contains("cannot be written"));
  CHECK_FALSE(std::filesystem::exists(folder + ".new-0"));
  CHECK(book.print() == "unsaved");
  std::filesystem::remove(folder);

  support::temporary_file const file("fresh.ccvq"), interrupted("fresh.ccvq.new-0");
  std::fclose(std::fopen(interrupted.path.c_str(), "wb"));
  book.save(file.path);
  CHECK(vector_codebook::load(file.path) == book);
  CHECK(std::filesystem::file_size(interrupted.path) == 0);
}

TEST_CASE("vector_codebook: text can be read back, or is refused") {
  auto book = support::random_words({4, 8, 1});
  CHECK_THROWS_WITH(any_compressor(text(vector_quantize<4, 8>{book})),
                    doctest::Contains("codebook=unsaved: the codebook was never saved; save it and set codebook=FILE"));
  for (char const* const path : {"none", "unsaved"}) {
    CHECK_THROWS_WITH(book.save(path), doctest::Contains("a file cannot have the name"));
    CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load(path)), doctest::Contains("a file cannot have the name"));
    CHECK_FALSE(std::filesystem::exists(path));
  }
  for (std::string const& path : {std::string("a b"), std::string("a,b"), std::string("a(1)"), std::string("a|b"),
                                  std::string("a=b"), std::string("a\\b"), std::string(), std::string(513, 'a')}) {
    CAPTURE(path);
    CHECK_THROWS_WITH(book.save(path), doctest::Contains("codebook: a compressor's text cannot hold the path"));
    CHECK_THROWS_WITH(static_cast<void>(vector_codebook::load(path)),
                      doctest::Contains("codebook: a compressor's text cannot hold the path"));
  }
  CHECK(book.print() == "unsaved");
  support::temporary_file const odd("+-_.9"), twice("unsaved.none");
  for (auto const& path : {odd.path, twice.path}) {
    book.save(path);
    CHECK(any_compressor(text(vector_quantize<4, 8>{book})).text() == text(vector_quantize<4, 8>{book}));
  }
}
