#include "number.hpp"
#include "printable.hpp"
#include "table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace compare {
namespace {

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// Three significant digits, without an exponent where a person can do without.
std::string three_digits(double value) {
  if (!std::isfinite(value)) return "-";
  auto const size = std::fabs(value);
  if (size == 0) return "0";
  if (size >= 1e6 || size < 1e-4) {
    char text[64];
    std::snprintf(text, sizeof text, "%.1e", value);
    return text;
  }
  if (size >= 99.95) return fixed(value, 0);
  if (size >= 9.995) return fixed(value, 1);
  if (size >= 0.9995) return fixed(value, 2);
  return fixed(value, size >= 0.1 ? 3 : size >= 0.01 ? 4 : 5);
}

std::string name_of(result const& one) { return printable(one.compressor); }

std::string limit_text(cost const& candidate, cost const& dense) {
  auto const bits_per_second = break_even(candidate, dense);
  if (bits_per_second == 0) return "never";
  return std::isinf(bits_per_second) ? "always" : three_digits(bits_per_second / 1e9);
}

std::string fidelity_table(comparison const& all) {
  table lines({{"", "", "relative", "after", "of the", "allreduce", "sent,"},
               {"compressor", "ratio", "error", "feedback", "sum", "strategy", "KiB"}});
  for (auto const& one : all.results) {
    auto const& exact = one.exact;
    lines.add({name_of(one), three_digits(exact.ratio), three_digits(exact.relative_error),
               exact.feedback_error ? three_digits(*exact.feedback_error) : "-", three_digits(exact.allreduce_error),
               exact.strategy, three_digits(static_cast<double>(exact.bytes_sent) / 1024)});
  }
  return lines.text();
}

std::string speed_table(comparison const& all) {
  std::vector<table::cells> heading = {{"", "encode", "decode", "encode", "allreduce"},
                                       {"compressor", "GB/s", "GB/s", "/ read", "ms"}};
  if (all.on_device()) {
    heading = {{"", "encode", "decode", "encode", "decode", "same as", "allreduce"},
               {"compressor", "GB/s", "GB/s", "of copy", "of copy", "on host", "ms"}};
  }
  table lines(heading);
  auto const bytes = all.timed_bytes();
  for (auto const& one : all.results) {
    auto const& timed = one.timed;
    table::cells row = {name_of(one), three_digits(gigabytes_per_second(bytes, timed.encode)),
                        three_digits(gigabytes_per_second(bytes, timed.decode))};
    if (all.on_device()) {
      for (auto const pass : {timed.encode, timed.decode}) row.push_back(three_digits(all.of_copy(timed, pass)));
      row.emplace_back(timed.check->same() ? "yes" : "NO");
    } else {
      row.push_back(three_digits(timed.read / timed.encode));
    }
    row.push_back(three_digits(timed.allreduce * 1e3));
    lines.add(row);
  }
  return lines.text();
}

table prediction_table(comparison const& all, std::size_t links) {
  table::cells top = {""};
  table::cells bottom = {"compressor"};
  for (std::size_t i = 0; i < links; ++i) {
    top.emplace_back("ms at");
    bottom.push_back(all.links[i].text);
  }
  // The last word tells one dense type from the other.
  for (auto const* dense : {&all.dense_float32, &all.dense_half}) {
    top.emplace_back("beats");
    bottom.push_back(dense->name.substr(dense->name.rfind(' ') + 1));
  }
  table lines({top, bottom});
  auto const add = [&](std::string const& name, cost const& price, std::string const& float32,
                       std::string const& half) {
    table::cells row = {name};
    for (std::size_t i = 0; i < links; ++i) row.push_back(three_digits(price.seconds(all.links[i]) * 1e3));
    row.push_back(float32);
    row.push_back(half);
    lines.add(row);
  };
  add(all.dense_float32.name, all.dense_float32.price, "", "");
  add(all.dense_half.name, all.dense_half.price, limit_text(all.dense_half.price, all.dense_float32.price), "");
  for (auto const& one : all.results) {
    add(name_of(one), one.price, limit_text(one.price, all.dense_float32.price),
        limit_text(one.price, all.dense_half.price));
  }
  return lines;
}

// As many links as the page has room for.
std::string predictions(comparison const& all) {
  auto links = all.links.size();
  while (links > 1 && !prediction_table(all, links).fits()) --links;
  auto out = prediction_table(all, links).text();
  if (links < all.links.size()) {
    out += "(" + counted(all.links.size() - links, "more link speed") + " in the files of --json and --csv.)\n";
  }
  return out;
}

// The yardstick, and how far it moved.
std::string yardstick_text(comparison const& all) {
  auto const& where = all.where;
  auto out = "Input as float32, repeated to " + three_digits(all.timed_bytes() / 1048576) + " MiB per rank";
  if (where.device) {
    out += ", on " + printable(where.device->name) + ": a copy on the device, " + three_digits(all.copy_gbps) +
           " GB/s, read and written";
  } else {
    out += ", " + counted(static_cast<std::size_t>(where.threads), "thread") + ": read " + three_digits(all.read_gbps) +
           " GB/s, copy " + three_digits(all.copy_gbps) + " GB/s";
  }
  out += "; medians of " + std::to_string(where.repetitions) +
         " (allreduce: " + std::to_string(where.allreduce_repetitions) + "). Spread of the " +
         (where.device ? "copy" : "read") + " over the run: " + percent(all.noise.relative) + " (" +
         three_digits(all.noise.least) + " to " + three_digits(all.noise.most) + " GB/s).";
  if (!all.quiet()) out += " The machine was not quiet: do not compare times of this run.";
  return wrapped(out);
}

std::string warnings(comparison const& all) {
  std::string out;
  auto const warn = [&](result const& one, std::string const& what) {
    out += wrapped("WARNING: " + what + " for " + name_of(one) + '.');
  };
  for (auto const& one : all.results) {
    auto const& check = one.timed.check;
    if (check && !check->same_payload) warn(one, "the GPU's payload differs from the host's");
    if (check && !check->same_values) warn(one, "what the GPU decodes differs from the host's");
    if (check && !check->ranks_agree) warn(one, "the ranks' results on the GPU differ");
    if (!one.exact.ranks_agree) warn(one, "the ranks' results differ");
  }
  return out;
}

}

std::string to_text(comparison const& all) {
  auto const& where = all.where;
  auto const steps = counted(static_cast<std::size_t>(where.feedback_steps), "step");
  std::string out = wrapped(printable(where.input) + ": " + where.reading) + '\n' + fidelity_table(all);
  out += wrapped("Ratio: bytes of the input" + std::string(where.value_bytes == 2 ? ", 2 per value," : "") +
                 " per byte of payload. Error: of one encode and decode; of the mean of " + steps +
                 " with error feedback; of the sum of " + counted(static_cast<std::size_t>(where.ranks), "rank") +
                 ". Sent: bytes that one rank sends in one allreduce.");
  auto const refused = [](result const& one) { return !one.exact.feedback_note.empty(); };
  if (std::any_of(all.results.begin(), all.results.end(), refused)) {
    out += "-: error feedback refuses this compressor; the JSON file says why.\n";
  }
  out += '\n' + yardstick_text(all) + '\n' + speed_table(all);
  if (where.device) {
    out += wrapped(
        "Of copy: the bytes per second that a pass must move, as a share of the copy's; errors are the host's.");
  }
  out += "\nPredicted time of one allreduce:\n" + predictions(all);
  out += wrapped("Beats: the link speed in Gbit/s up to which the compressor is faster than that dense allreduce.");
  return out + warnings(all);
}

}
