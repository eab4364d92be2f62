#pragma once

#include "bench/compare/refusing.hpp"
#include "check.hpp"
#include "input.hpp"
#include "options.hpp"
#include "percentile.hpp"
#include "result.hpp"
#include "world.hpp"

#include <ccomp/core/workspace.hpp>
#include <ccomp/error_feedback.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace perf {

// Arguments of MPI's and NCCL's own calls.
struct native_call {
  std::string_view operation;
  void* input;
  void* output;       // the same as `input`: in place
  std::size_t count;  // in the sense of operation_facts
  ccomp::element_type type;
  ccomp::reduction op;
  int root;
};

// One operation on one type, measured by one rank. `Rank` (host_rank.hpp, cuda/device_rank.cuh) has
//   ex, comm, all, compressor, can_feed_back
//   native_name(), has_native(facts, type, op), native(native_call)
//   memory<T>: data(), span();  stopwatch: start(i), stop(i), seconds()
template <class Operation, class T, class Rank> class measurement {
 public:
  using exec = std::remove_cvref_t<decltype(std::declval<Rank&>().ex)>;
  using run_function = std::function<ccomp::collective_report()>;
  static constexpr auto const& facts = Operation::facts;

  measurement(Rank& self, options const& wanted, std::size_t most_bytes)
      : self_(self),
        wanted_(wanted),
        given_(length(facts.gives_all, count_of(most_bytes))),
        tensor_(facts.in_place ? given_.span().size() : 1),
        output_(facts.in_place ? 1 : length(facts.gets_all, count_of(most_bytes))) {
    std::vector<T> values(given_.span().size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = T(input_value(self.all.rank(), i));
    self.ex.copy_from_host(given_.data(), values.data(), values.size() * sizeof(T));
  }

  result_row native(std::size_t bytes) {
    set(bytes);
    native_call const call{facts.name, now_.input.data(), now_.output.data(), count_, ccomp::element_type_of<T>,
                           wanted_.op, wanted_.root};
    auto row = measure(
        [&] {
          self_.native(call);
          return ccomp::collective_report{};
        },
        true);
    row.compressor = self_.native_name();
    return row;
  }

  result_row of(std::size_t bytes, std::string const& compressor) {
    set(bytes);
    auto row = compare::refusing(compressor, [&] { return run(compressor); });
    row.compressor = compressor;
    row.strategy = report_.strategy;
    row.feedback = report_.feedback;
    auto const payload = self_.all.largest(static_cast<double>(report_.payload_bytes));
    row.wire_bytes = static_cast<std::size_t>(self_.all.largest(static_cast<double>(report_.bytes_sent)));
    if (payload > 0) row.ratio = static_cast<double>(now_.input.size_bytes()) / payload;
    return row;
  }

 private:
  std::size_t ranks() const { return static_cast<std::size_t>(self_.all.size()); }
  // Whole values, at least one per rank.
  std::size_t count_of(std::size_t bytes) const {
    return std::max<std::size_t>(1, bytes / sizeof(T) / (facts.cut ? ranks() : 1));
  }
  std::size_t length(bool of_all, std::size_t count) const { return of_all && facts.cut ? count * ranks() : count; }

  void set(std::size_t bytes) {
    count_ = count_of(bytes);
    auto const input = length(facts.gives_all, count_), output = length(facts.gets_all, count_);
    if (facts.in_place) {
      now_.input = now_.output = tensor_.span().first(output);
    } else {
      now_.input = given_.span().first(input);
      now_.output = output_.span().first(output);
    }
    now_.op = wanted_.op;
    now_.root = wanted_.root;
    now_.how = wanted_.how;
    now_.step = 0;
  }

  result_row run(std::string const& text) {
    bool const dense = text == "none";
    if (dense && Operation::has_primitive(now_)) return measure([&] { return Operation::primitive(now_); }, true);
    // A factor of 1: the chain that changes nothing, with the library's own sums.
    auto const compressor = self_.compressor(dense ? "scale" : text);
    if constexpr (Rank::can_feed_back) {
      if (wanted_.feedback && !dense) {
        ccomp::error_feedback feedback{compressor, now_.input.size(), self_.ex};
        return measure([&] { return Operation::compressed(now_, feedback); }, false);
      }
    }
    return measure([&] { return Operation::compressed(now_, compressor); }, dense);
  }

  // In-place calls change their input: it is copied anew before each, which is not timed.
  void refill() {
    if (facts.in_place) self_.ex.copy(tensor_.data(), given_.data(), now_.output.size_bytes());
  }

  result_row measure(run_function const& call, bool exact) {
    auto& all = self_.all;
    result_row row;
    row.bytes = std::max(now_.input.size_bytes(), now_.output.size_bytes());
    row.count = count_;
    auto const once = [&] {
      report_ = call();
      ++now_.step;
    };
    for (int i = 0; i < wanted_.checks; ++i) {
      refill();
      once();
      auto const found = check(exact);
      row.wrong = row.wrong.value_or(0) + found.wrong;
      if (i == 0) row.error = found.difference == 0 ? 0 : std::sqrt(found.difference / found.norm);
    }
    for (int i = 0; i < wanted_.warm_up; ++i) {
      refill();
      once();
    }
    auto const mine = times(once, false);
    double sum = 0;
    for (double const each : mine) sum += each;
    row.seconds = all.largest(sum / static_cast<double>(mine.size()));
    row.algorithm_bandwidth = static_cast<double>(row.bytes) / row.seconds;
    row.bus_bandwidth = row.algorithm_bandwidth * Operation::bus_factor(static_cast<double>(all.size()));
    if (wanted_.percentiles) {
      auto const single = all.gather(times(once, true));
      std::vector<double> slowest(static_cast<std::size_t>(wanted_.calls));
      for (std::size_t i = 0; i < single.size(); ++i) {
        auto& one = slowest[i % slowest.size()];
        one = std::max(one, single[i]);
      }
      row.p50 = percentile(slowest, 50);
      row.p99 = percentile(slowest, 99);
    }
    return row;
  }

  // This rank's time of each call, after all ranks have met: once, or before each.
  template <class Once> std::vector<double> times(Once const& once, bool meet_each_time) {
    auto const calls = static_cast<std::size_t>(wanted_.calls);
    typename Rank::stopwatch watch(self_, calls);
    self_.settle();
    self_.all.wait_for_all();
    for (std::size_t i = 0; i < calls; ++i) {
      refill();
      if (meet_each_time) {
        self_.settle();
        self_.all.wait_for_all();
      }
      watch.start(i);
      once();
      watch.stop(i);
    }
    return watch.seconds();
  }

  expectation expected(std::size_t i, bool exact) const {
    auto const from = Operation::from(i, count_, self_.all.rank(), wanted_.root);
    if (from.rank >= 0) return {value(from.rank, from.place), exact ? 0 : no_bound};
    double sum = 0, magnitudes = 0;
    int const ranks = self_.all.size();
    for (int r = 0; r < ranks; ++r) {
      auto const x = value(r, from.place);
      sum += x;
      magnitudes += std::abs(x);
    }
    double const divisor = wanted_.op == ccomp::reduction::mean ? ranks : 1;
    if (!exact) return {sum / divisor, no_bound};
    return {sum / divisor, rounding_slack(ccomp::element_type_of<T>, ranks, magnitudes / divisor)};
  }
  static double value(int rank, std::size_t place) {
    return static_cast<double>(static_cast<float>(T(input_value(rank, place))));
  }

  // Of all ranks together.
  check_result check(bool exact) {
    constexpr std::size_t most = std::size_t{1} << 18;
    check_result found;
    std::vector<T> got(std::min(most, now_.output.size())), first(facts.same_output ? got.size() : 0);
    for (std::size_t at = 0; at < now_.output.size(); at += got.size()) {
      auto const n = std::min(got.size(), now_.output.size() - at);
      self_.ex.copy_to_host(got.data(), now_.output.data() + at, n * sizeof(T));
      if (facts.same_output) {
        std::copy_n(got.begin(), n, first.begin());
        self_.all.broadcast_from_first(std::as_writable_bytes(std::span(first).first(n)));
      }
      auto const part =
          check_values(std::span<T const>(got).first(n), std::span<T const>(first).first(facts.same_output ? n : 0),
                       [&](std::size_t i) { return expected(at + i, exact); });
      found.wrong += part.wrong;
      found.difference += part.difference;
      found.norm += part.norm;
    }
    return {static_cast<std::size_t>(self_.all.sum(static_cast<double>(found.wrong))), self_.all.sum(found.difference),
            self_.all.sum(found.norm)};
  }

  static constexpr double no_bound = std::numeric_limits<double>::infinity();

  Rank& self_;
  options const& wanted_;
  typename Rank::template memory<T> given_, tensor_, output_;
  ccomp::workspace<exec> ws_{self_.ex};
  std::size_t count_ = 0;
  call<exec, std::remove_reference_t<decltype(std::declval<Rank&>().comm)>, T> now_{self_.ex, self_.comm, ws_, {}, {}};
  ccomp::collective_report report_;
};

// All rows; show(row) after each, on every rank.
template <class Rank, class Show>
void measure_all(Rank& self, options const& wanted, run_result& found, Show const& show) {
  auto const sizes = sizes_of(wanted.range);
  auto const with = [&](auto operation, auto zero) {
    using T = decltype(zero);
    measurement<decltype(operation), T, Rank> one(self, wanted, sizes.back());
    bool const native =
        wanted.native && self.native_name()[0] != '\0' && self.has_native(operation.facts, wanted.type, wanted.op);
    for (auto const size : sizes) {
      auto const add = [&](result_row row) {
        show(row);
        found.rows.push_back(std::move(row));
      };
      if (native) add(one.native(size));
      for (auto const& compressor : wanted.compressors) add(one.of(size, compressor));
    }
  };
  operations::visit(wanted.operation, [&](auto operation) {
    switch (wanted.type) {
      case ccomp::element_type::float32:
        return with(operation, float{});
      case ccomp::element_type::float16:
        return with(operation, ccomp::float16{});
      default:
        return with(operation, ccomp::bfloat16{});
    }
  });
}

}
