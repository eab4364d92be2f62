#pragma once

#include <ccomp/core/checksum.hpp>
#include <ccomp/core/config.hpp>
#include <ccomp/core/error.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

CCOMP_BEGIN

/// What a codebook holds: 2^bits words of `dim` values. With several parts (a product codebook), each part of a word, of
/// dim / parts values, is one of 2^(bits / parts) words of its own.
struct codebook_shape {
  int dim = 0, bits = 0, parts = 1;

  /// Whether a codebook may have it.
  [[nodiscard]] bool valid() const {
    return dim >= 1 && dim <= 16 && bits >= 1 && bits <= 16 && parts >= 1 && dim % parts == 0 && bits % parts == 0;
  }
  [[nodiscard]] int part_dim() const { return dim / parts; }
  [[nodiscard]] int part_bits() const { return bits / parts; }
  [[nodiscard]] std::size_t part_words() const { return std::size_t{1} << part_bits(); }
  [[nodiscard]] std::size_t values() const {
    return static_cast<std::size_t>(parts) * part_words() * static_cast<std::size_t>(part_dim());
  }
  friend bool operator==(codebook_shape const&, codebook_shape const&) = default;
};

/// The words of a vector quantizer. Copies share them.
///
/// Shapes:      values [parts][2^(bits / parts)][dim / parts]; dim and bits 1 to 16, both multiples of parts
/// Order:       a code has bits / parts bits for each part, those of part 0 the lowest
/// Fingerprint: of shape and values; ranks and frames compare it
/// File:        20 bytes (the letters `ccvq`, u16 1, u16 dim, u16 bits, u16 parts, u64 checksum of the values), then the
///              values as float32; all little-endian
/// Saving:      writes another file beside it, and then gives it the name `path`: none is left half written, and several
///              ranks may save the same words to one path at once
/// Text:        codebook=PATH, the file that it was read from or saved to; `none` without words, and `unsaved` without a file,
///              which text cannot read back. Copies that were made before `save`, also those in stages, stay unsaved.
///              A path has up to 512 letters, digits and _ . + - / so that text can hold it, and is neither of the two names
/// Throws:      invalid_argument: another number of values than the shape has, a value that is not finite or above 2^60;
///              a file that cannot be read or written, or is no such file; a path that text cannot hold
class vector_codebook {
 public:
  static constexpr std::string_view wanted = "a codebook file, or none";

  vector_codebook() = default;
  vector_codebook(codebook_shape shape, std::vector<float> values)
      : content_(make("codebook", shape, std::move(values))) {}
  [[nodiscard]] static vector_codebook load(std::string const& path);
  void save(std::string const& path);

  [[nodiscard]] bool empty() const { return content_ == nullptr; }
  [[nodiscard]] codebook_shape shape() const { return content_ ? content_->shape : codebook_shape{}; }
  [[nodiscard]] std::span<float const> values() const {
    return content_ ? std::span<float const>(content_->values) : std::span<float const>{};
  }
  /// Half the squared length of each word of each part, for the search.
  [[nodiscard]] std::span<float const> halves() const {
    return content_ ? std::span<float const>(content_->halves) : std::span<float const>{};
  }
  [[nodiscard]] std::uint64_t fingerprint() const { return content_ ? content_->fingerprint : 0; }

  bool read(std::string_view text);
  [[nodiscard]] std::string print() const {
    return content_ ? path_.empty() ? std::string(unsaved) : path_ : std::string(none);
  }
  friend bool operator==(vector_codebook const& a, vector_codebook const& b) {
    return a.fingerprint() == b.fingerprint();
  }

 private:
  struct content {
    codebook_shape shape;
    std::vector<float> values, halves;
    std::uint64_t fingerprint = 0;
  };
  static constexpr std::string_view none = "none", unsaved = "unsaved";  // in text, in place of a path

  /// `who` begins the message where they do not fit.
  static std::shared_ptr<content const> make(std::string_view who, codebook_shape shape, std::vector<float> values);
  /// A path that text can hold.
  static void expect_path(std::string const& path);

  std::shared_ptr<content const> content_;
  std::string path_;
};

namespace detail {

struct codebook_header {
  char letters[4] = {'c', 'c', 'v', 'q'};
  std::uint16_t version = 1, dim = 0, bits = 0, parts = 0;
  std::uint32_t checksum[2] = {};
};
static_assert(sizeof(codebook_header) == 20);

}  // namespace detail

CCOMP_END

#if CCOMP_DEFINITIONS
#include <cerrno>
#include <cstdio>
#include <cstring>

CCOMP_BEGIN
[[CCOMP_SMALL]] CCOMP_FUNCTION std::shared_ptr<vector_codebook::content const> vector_codebook::make(
    std::string_view who, codebook_shape shape, std::vector<float> values) {
  detail::expects(shape.valid(), [&] {
    return detail::sentence(who, ": dim and bits must lie in 1..16 and be multiples of parts, got ", shape.dim, ", ",
                            shape.bits, " and ", shape.parts);
  });
  detail::expects(values.size() == shape.values(), [&] {
    return detail::sentence(who, ": ", shape.parts, " times ", shape.part_words(), " words of ", shape.part_dim(),
                            " values are ", shape.values(), " values, got ", values.size());
  });
  for (std::size_t i = 0; i < values.size(); ++i)
    detail::expects(detail::magnitude_key(values[i]) <= (127u + 60u) << 23,
                    [&] { return detail::sentence(who, ": value ", i, " is not finite or above 2^60"); });
  auto made = std::make_shared<content>();
  made->shape = shape;
  auto const part = static_cast<std::size_t>(shape.part_dim());
  for (std::size_t w = 0; w < values.size() / part; ++w) {
    float half = 0;
    for (std::size_t i = w * part; i < (w + 1) * part; ++i)
      half = detail::add(half, detail::mul(0.5f, detail::mul(values[i], values[i])));
    made->halves.push_back(half);
  }
  std::uint64_t h = detail::checksum(std::as_bytes(std::span<float const>(values)));
  for (int const number : {shape.dim, shape.bits, shape.parts}) h = hash64(h, static_cast<std::uint64_t>(number));
  made->fingerprint = h;
  made->values = std::move(values);
  return made;
}
[[CCOMP_SMALL]] CCOMP_FUNCTION void vector_codebook::expect_path(std::string const& path) {
  detail::expects(path != none && path != unsaved, [&] {
    return detail::sentence("codebook: a file cannot have the name '", path,
                            "', which means something else in a compressor's text; give it another one");
  });
  detail::expects(detail::is_text_value(path), [&] {
    return detail::sentence("codebook: a compressor's text cannot hold the path '", path, "'; take a path of 1 to ",
                            detail::longest_text_value, " letters, digits and _ . + - /");
  });
}
[[CCOMP_SMALL]] CCOMP_FUNCTION bool vector_codebook::read(std::string_view text) {
  detail::expects(text != unsaved,
                  "compressor text: codebook=unsaved: the codebook was never saved; save it and set codebook=FILE");
  *this = text == none ? vector_codebook{} : load(std::string(text));
  return true;
}
[[CCOMP_SMALL]] CCOMP_FUNCTION vector_codebook vector_codebook::load(std::string const& path) {
  expect_path(path);
  auto const refuse = [&](char const* why) { detail::fail(detail::sentence("codebook: ", path, " ", why)); };
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> const file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) refuse("cannot be read");
  detail::codebook_header h;
  if (std::fread(&h, sizeof h, 1, file.get()) != 1 || std::memcmp(h.letters, "ccvq", 4) != 0 || h.version != 1)
    refuse("is not a codebook file of version 1");
  codebook_shape const shape{h.dim, h.bits, h.parts};
  if (!shape.valid()) refuse("has a shape that no codebook has");
  std::vector<float> values(shape.values() + 1);  // one more, and read as bytes: none may follow
  std::size_t const bytes = shape.values() * sizeof(float);
  if (std::fread(values.data(), 1, bytes + 1, file.get()) != bytes) refuse("has another length than its shape says");
  values.pop_back();
  std::uint64_t const found = detail::checksum(std::as_bytes(std::span<float const>(values)));
  if (std::memcmp(&found, h.checksum, sizeof found) != 0) refuse("is damaged: its checksum does not match");
  vector_codebook book;
  book.content_ = make(detail::sentence("codebook: ", path), shape, std::move(values));
  book.path_ = path;
  return book;
}
[[CCOMP_SMALL]] CCOMP_FUNCTION void vector_codebook::save(std::string const& path) {
  detail::expects(!empty(), "codebook: there are no words to save");
  expect_path(path);
  auto const shape = content_->shape;
  detail::codebook_header h;
  h.dim = static_cast<std::uint16_t>(shape.dim);
  h.bits = static_cast<std::uint16_t>(shape.bits);
  h.parts = static_cast<std::uint16_t>(shape.parts);
  std::uint64_t const sum = detail::checksum(std::as_bytes(values()));
  std::memcpy(h.checksum, &sum, sizeof sum);
  std::string fresh;
  std::FILE* file = nullptr;
  // Mode x opens no file that exists already: whoever saves to this path at the same time gets another one.
  for (unsigned i = 0; !file && (i == 0 || errno == EEXIST); ++i) {
    fresh = detail::sentence(path, ".new-", i);
    errno = 0;
    file = std::fopen(fresh.c_str(), "wbx");
  }
  bool good = false;
  if (file) {
    good = std::fwrite(&h, sizeof h, 1, file) == 1 &&
           std::fwrite(values().data(), sizeof(float), values().size(), file) == values().size();
    good = std::fclose(file) == 0 && good;
    good = good && std::rename(fresh.c_str(), path.c_str()) == 0;
    if (!good) std::remove(fresh.c_str());
  }
  detail::expects(good, [&] { return detail::sentence("codebook: ", path, " cannot be written"); });
  path_ = path;
}
CCOMP_END
#endif
