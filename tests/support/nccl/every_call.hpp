#pragma once
/// Every public call with a cuda_exec as a row of one table, on tensors of its own: what holds for all of them is checked
/// row by row.

#include <support/generators.hpp>
#include <support/nccl/nccl_checks.hpp>

#include <ccomp/codec.cuh>
#include <ccomp/collectives.cuh>
#include <ccomp/error_feedback.hpp>
#include <ccomp/low_rank/power_sgd.cuh>
#include <ccomp/quantize/cast.hpp>
#include <ccomp/quantize/shared_scale.cuh>
#include <ccomp/quantize/uniform.hpp>
#include <ccomp/sparsify/random_k.hpp>
#include <ccomp/sparsify/threshold.hpp>
#include <ccomp/sparsify/top_k.hpp>

#include <cstring>
#include <optional>

namespace support {

/// What the calls of one rank are about.
class call_site {
 public:
  using blocks = ccomp::uniform_quantize<4>;
  using sparse = ccomp::top_k;
  static constexpr blocks by_blocks{.round = ccomp::rounding::stochastic};
  static constexpr sparse by_places{.ratio = 0.1};

  enum memory { input, output, residual, payload, frame, memories };

  /// `n`: values of a rank's part; `input` and `output` hold one for each rank. They start `skip` values, the frame
  /// `skip` bytes, behind a boundary.
  call_site(ccomp::cuda_exec const& exec, ccomp::nccl_communicator& communicator, std::size_t n, std::size_t skip = 0,
            std::uint64_t seed = 1)
      : ex(exec), comm(&communicator), part(n), all(n * static_cast<std::size_t>(comm->size())), ws(exec) {
    auto const rank = static_cast<std::uint64_t>(comm->rank());
    std::size_t const room = ccomp::payload_bytes(blocks{}, all) + 4 * all + 256;
    lay(input, all * sizeof(float), skip * sizeof(float), gaussian_values(all, 100 * seed + rank));
    lay(output, all * sizeof(float), skip * sizeof(float), gaussian_values(all, 100 * seed + 10 + rank));
    lay(residual, all * sizeof(float), skip * sizeof(float), gaussian_values(all, 100 * seed + 20 + rank));
    lay(payload, room, 0, {});
    lay(frame, room, skip, {});
  }

  [[nodiscard]] std::span<float> values(memory m) const {
    return {reinterpret_cast<float*>(at[m].data()), at[m].size() / sizeof(float)};
  }
  [[nodiscard]] std::span<float> shard(memory m) const { return values(m).first(part); }
  [[nodiscard]] std::span<std::byte> payload_of(auto const& c) const {
    return at[payload].first(ccomp::payload_bytes(c, all));
  }
  [[nodiscard]] std::span<std::byte> frame_of(auto const& c) const {
    return at[frame].first(ccomp::max_compressed_bytes(c, all));
  }
  void wait() const { comm->wait(ex, std::chrono::seconds(60)); }
  /// All memory as it is now, with what lies around it; what waits on a stream is not in it.
  [[nodiscard]] std::vector<std::byte> peek() const {
    std::vector<std::byte> bytes;
    auto const add = [&](std::span<std::byte const> from) { bytes.insert(bytes.end(), from.begin(), from.end()); };
    for (auto const& m : held_) add(m->bytes());
    if (kept_) add(std::as_bytes(kept_->residual()));
    if (kept_sparse_) add(std::as_bytes(kept_sparse_->residual()));
    if (kept_low_rank_) add(std::as_bytes(kept_low_rank_->residual()));
    if (set_)
      for (auto& [id, w] : *set_) add(std::as_bytes(set_->at(id, w.size()).residual()));
    return bytes;
  }
  /// The calls' memory alone, without what lies around it, which is as it was.
  [[nodiscard]] std::vector<std::byte> results() const {
    std::vector<std::byte> bytes;
    for (std::size_t m = 0; m < memories; ++m) {
      auto const whole = held_[m]->bytes();
      std::byte const* const from = at[m].data();
      for (auto const& b : whole)
        if (&b < from || &b >= from + at[m].size()) REQUIRE(b == around);
      bytes.insert(bytes.end(), at[m].begin(), at[m].end());
    }
    return bytes;
  }

  /// The step of calls with a wrapper, which may come again and again only from device memory.
  [[nodiscard]] ccomp::step at_seven() const { return ccomp::step::from_device(seven_.data()); }

  // Wrappers, made at their first use.
  auto& feedback() { return made(kept_, by_blocks, all); }
  auto& feedback_of_part() { return made(kept_, by_blocks, part); }
  auto& sparse_feedback() { return made(kept_sparse_, by_places, all); }
  auto& low_rank_feedback() { return made(kept_low_rank_, ccomp::power_sgd{.rank = 2}, all); }
  auto& feedback_set() {
    if (!set_) set_.emplace(by_blocks, ex);
    return *set_;
  }
  [[nodiscard]] std::vector<ccomp::tensor_view> tensors() const {
    auto const x = values(input);
    return {{x.first(all / 3), 4}, {x.subspan(all / 3), 9}};
  }

  ccomp::cuda_exec ex;
  ccomp::nccl_communicator* comm;
  std::size_t part, all;
  ccomp::workspace<ccomp::cuda_exec> ws;
  std::span<std::byte> at[memories];

 private:
  static constexpr std::byte around{0xa5};

  void lay(memory m, std::size_t bytes, std::size_t skip, std::vector<float> const& values) {
    std::vector<std::byte> all_bytes(skip + bytes + 32, around);
    std::memset(all_bytes.data() + skip, 0, bytes);
    if (!values.empty()) std::memcpy(all_bytes.data() + skip, values.data(), bytes);
    held_[m] = std::make_unique<on_gpu<std::byte>>(all_bytes);
    at[m] = held_[m]->bytes().subspan(skip, bytes);
  }
  template <class C> using wrapper = ccomp::error_feedback<C, ccomp::cuda_exec>;
  template <class C> wrapper<C>& made(std::optional<wrapper<C>>& w, C c, std::size_t n) {
    if (!w) w.emplace(c, n, ex);
    return *w;
  }

  on_gpu<std::uint64_t> seven_{std::vector<std::uint64_t>{7}};
  std::unique_ptr<on_gpu<std::byte>> held_[memories];
  mutable std::optional<wrapper<blocks>> kept_;
  mutable std::optional<wrapper<sparse>> kept_sparse_;
  mutable std::optional<wrapper<ccomp::power_sgd>> kept_low_rank_;
  mutable std::optional<ccomp::error_feedback_set<blocks, ccomp::cuda_exec>> set_;
};

/// A row of the table.
struct public_call {
  struct argument {
    call_site::memory where;
    std::string name;  // in messages
  };
  std::string name;                        // as it calls itself
  std::string what;                        // with what compressor, by what strategy
  std::function<void(call_site&)> make;    // the call
  std::vector<argument> arguments;         // memory it is given
  bool meets = false;                      // other ranks
  bool waits = false;                      // by design, for the device
  std::function<void(call_site&)> before;  // what it needs once before
};

namespace rows {

template <class C> ccomp::step step_of(call_site const& f, C const&) {
  if constexpr (requires(C const& c) { c.inner(); })
    return f.at_seven();
  else
    return 7;
}

template <class C> void add_passes(std::vector<public_call>& table, char const* what, C const& c) {
  using s = call_site;
  using namespace ccomp;
  auto const add = [&](char const* name, auto make, std::vector<public_call::argument> arguments, auto before) {
    table.push_back({name, what, make, std::move(arguments), false, false, before});
  };
  auto const nothing = [](s&) {};
  auto const coded = [c](s& f) { encode(f.ex, c, f.values(s::input), f.payload_of(c), f.ws, {.at = 7}); };
  add("encode", coded, {{s::input, "the input"}, {s::payload, "the payload"}}, nothing);
  add(
      "encode_feedback",
      [c](s& f) {
        encode_feedback(f.ex, c, f.values(s::input), f.values(s::residual), f.payload_of(c), f.ws, {.at = 7}, 0.5f);
      },
      {{s::input, "the input"}, {s::residual, "the residual"}, {s::payload, "the payload"}}, nothing);
  add(
      "decode", [c](s& f) { decode(f.ex, c, f.payload_of(c), f.values(s::output), f.ws, {.at = 7}); },
      {{s::payload, "the payload"}, {s::output, "the output"}}, coded);
  add(
      "decode_accumulate",
      [c](s& f) { decode_accumulate(f.ex, c, f.payload_of(c), f.values(s::output), f.ws, {.at = 7}); },
      {{s::payload, "the payload"}, {s::output, "the output"}}, coded);
  auto const framed = [c](s& f) { compress(f.ex, c, f.values(s::input), f.frame_of(c), f.ws, {.at = 7}); };
  add("compress", framed, {{s::input, "the input"}, {s::frame, "the output"}}, nothing);
  add(
      "decompress", [c](s& f) { decompress(f.ex, c, f.frame_of(c), f.values(s::output), f.ws); },
      {{s::frame, "the frame"}, {s::output, "the output"}}, framed);
  table.back().waits = true;
}

inline std::vector<public_call> make_public_calls() {
  using s = call_site;
  using namespace ccomp;
  std::vector<public_call> table;
  add_passes(table, "blocks", s::by_blocks);
  add_passes(table, "places", s::by_places);
  threshold const counted{.value = 1, .capacity_ratio = 0.5};
  table.push_back({"compress",
                   "threshold",
                   [=](s& f) { compress(f.ex, counted, f.values(s::input), f.frame_of(counted), f.ws); },
                   {{s::input, "the input"}, {s::frame, "the output"}},
                   false,
                   true,
                   {}});

  auto const meet = [&](char const* name, char const* what, auto make, std::vector<public_call::argument> arguments) {
    table.push_back({name, what, make, std::move(arguments), true, false, {}});
  };
  auto const reduce = [&](char const* what, auto strategy, auto compressor) {
    meet("allreduce", what,
         [=](s& f) {
           allreduce(f.ex, *f.comm, compressor(f), f.values(s::input), f.ws, {.at = step_of(f, compressor(f))},
                     strategy);
         },
         {{s::input, "the tensor"}});
  };
  auto const just = [](auto c) { return [c](s&) { return c; }; };
  reduce("gather", gather{}, just(s::by_blocks));
  reduce("two_shot", two_shot{}, just(s::by_blocks));
  reduce("gather, places", gather{}, just(s::by_places));
  reduce("two_shot, places", two_shot{}, just(s::by_places));
  reduce("in_flight", in_flight{}, just(cast<bfloat16>{}));
  reduce("in_flight, places", in_flight{}, just(random_k{.ratio = 0.3}));
  reduce("shared_scale_quantize", automatic{}, just(shared_scale_quantize<8>{}));
  reduce("power_sgd", automatic{}, just(power_sgd{.rank = 2}));
  reduce("gather, error_feedback", gather{}, [](s& f) -> auto& { return f.feedback(); });
  reduce("two_shot, error_feedback", two_shot{}, [](s& f) -> auto& { return f.feedback(); });
  reduce("gather, error_feedback, places", gather{}, [](s& f) -> auto& { return f.sparse_feedback(); });
  reduce("power_sgd, error_feedback", automatic{}, [](s& f) -> auto& { return f.low_rank_feedback(); });
  auto const several = [&](char const* what, auto strategy, auto compressor) {
    meet("allreduce", what,
         [=](s& f) {
           allreduce(f.ex, *f.comm, compressor(f), f.tensors(), f.ws, {.at = step_of(f, compressor(f))}, strategy);
         },
         {{s::input, "the tensor"}});
  };
  several("several tensors, gather", gather{}, just(s::by_blocks));
  several("several tensors, two_shot, error_feedback_set", two_shot{}, [](s& f) -> auto& { return f.feedback_set(); });

  std::vector<public_call::argument> const both{{s::input, "the tensor"}, {s::output, "the output"}};
  meet(
      "allgather", "blocks",
      [](s& f) { allgather(f.ex, *f.comm, s::by_blocks, f.shard(s::input), f.values(s::output), f.ws, {.at = 7}); },
      both);
  meet(
      "allgather", "error_feedback",
      [](s& f) {
        allgather(f.ex, *f.comm, f.feedback_of_part(), f.shard(s::input), f.values(s::output), f.ws,
                  {.at = f.at_seven()});
      },
      both);
  meet(
      "reduce_scatter", "blocks",
      [](s& f) {
        reduce_scatter(f.ex, *f.comm, s::by_blocks, f.values(s::input), f.shard(s::output), f.ws, {.at = 7});
      },
      both);
  meet(
      "reduce_scatter", "error_feedback, places",
      [](s& f) {
        reduce_scatter(f.ex, *f.comm, f.sparse_feedback(), f.values(s::input), f.shard(s::output), f.ws,
                       {.at = f.at_seven()});
      },
      both);
  meet(
      "all_to_all", "blocks",
      [](s& f) { all_to_all(f.ex, *f.comm, s::by_blocks, f.values(s::input), f.values(s::output), f.ws, {.at = 7}); },
      both);
  meet(
      "reduce_to", "error_feedback",
      [](s& f) {
        reduce_to(f.ex, *f.comm, f.feedback(), f.values(s::input), f.values(s::output), 0, f.ws, {.at = f.at_seven()});
      },
      both);
  meet(
      "gather_to", "places",
      [](s& f) { gather_to(f.ex, *f.comm, s::by_places, f.shard(s::input), f.values(s::output), 0, f.ws, {.at = 7}); },
      both);
  meet(
      "scatter_from", "blocks",
      [](s& f) {
        scatter_from(f.ex, *f.comm, s::by_blocks, f.values(s::input), f.shard(s::output), 0, f.ws, {.at = 7});
      },
      both);
  meet(
      "allgatherv", "blocks",
      [](s& f) {
        std::vector<std::size_t> const counts(static_cast<std::size_t>(f.comm->size()), f.part);
        allgatherv(f.ex, *f.comm, s::by_blocks, f.shard(s::input), f.values(s::output), counts, f.ws, {.at = 7});
      },
      both);
  meet("broadcast", "places",
       [](s& f) { broadcast(f.ex, *f.comm, s::by_places, f.values(s::input), 0, f.ws, {.at = 7}); },
       {{s::input, "the tensor"}});
  meet("broadcast", "error_feedback",
       [](s& f) { broadcast(f.ex, *f.comm, f.feedback(), f.values(s::input), 0, f.ws, {.at = f.at_seven()}); },
       {{s::input, "the tensor"}});
  return table;
}

}  // namespace rows

inline std::vector<public_call> const& public_calls() {
  static auto const table = rows::make_public_calls();
  return table;
}

}  // namespace support
