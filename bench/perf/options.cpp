#include "options.hpp"

#include "bench/compare/command_line.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace perf {
namespace {

using compare::user_error, compare::whole;

std::size_t bytes(std::string const& option, std::string const& text) {
  if (auto const value = parse_bytes(text)) return *value;
  throw user_error(option + " '" + text + "' is not a size from 1 to 64G, such as 8, 64K, 32M or 1G.");
}

template <class Value, std::size_t N>
Value one_of(std::string const& option, std::string const& text,
             std::array<std::pair<char const*, Value>, N> const& known) {
  std::string names;
  for (auto const& [name, value] : known) {
    if (text == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  throw user_error(option + " '" + text + "' is not one of " + names + ".");
}

std::string joined(std::vector<std::string> const& texts) {
  std::string all;
  for (auto const& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

}

options parse_options(offer const& program, std::vector<std::string> arguments) {
  options result;
  std::string first, last, step, factor, calls, warm_up, checks = "1", op = "sum", type = "float", threads, gpus,
                                                         root = "0", json;
  CLI::App app(program.name + ": times collectives as nccl-tests does; " + program.about, program.name);
  app.footer(
      "Sizes may end with K, M or G (1024, ...). Wrong options end with one sentence and exit code 2, wrong values "
      "with exit code 1.");
  app.get_formatter()->column_width(34);
  auto const add = [&](char const* names, std::string& text, char const* what, char const* kind = "N") {
    return app.add_option(names, text, what)->type_name(kind);
  };
  add("-b,--minbytes", first, "the first size (default: 32M; with --percentiles: 8K)", "SIZE");
  add("-e,--maxbytes", last, "the last size (default: 32M; with --percentiles: 1M)", "SIZE");
  add("-i,--stepbytes", step, "from size to size, add this (default: 1M)", "SIZE");
  add("-f,--stepfactor", factor, "or multiply by this (with --percentiles: 2)");
  add("-n,--iters", calls, "calls that are timed (default: 20; with --percentiles: 100)");
  add("-w,--warmup_iters", warm_up, "calls before them (default: 5)");
  add("-c,--check", checks, "checked calls, before them (default: 1; 0: no check)");
  add("-o,--op", op, "sum or mean (default: sum)", "OP");
  add("-d,--datatype", type, "float, half or bfloat16 (default: float)", "TYPE");
  add("-t,--nthreads", threads, "ranks that are threads (default: 4)");
  if (program.gpus) add("-g,--ngpus", gpus, "GPUs, a rank each (default: all)");
  add("-r,--root", root, "the root of a broadcast (default: 0)");
  app.add_option("--operation", result.operation, operations::names())->type_name("NAME");
  app.add_option("--transport", result.transport, joined(program.transports))->type_name("NAME");
  compare::add_texts(app, "--compressor", result.compressors,
                     "measure this one; none: dense; may be repeated (default: none and uniform_quantize<8>)");
  app.add_option("--strategy", result.strategy_name, "automatic, gather, two_shot, ring, in_flight")->type_name("NAME");
  app.add_flag("--feedback", result.feedback, "compressors with error feedback");
  app.add_flag("--native,!--no-native", result.native, "measure MPI's or NCCL's own, too (default: yes)");
  app.add_flag("--percentiles", result.percentiles, "also p50 and p99 of single calls");
  app.add_option("--json", json, "write everything measured to FILE")->type_name("FILE");
  result.help = compare::read_command_line(app, std::move(arguments));
  if (!result.help.empty()) return result;

  auto const given = [&app](char const* name) { return app.count(name) > 0; };
  if (given("-i") && given("-f")) throw user_error("-i and -f exclude each other; give one of them.");
  auto& range = result.range;
  if (result.percentiles)
    range = {.first = 8 << 10, .last = 1 << 20, .step = range.step, .factor = given("-i") ? 0U : 2U};
  if (given("-b")) range.first = bytes("-b", first);
  range.last = std::max(range.last, range.first);
  if (given("-e")) range.last = bytes("-e", last);
  if (range.last < range.first) throw user_error("-e '" + last + "' is less than the first size; see -b.");
  if (given("-i")) range.step = bytes("-i", step);
  if (given("-f")) range.factor = static_cast<std::size_t>(whole("-f", factor, 2, 1024));
  constexpr std::size_t most_sizes = 1000;
  if (range.factor == 0 && (range.last - range.first) / range.step >= most_sizes)
    throw user_error("-i makes more than 1000 sizes; give a larger one, or -f.");
  result.calls = result.percentiles ? 100 : 20;
  if (given("-n")) result.calls = whole("-n", calls, result.percentiles ? 100 : 1, 1000000);
  if (given("-w")) result.warm_up = whole("-w", warm_up, 0, 1000000);
  result.checks = whole("-c", checks, 0, 1000);
  result.op =
      one_of("-o", op, std::array{std::pair{"sum", ccomp::reduction::sum}, std::pair{"mean", ccomp::reduction::mean}});
  result.type = one_of(
      "-d", type,
      std::array{std::pair{"float", ccomp::element_type::float32}, std::pair{"half", ccomp::element_type::float16},
                 std::pair{"bfloat16", ccomp::element_type::bfloat16}});
  result.how = one_of("--strategy", result.strategy_name,
                      std::array{std::pair{"automatic", strategy::automatic}, std::pair{"gather", strategy::gather},
                                 std::pair{"two_shot", strategy::two_shot}, std::pair{"ring", strategy::ring},
                                 std::pair{"in_flight", strategy::in_flight}});
  if (given("-t")) result.threads = whole("-t", threads, 1, 64);
  if (program.gpus && given("-g")) result.gpus = whole("-g", gpus, 1, 64);
  result.root = whole("-r", root, 0, 1000000);
  bool takes_strategy = false;
  bool rooted = false;
  if (!operations::visit(result.operation, [&](auto one) {
        takes_strategy = one.facts.strategies;
        rooted = one.facts.rooted;
      }))
    throw user_error("--operation '" + result.operation + "' is not one of " + operations::names() + ".");
  if (given("--strategy") && !takes_strategy) throw user_error("--strategy is for allreduce alone.");
  if (given("-r") && !rooted)
    throw user_error("-r is for operations with a root, and " + result.operation + " has none.");
  auto const& known = program.transports;
  if (!given("--transport")) result.transport = known.front();
  if (std::find(known.begin(), known.end(), result.transport) == known.end())
    throw user_error("--transport '" + result.transport + "' is not one of " + joined(known) +
                     ", which this build has.");
  if (given("-t") && result.transport != "threads")
    throw user_error("-t is for --transport threads; here ranks are " +
                     std::string(result.transport == "mpi" ? "what mpirun -n starts." : "GPUs, see -g."));
  if (given("--json") && json.empty()) throw user_error("--json needs the name of a file.");
  if (given("--json")) result.json = json;
  if (result.compressors.empty()) result.compressors = {"none", "uniform_quantize<8>"};
  return result;
}

}
