#pragma once
/// Words for vector_quantize, trained on data by k-means.

#include <ccomp/core/communicator.hpp>
#include <ccomp/core/stage_facts.hpp>
#include <ccomp/core/workspace.hpp>
#include <ccomp/fit/samples.hpp>
#include <ccomp/fit/word_seeds.hpp>
#include <ccomp/quantize/vector_quantize.hpp>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

CCOMP_BEGIN

/// How `train_codebook` goes about it.
struct training_options {
  int iterations = 16;
  /// Vectors that each rank looks at in one iteration, drawn as whole blocks from those that are not zero; 0, or as many as
  /// there are: all of them.
  std::size_t batch = 0;
  int parts = 1;              // more than 1: a product codebook
  std::uint32_t block = 512;  // of the stage that will use the words: it sets the scale of the vectors
  std::uint64_t seed = 0;
};

struct trained_codebook {
  vector_codebook codebook;
  /// The mean squared error per value of the vectors, divided by their blocks' scales, before each iteration and at the end;
  /// of those that the iteration looked at.
  std::vector<double> distortion;
};

namespace detail {

template <int Dim, int Bits> constexpr codebook_shape trained_shape(training_options const& options) {
  static_assert(is_coded_dim(Dim), "ccomp: train_codebook trains words of 2, 4 or 8 values");
  static_assert(are_coded_bits(Bits), "ccomp: train_codebook trains 2^1 to 2^16 words");
  return {Dim, Bits, options.parts};
}
/// Training for any dim: what `train_codebook` declares for its callers.
trained_codebook train_words(host_exec const& ex, communicator_ref* comm, fit_samples const& data, codebook_shape shape,
                             training_options const& options);

}  // namespace detail

/// Trains the 2^Bits words of a `vector_quantize<Dim, Bits>` by k-means: `train_codebook<4, 8>(ex, gradient)`.
///
/// Data:        one tensor, or several samples of it; each block is divided by the root of its mean square, as the stage
///              does. Blocks of zeros, and runs of 4096 values that hold NaN or Inf, are left out
/// Seeds:       k-means++ on a sample of up to 32 vectors per word, and of up to 65,536 vectors or two per word; taken at
///              equal distances
/// Iterations:  Lloyd's: each vector goes to its nearest word, and each word to the mean of its vectors. A word without
///              vectors stays. With `batch`, words end as means over the second half of the iterations, in which later
///              ones weigh more
/// Ranks:       with a communicator, counts and sums are added over the ranks, in rank order, so that all ranks end with
///              the same words. Without one, send the words of one rank to the others
/// Cost:        the seeds take Dim operations per word and vector of the sample, an iteration Dim + 3 per word of a part and
///              vector that it looks at. An iteration uses the threads of `ex`, the
///              seeds one per part
/// Determinism: the same words for any thread count and instruction set
/// Throws:      invalid_argument: no values, or none that is left; settings out of range; rank_mismatch: the ranks train
///              differently
/// Source:      Lloyd, "Least squares quantization in PCM", IEEE Trans. Information Theory 28, 1982; Arthur, Vassilvitskii,
///              "k-means++: The Advantages of Careful Seeding", SODA 2007; Sculley, "Web-Scale K-Means Clustering", WWW 2010
template <int Dim, int Bits>
trained_codebook train_codebook(host_exec const& ex, fit_samples const& data, training_options const& options = {}) {
  return detail::train_words(ex, nullptr, data, detail::trained_shape<Dim, Bits>(options), options);
}
template <int Dim, int Bits, communicator Comm>
trained_codebook train_codebook(host_exec const& ex, Comm& comm, fit_samples const& data,
                                training_options const& options = {}) {
  communicator_ref ref(comm, std::false_type{});
  return detail::train_words(ex, &ref, data, detail::trained_shape<Dim, Bits>(options), options);
}

#if CCOMP_DEFINITIONS
namespace detail {

/// Counts and sums of the vectors of each word, and how far the vectors were.
struct word_sums {
  std::vector<double> numbers;  // squares, vectors; then per word its count and its sums

  explicit word_sums(codebook_shape const& s)
      : numbers(2 + static_cast<std::size_t>(s.parts) * s.part_words() * static_cast<std::size_t>(s.part_dim() + 1)) {}
  void add(word_sums const& o) {
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] += o.numbers[i];
  }
  double* of(codebook_shape const& s, std::size_t word) {
    return numbers.data() + 2 + word * static_cast<std::size_t>(s.part_dim() + 1);
  }
};

template <std::size_t Dim> class word_training {
 public:
  word_training(host_exec const& ex, communicator_ref* comm, fit_samples const& given, codebook_shape shape,
                training_options const& options)
      : ex_(ex),
        isa_(resolve_isa(ex)),
        comm_(comm),
        data_("train_codebook", ex, given),
        shape_(shape),
        options_(options),
        part_(static_cast<std::size_t>(shape.part_dim())),
        words_(shape.part_words()),
        live_(find_live()) {}

  trained_codebook run() {
    seed();
    trained_codebook made;
    std::vector<double> seen(static_cast<std::size_t>(shape_.parts) * words_);
    for (int i = 0; i <= options_.iterations; ++i) {
      made.codebook = vector_codebook(shape_, {centers_.begin(), centers_.end()});
      word_sums sums = assign(made.codebook, i);
      made.distortion.push_back(sums.numbers[0] / (sums.numbers[1] * static_cast<double>(Dim)));
      if (i < options_.iterations) move(sums, seen, i);
    }
    return made;
  }

 private:
  using tile_type = word_tile<Dim>;

  /// The vectors of n values from `first` on, divided by the scales of their blocks; those of blocks of zeros stay zero.
  /// Only whole vectors count; returns how many.
  std::size_t load_tile(const_values const& sample, std::size_t first, std::size_t n, tile_type& tile,
                        bool (&silent)[tile_values / 16]) const {
    alignas(64) float buffer[tile_values];
    float const* const x = load(isa_, sample, first, n, buffer);
    std::size_t const count = tile_type::count_of(n), whole = options_.block / Dim;
    detail::run(isa_, [&] {
      tile.load(x, n);
      tile.square(count);
      for (std::size_t b = 0; b * whole < count; ++b) {
        std::size_t const vectors = std::min(whole, count - b * whole);
        double const squares = tile.fold(b * whole, vectors, whole);
        float const scale = block_scale(squares, std::min<std::size_t>(options_.block, n - b * options_.block));
        silent[b] = !(scale > 0);
        tile.multiply(b * whole, vectors, inverse_or_zero(scale, scale > 0));
      }
    });
    return n / Dim;
  }
  void add_tile(vector_codebook const& book, tile_type& tile, std::size_t count, bool const (&silent)[tile_values / 16],
                word_sums& sums) const {
    if (count == 0) return;
    word_coder<Dim> const coder{book, options_.block};
    std::uint16_t codes[tile_type::vectors];
    coder.find(isa_, tile, count, codes);
    coder.look_up(codes, count, tile.word);
    for (std::size_t v = 0; v < count; ++v) {
      if (silent[v * Dim / options_.block]) continue;
      sums.numbers[1] += 1;
      for (std::size_t i = 0; i < Dim; ++i) {
        double const d = static_cast<double>(tile.x[i][v]) - static_cast<double>(tile.word[i][v]);
        sums.numbers[0] += d * d;
      }
      for (std::size_t p = 0; p < static_cast<std::size_t>(shape_.parts); ++p) {
        auto const shift = p * static_cast<std::size_t>(shape_.part_bits());
        double* const to = sums.of(shape_, p * words_ + (std::size_t{codes[v]} >> shift & (words_ - 1)));
        to[0] += 1;
        for (std::size_t i = 0; i < part_; ++i) to[1 + i] += static_cast<double>(tile.x[p * part_ + i][v]);
      }
    }
  }
  /// Values that are looked at together: a tile, or a block.
  struct stretch {
    std::size_t sample, first, n;
  };
  [[nodiscard]] std::size_t blocks() const { return ceil_div(data_.n(), std::size_t{options_.block}); }
  [[nodiscard]] stretch live_block(std::size_t number) const {
    std::size_t const first = number % blocks() * options_.block;
    return {number / blocks(), first, std::min<std::size_t>(options_.block, data_.n() - first)};
  }
  /// The numbers of the blocks that hold something to train on: a whole vector, and values that are not all zero.
  [[nodiscard]] std::vector<std::size_t> find_live() const {
    std::size_t const block = options_.block, samples = data_.each().size();
    std::vector<char> live(samples * blocks());
    for (std::size_t s = 0; s < samples; ++s)
      parallel_ranges(ex_, data_.tiles(), tile_values, [&](std::size_t begin, std::size_t end) {
        tile_type tile;
        bool silent[tile_values / 16];
        for (std::size_t t = begin; t < end; ++t) {
          if (data_.is_left_out(s, t)) continue;
          std::size_t const first = t * tile_values, n = std::min(tile_values, data_.n() - first);
          load_tile(data_.each()[s], first, n, tile, silent);
          for (std::size_t b = 0; b * block < n; ++b)
            live[s * blocks() + first / block + b] = !silent[b] && n - b * block >= Dim;
        }
      });
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < live.size(); ++i)
      if (live[i]) numbers.push_back(i);
    return numbers;
  }
  /// What an iteration looks at: all tiles, or blocks drawn from those that hold something.
  [[nodiscard]] std::vector<stretch> stretches(int iteration) const {
    std::size_t const per_block = options_.block / Dim;
    if (options_.batch == 0 || options_.batch / per_block >= live_.size()) return all_stretches();
    random_stream const stream({options_.seed, step(static_cast<std::uint64_t>(iteration))}, 1,
                               comm_ ? static_cast<std::uint32_t>(comm_->rank()) : 0);
    std::vector<stretch> all((options_.batch - 1) / per_block + 1);
    for (std::size_t i = 0; i < all.size(); ++i) {
      philox_words const w = random_words(stream, i);
      all[i] = live_block(live_[(std::uint64_t{w.w[0]} << 32 | w.w[1]) % std::uint64_t{live_.size()}]);
    }
    return all;
  }
  /// Sums over the vectors of an iteration, and over the ranks. Parts of a fixed number are added in their order, so that
  /// threads do not change the result.
  word_sums assign(vector_codebook const& book, int iteration) const {
    auto const all = stretches(iteration);
    word_sums total(shape_);
    std::size_t const parts = std::clamp<std::size_t>((std::size_t{1} << 22) / total.numbers.size(), 1,
                                                      std::min<std::size_t>(16, std::max<std::size_t>(1, all.size())));
    std::vector<word_sums> sums(parts, total);
    std::size_t const work = all.size() * tile_values / parts * words_;
    parallel_ranges(ex_, parts, work, [&](std::size_t begin, std::size_t end) {
      tile_type tile;
      bool silent[tile_values / 16];
      for (std::size_t p = begin; p < end; ++p)
        for (std::size_t i = all.size() * p / parts; i < all.size() * (p + 1) / parts; ++i) {
          std::size_t const count = load_tile(data_.each()[all[i].sample], all[i].first, all[i].n, tile, silent);
          add_tile(book, tile, count, silent, sums[p]);
        }
    });
    for (auto const& each : sums) total.add(each);
    add_ranks(total.numbers);
    return total;
  }
  /// Of all ranks, in rank order.
  template <class T> [[nodiscard]] std::vector<T> gathered(std::vector<T> const& mine) const {
    std::size_t const bytes = mine.size() * sizeof(T), all_bytes = bytes * static_cast<std::size_t>(comm_->size());
    workspace<host_exec> room(ex_);
    auto const memory = room.reserve(bytes + all_bytes);
    std::memcpy(memory.data(), mine.data(), bytes);
    try {
      comm_->all_gather(ex_, memory.first(bytes), memory.subspan(bytes, all_bytes));
    } catch (...) {
      room.keep_until_exit();  // MPI may still use it
      throw;
    }
    std::vector<T> all(all_bytes / sizeof(T));
    std::memcpy(all.data(), memory.data() + bytes, all_bytes);
    return all;
  }
  void add_ranks(std::vector<double>& numbers) const {
    if (!comm_) return;
    auto const all = gathered(numbers);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = all[i];
    for (std::size_t i = numbers.size(); i < all.size(); ++i) numbers[i % numbers.size()] += all[i];
  }
  /// Words go to the mean of their vectors. With batches, those of the second half of the iterations follow a mean over them,
  /// so that what one batch happens to hold evens out.
  void move(word_sums& sums, std::vector<double>& seen, int iteration) {
    int const averaged = iteration - options_.iterations / 2;
    double const kept = options_.batch == 0 || averaged < 1 ? 0 : averaged / (averaged + 1.0);
    for (std::size_t w = 0; w < seen.size(); ++w) {
      double const* const from = sums.of(shape_, w);
      seen[w] = seen[w] * kept + from[0];
      if (from[0] == 0) continue;
      for (std::size_t i = 0; i < part_; ++i) {
        double& center = centers_[w * part_ + i];
        center += (from[1 + i] - from[0] * center) / seen[w];
      }
    }
  }

  /// Up to so many vectors at equal distances, of all ranks.
  [[nodiscard]] std::vector<float> draw_sample() const {
    std::size_t const ranks = comm_ ? static_cast<std::size_t>(comm_->size()) : 1;
    std::size_t const most = std::max<std::size_t>(2 * words_, std::min<std::size_t>(32 * words_, 1 << 16));
    std::size_t const room = ceil_div(most, ranks);
    std::vector<float> mine(1 + room * Dim), all;
    std::size_t vectors = 0;
    for (auto const number : live_) vectors += live_block(number).n / Dim;
    std::size_t const wanted = std::min(room, vectors);
    std::size_t passed = 0, taken = 0;
    tile_type tile;
    bool silent[tile_values / 16];
    for (auto const number : live_) {
      stretch const each = live_block(number);
      std::size_t const here = each.n / Dim;
      // The vectors taken are those with floor(v wanted / vectors) larger than before.
      if ((passed + here) * wanted / vectors > passed * wanted / vectors) {
        load_tile(data_.each()[each.sample], each.first, each.n, tile, silent);
        for (std::size_t v = 0; v < here; ++v) {
          if ((passed + v + 1) * wanted / vectors == (passed + v) * wanted / vectors) continue;
          for (std::size_t i = 0; i < Dim; ++i) mine[1 + taken * Dim + i] = tile.x[i][v];
          ++taken;
        }
      }
      passed += here;
    }
    mine[0] = static_cast<float>(taken);  // below 2^24
    if (comm_) {
      all = gathered(mine);
    } else {
      all = std::move(mine);
    }
    std::vector<float> sample;
    for (std::size_t r = 0; r < ranks; ++r) {
      float const* const from = all.data() + r * (1 + room * Dim);
      sample.insert(sample.end(), from + 1, from + 1 + static_cast<std::size_t>(from[0]) * Dim);
    }
    return sample;
  }
  [[nodiscard]] std::vector<stretch> all_stretches() const {
    std::vector<stretch> all;
    for (std::size_t s = 0; s < data_.each().size(); ++s)
      for (std::size_t t = 0; t < data_.tiles(); ++t)
        if (!data_.is_left_out(s, t))
          all.push_back({s, t * tile_values, std::min(tile_values, data_.n() - t * tile_values)});
    return all;
  }
  void seed() {
    auto const sample = draw_sample();
    std::size_t const count = sample.size() / Dim;
    expects(count > 0,
            "train_codebook: all blocks of the data are zero, shorter than a vector, or left out for NaN or Inf");
    std::vector<float> columns(sample.size());
    for (std::size_t v = 0; v < count; ++v)
      for (std::size_t i = 0; i < Dim; ++i) columns[i * count + v] = sample[v * Dim + i];
    auto const parts = static_cast<std::size_t>(shape_.parts);
    centers_.resize(shape_.values());
    parallel_ranges(ex_, parts, words_ * count * part_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t p = begin; p < end; ++p) {
        random_stream const stream({options_.seed, step(p)}, 0);
        word_seeds(isa_, columns.data() + p * part_ * count, count, part_, stream)
            .write_to(centers_.data() + p * words_ * part_, words_);
      }
    });
  }

  host_exec ex_;
  instruction_set isa_;
  communicator_ref* comm_;
  finite_samples data_;
  codebook_shape shape_;
  training_options options_;
  std::size_t part_, words_;
  std::vector<std::size_t> live_;
  std::vector<double> centers_;
};

CCOMP_FUNCTION trained_codebook train_words(host_exec const& ex, communicator_ref* comm, fit_samples const& data,
                                            codebook_shape shape, training_options const& options) {
  expect_block("train_codebook", options.block, 16);
  expects(options.iterations >= 0,
          [&] { return sentence("train_codebook: iterations must not be negative, got ", options.iterations); });
  expects(options.parts >= 1 && shape.dim % options.parts == 0 && shape.bits % options.parts == 0, [&] {
    return sentence("train_codebook: parts must divide ", shape.dim, " values and ", shape.bits, " bits, got ",
                    options.parts);
  });
  if (comm) {
    // All that the ranks must have in common.
    std::string const call =
        sentence("train_codebook<", shape.dim, ", ", shape.bits, ">(iterations = ", options.iterations,
                 ", batch = ", options.batch, ", parts = ", options.parts, ", block = ", options.block,
                 ", seed = ", options.seed, ")");
    comm->agree(hash_bytes(call), &call, [](void const* text) { return *static_cast<std::string const*>(text); });
  }
  switch (shape.dim) {
    case 2:
      return word_training<2>(ex, comm, data, shape, options).run();
    case 4:
      return word_training<4>(ex, comm, data, shape, options).run();
    case 8:
      return word_training<8>(ex, comm, data, shape, options).run();
    default:  // trained_shape allows no other
      fail(sentence("train_codebook: words have 2, 4 or 8 values, got ", shape.dim));
  }
}

}  // namespace detail
#endif

CCOMP_END
