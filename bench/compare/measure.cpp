#include "measure.hpp"

#include <ccomp/ccomp.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

// Opt-in; two of them need Eigen.
#if __has_include(<ccomp/low_rank/svd.hpp>)
#include <ccomp/low_rank/als.hpp>
#include <ccomp/low_rank/svd.hpp>
#include <ccomp/low_rank/tensor_train.hpp>
#include <ccomp/low_rank/tucker.hpp>
#endif
#if __has_include(<Eigen/Core>) && __has_include(<ccomp/low_rank/power_sgd.hpp>)
#include <ccomp/low_rank/power_sgd.hpp>
#include <ccomp/low_rank/randomized_svd.hpp>
#endif

#include "host_engine.hpp"
#include "program.hpp"
#include "refusing.hpp"
#include "statistics.hpp"
#include "user_error.hpp"

namespace compare {
namespace {

// power_sgd joins where its header could be included.
ccomp::stage_registry const& stages_known() { return ccomp::stage_registry::standard(); }

// "uniform_quantize<8>" of a stage's text, which goes on with its settings.
std::string without_settings(std::string const& stage) { return stage.substr(0, stage.find('(')); }

bool is_here(std::string const& stage) {
  auto const& here = this_program().stages;
  return here.empty() || std::find(here.begin(), here.end(), stage) != here.end();
}

// Those of the stage's row.
std::vector<std::string> examples_of(std::string const& stage) {
  std::vector<std::string> examples;
  ccomp::detail::for_each_stage([&]<class S>(std::type_identity<S>, auto const& row) {
    if (ccomp::detail::stage_type_text<S>() == stage) ccomp::detail::add_texts(examples, row.examples);
  });
  return examples;
}

void add_allreduce(fidelity& found, ccomp::any_compressor const& compressor, gradients const& input,
                   measure_settings const& settings) {
  auto const ranks = static_cast<std::size_t>(input.ranks());
  std::vector<std::vector<float>> sums(ranks);
  std::vector<ccomp::collective_report> reports(ranks);
  ccomp::thread_group group{input.ranks()};
  group.run([&](ccomp::thread_communicator& comm) {
    auto const me = static_cast<std::size_t>(comm.rank());
    auto const row = input.row(comm.rank());
    auto const ex = exec_of_a_rank(settings, comm.size());
    ccomp::workspace ws{ex};
    sums[me].assign(row.begin(), row.end());
    reports[me] = ccomp::allreduce(ex, comm, compressor, std::span(sums[me]), ws, sum_options);
  });
  std::vector<double> exact(input.size());
  for (int rank = 0; rank < input.ranks(); ++rank) {
    auto const row = input.row(rank);
    for (std::size_t i = 0; i < exact.size(); ++i) exact[i] += static_cast<double>(row[i]);
  }
  found.strategy = reports[0].strategy;
  found.bytes_sent = reports[0].bytes_sent;
  found.allreduce_error = relative_error(std::span<float const>(sums[0]), std::span<double const>(exact));
  found.ranks_agree = std::all_of(sums.begin(), sums.end(), [&](auto const& sum) {
    return std::memcmp(sum.data(), sums[0].data(), sum.size() * sizeof(float)) == 0;
  });
}

void add_feedback(fidelity& found, ccomp::any_compressor const& compressor, gradients const& input,
                  measure_settings const& settings) {
  auto const row = input.row(0);
  ccomp::host_exec const ex{.threads = settings.threads};
  ccomp::workspace ws{ex};
  ccomp::self_communicator comm;
  std::vector<float> output(row.size());
  std::vector<double> mean(row.size());
  try {
    ccomp::error_feedback feedback{compressor, row.size(), ex};
    for (int step = 0; step < settings.feedback_steps; ++step) {
      std::copy(row.begin(), row.end(), output.begin());
      ccomp::allreduce(ex, comm, feedback, std::span(output), ws, {.op = ccomp::reduction::sum, .at = step});
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += static_cast<double>(output[i]);
    }
  } catch (ccomp::invalid_argument const& e) {
    found.feedback_note = sentence(e);
    return;
  }
  for (double& value : mean) value /= settings.feedback_steps;
  found.feedback_error = relative_error(std::span<double const>(mean), row);
}

}

ccomp::any_compressor parse(std::string const& text) { return ccomp::any_compressor(text, stages_known()); }

ccomp::host_exec exec_of_a_rank(measure_settings const& settings, int ranks) {
  return {.threads = settings.all_cores ? 0 : std::max(1, settings.threads / ranks)};
}

std::vector<stage_line> known_stage_lines() {
  std::vector<stage_line> lines;
  std::string name;
  for (auto const& stage : stages_known().entries()) {
    auto const variant = stage.argument.empty() ? "" : '<' + stage.argument + '>';
    if (!is_here(stage.name + variant)) continue;
    auto const settings = stage.settings.empty() ? "" : '(' + stage.settings + ')';
    // The variants of one stage that differ only in what stands between < and > share a line.
    if (!lines.empty() && stage.name == name && stage.summary == lines.back().description) {
      lines.back().name.insert(lines.back().name.find('>'), ", " + stage.argument);
      continue;
    }
    name = stage.name;
    lines.push_back({name + variant, settings, stage.summary, examples_of(name + variant)});
  }
  return lines;
}

std::vector<std::string> default_compressors() { return ccomp::detail::compared_texts(); }

std::string library_version() { return CCOMP_VERSION_STRING; }

std::string instruction_set_in_use() { return ccomp::detail::isa_name(ccomp::detail::resolve_isa({})); }

int threads_in_use(int wanted) { return ccomp::detail::resolve_threads({.threads = wanted}); }

void require_compressor(std::string const& text) {
  auto const compressor = refusing(text, [&] { return parse(text); });
  for (auto const& stage : compressor.stages()) {
    auto const name = without_settings(stage.text());
    if (is_here(name)) continue;
    throw user_error("the compressor '" + text + "' cannot be used: this program was compiled without " + name +
                     "; --list prints what it knows.");
  }
}

fidelity measure_fidelity(std::string const& compressor, gradients const& input, measure_settings const& settings) {
  return refusing(compressor, [&] {
    auto const stages = parse(compressor);
    auto const row = input.row(0);
    std::vector<std::byte> payload;
    std::vector<float> output(row.size());
    auto const used = code_on_host(compressor, row, payload, output, settings.threads);

    fidelity found;
    found.payload_bytes = used;
    found.ratio = static_cast<double>(row.size() * input.value_bytes()) / static_cast<double>(used);
    found.relative_error = relative_error(std::span<float const>(output), row);
    found.cosine = cosine(row, output);
    add_allreduce(found, stages, input, settings);
    add_feedback(found, stages, input, settings);
    return found;
  });
}

std::size_t code_on_host(std::string const& compressor, std::span<float const> values, std::vector<std::byte>& payload,
                         std::span<float> output, int threads) {
  auto const stages = parse(compressor);
  ccomp::host_exec const ex{.threads = threads};
  ccomp::workspace ws{ex};
  payload.resize(ccomp::payload_bytes<float>(stages, values.size()));
  auto const used = ccomp::encode(ex, stages, values, std::span(payload), ws, {.at = 0});
  ccomp::decode(ex, stages, std::span<std::byte const>(payload).first(used), output, ws, {.at = 0});
  return used;
}

}
