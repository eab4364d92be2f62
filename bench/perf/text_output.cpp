#include "text_output.hpp"

#include "bench/compare/environment.hpp"
#include "bench/compare/printable.hpp"

#include <ccomp/core/host_exec.hpp>
#include <ccomp/version.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <thread>

namespace perf {
namespace {

constexpr std::size_t name_width = 26;

std::string right(std::string text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}
std::string left(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}
std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}
std::string three_digits(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}
template <class Value, class Write> std::string if_any(std::optional<Value> const& value, Write const& write) {
  return value ? write(*value) : "-";
}
std::string microseconds(double seconds) { return fixed(seconds * 1e6, seconds < 1e-2 ? 2 : 1); }

std::string type_name(ccomp::element_type type) {
  return type == ccomp::element_type::float32 ? "float" : type == ccomp::element_type::float16 ? "half" : "bfloat16";
}

}

// A long name has a line of its own in the heading.
std::string text_output::shown(std::string const& compressor) const {
  auto const name = compare::printable(compressor);
  if (name.size() <= name_width) return name;
  for (std::size_t i = 0; i < wanted_.compressors.size(); ++i)
    if (wanted_.compressors[i] == compressor) return '[' + std::to_string(i + 1) + ']';
  return name;
}

std::string text_output::heading(run_facts const& facts) const {
  std::string out = "# ccomp " CCOMP_VERSION_STRING ", " + wanted_.operation + ", " +
                    (facts.ranks == 1 ? "1 rank" : std::to_string(facts.ranks) + " ranks") + " over " +
                    facts.transport + (facts.library.empty() ? "" : " (" + facts.library + ')') + '\n';
  out += "# " + compare::utc_now() + ", " + compare::cpu_name() + ", " +
         std::to_string(std::thread::hardware_concurrency()) + " cores, " + compare::compiler_name() + ", ";
  out += facts.device.empty()
             ? std::string(ccomp::detail::isa_name(ccomp::detail::resolve_isa({}))) + ", codecs with " +
                   (facts.threads == 1 ? "1 thread" : std::to_string(facts.threads) + " threads") + '\n'
             : facts.device + '\n';
  out += "# calls: " + std::to_string(wanted_.calls) + ", warm-up: " + std::to_string(wanted_.warm_up) +
         ", checked: " + std::to_string(wanted_.checks) + ", strategy: " + wanted_.strategy_name +
         (wanted_.feedback ? ", with error feedback" : "") + '\n';
  for (auto const& compressor : wanted_.compressors)
    if (auto const name = shown(compressor); name != compare::printable(compressor))
      out += "# " + name + ": " + compare::printable(compressor) + '\n';
  auto const columns = [&](std::array<char const*, 15> const& names) {
    std::string line = '#' + right(names[0], 10) + ' ' + right(names[1], 10) + ' ' + right(names[2], 8) + ' ' +
                       right(names[3], 5) + ' ' + left(names[4], name_width) + ' ' + left(names[5], 10) + ' ' +
                       right(names[6], 10) + ' ' + right(names[7], 7) + ' ' + right(names[8], 7);
    if (wanted_.percentiles) line += ' ' + right(names[9], 9) + ' ' + right(names[10], 9);
    return line + ' ' + right(names[11], 7) + ' ' + right(names[12], 8) + ' ' + right(names[13], 6) + ' ' +
           right(names[14], 10) + '\n';
  };
  out += columns({"size", "count", "type", "redop", "compressor", "strategy", "time", "algbw", "busbw", "p50", "p99",
                  "#wrong", "error", "ratio", "wire"});
  return out +
         columns({"(B)", "(values)", "", "", "", "", "(us)", "(GB/s)", "(GB/s)", "(us)", "(us)", "", "", "", "(B)"});
}

std::string text_output::line(result_row const& row) const {
  auto const whole = [](std::size_t value) { return std::to_string(value); };
  bool reduces = true;
  operations::visit(wanted_.operation, [&](auto one) { reduces = one.facts.reduces; });
  std::string out = ' ' + right(whole(row.bytes), 10) + ' ' + right(whole(row.count), 10) + ' ' +
                    right(type_name(wanted_.type), 8) + ' ' +
                    right(!reduces                              ? "none"
                          : wanted_.op == ccomp::reduction::sum ? "sum"
                                                                : "mean",
                          5) +
                    ' ' + left(shown(row.compressor), name_width) + ' ' +
                    left(row.strategy.empty() ? "-" : row.strategy, 10) + ' ' + right(microseconds(row.seconds), 10) +
                    ' ' + right(fixed(row.algorithm_bandwidth / 1e9, 3), 7) + ' ' +
                    right(fixed(row.bus_bandwidth / 1e9, 3), 7);
  if (wanted_.percentiles)
    out += ' ' + right(if_any(row.p50, microseconds), 9) + ' ' + right(if_any(row.p99, microseconds), 9);
  return out + ' ' + right(if_any(row.wrong, whole), 7) + ' ' + right(if_any(row.error, three_digits), 8) + ' ' +
         right(if_any(row.ratio, three_digits), 6) + ' ' + right(if_any(row.wire_bytes, whole), 10) + '\n';
}

std::string text_output::ending(run_result const& found) const {
  std::string out;
  for (auto const& note : found.notes) out += "# " + note + '\n';
  if (wanted_.checks > 0)
    out += "# wrong values: " + std::to_string(found.wrong()) + (found.wrong() == 0 ? " (good)\n" : " (WRONG)\n");
  return out;
}

}
