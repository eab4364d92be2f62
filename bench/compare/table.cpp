#include "table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace compare {
namespace {

constexpr std::size_t page_width = 120;
constexpr std::size_t gap = 2;

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

std::string speed_below(cost const& candidate, cost const& dense) {
  auto const bits_per_second = break_even(candidate, dense);
  if (bits_per_second == 0) return "never";
  return std::isinf(bits_per_second) ? "always" : three_digits(bits_per_second / 1e9);
}

std::string fidelity_table(comparison const& all) {
  table lines({{"", "payload", "", "relative", "", "feedback", "allreduce", "allreduce", "sent per"},
               {"compressor", "bytes", "ratio", "error", "cosine", "error", "error", "strategy", "rank, KiB"}});
  for (auto const& one : all.results) {
    auto const& exact = one.exact;
    lines.add({one.compressor, std::to_string(exact.payload_bytes), three_digits(exact.ratio),
               three_digits(exact.relative_error), fixed(exact.cosine, 4),
               exact.feedback_error ? three_digits(*exact.feedback_error) : "-", three_digits(exact.allreduce_error),
               exact.strategy, three_digits(static_cast<double>(exact.bytes_sent) / 1024)});
  }
  return lines.text();
}

std::string speed_table(comparison const& all, std::size_t links) {
  std::vector<std::string> top = {"", "", "", "", "all-"};
  std::vector<std::string> middle = {"", "encode", "decode", "encode", "reduce"};
  std::vector<std::string> bottom = {"compressor", "GB/s", "GB/s", "/ read", "ms"};
  if (all.on_device()) {
    top = {"", "", "", "encode", "decode", "same as", "all-"};
    middle = {"", "encode", "decode", "of", "of", "on the", "reduce"};
    bottom = {"compressor", "GB/s", "GB/s", "copy", "copy", "host", "ms"};
  }
  auto const own_columns = bottom.size();
  for (std::size_t i = 0; i < links; ++i) {
    top.emplace_back();
    middle.emplace_back("ms at");
    bottom.push_back(all.links[i].text);
  }
  for (auto const* dense : {"float32", "bf16"}) {
    top.emplace_back("beats");
    middle.emplace_back(dense);
    bottom.emplace_back("below");
  }
  table lines({top, middle, bottom});
  auto const bytes = all.timed_bytes();
  auto const dense_row = [&](dense_reference const& dense) {
    std::vector<std::string> row(own_columns);
    row[0] = dense.name;
    for (std::size_t i = 0; i < links; ++i) row.push_back(three_digits(dense.price.seconds(all.links[i]) * 1e3));
    bool const is_float32 = &dense == &all.dense_float32;
    row.push_back(is_float32 ? "" : speed_below(dense.price, all.dense_float32.price));
    row.emplace_back();
    lines.add(row);
  };
  dense_row(all.dense_float32);
  dense_row(all.dense_bf16);
  for (auto const& one : all.results) {
    auto const& timed = one.timed;
    std::vector<std::string> row = {one.compressor, three_digits(gigabytes_per_second(bytes, timed.encode)),
                                    three_digits(gigabytes_per_second(bytes, timed.decode))};
    if (all.on_device()) {
      for (auto const pass : {timed.encode, timed.decode}) row.push_back(fixed(all.of_copy(timed, pass), 3));
      row.emplace_back(timed.check->same() ? "yes" : "NO");
    } else {
      row.push_back(fixed(timed.read / timed.encode, 3));
    }
    row.push_back(three_digits(timed.allreduce * 1e3));
    for (std::size_t i = 0; i < links; ++i) row.push_back(three_digits(one.price.seconds(all.links[i]) * 1e3));
    row.push_back(speed_below(one.price, all.dense_float32.price));
    row.push_back(speed_below(one.price, all.dense_bf16.price));
    lines.add(row);
  }
  return lines.text();
}

std::size_t width_of(std::string const& text) {
  std::size_t widest = 0;
  for (std::size_t at = 0; at < text.size();) {
    auto const end = text.find('\n', at);
    widest = std::max(widest, end - at);
    at = end + 1;
  }
  return widest;
}

std::string one_decimal(double value) { return fixed(value, 1); }

}

std::string table::text() const {
  std::vector<std::size_t> widths;
  auto const measure = [&widths](std::vector<std::string> const& row) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0 || row[i].size() <= widest_first) widths[i] = std::max(widths[i], row[i].size());
    }
  };
  std::for_each(heading_.begin(), heading_.end(), measure);
  std::for_each(rows_.begin(), rows_.end(), measure);

  std::string out;
  auto const print = [&](std::vector<std::string> const& row) {
    auto line = row[0];
    if (line.size() > widths[0]) {
      out += line + '\n';
      line.clear();
    }
    line.resize(widths[0], ' ');
    for (std::size_t i = 1; i < row.size(); ++i) line += std::string(gap + widths[i] - row[i].size(), ' ') + row[i];
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  std::for_each(heading_.begin(), heading_.end(), print);
  std::size_t total = widths[0];
  for (std::size_t i = 1; i < widths.size(); ++i) total += gap + widths[i];
  out += std::string(total, '-') + '\n';
  std::for_each(rows_.begin(), rows_.end(), print);
  return out;
}

std::string to_text(comparison const& all) {
  auto const& where = all.where;
  auto const plural = [](std::size_t count, std::string const& word) {
    return std::to_string(count) + ' ' + word + (count == 1 ? "" : "s");
  };
  std::string out = "Input as given: " + plural(where.n, "value") + " per rank, " +
                    plural(static_cast<std::size_t>(where.ranks), "rank") +
                    "; feedback: " + plural(static_cast<std::size_t>(where.feedback_steps), "step") + ".\n";
  if (where.file_rows < where.ranks) {
    out += "Ranks " + std::to_string(where.file_rows) + " and up are derived from the file's first " +
           plural(static_cast<std::size_t>(where.file_rows), "row") + ".\n";
  }
  out += '\n' + fidelity_table(all);
  auto const refused = [](result const& one) { return !one.exact.feedback_note.empty(); };
  if (std::any_of(all.results.begin(), all.results.end(), refused)) {
    out += "-: error feedback refuses this compressor; the JSON file says why.\n";
  }
  out += "\nInput repeated to " + one_decimal(all.timed_bytes() / 1048576) + " MiB per rank, ";
  if (where.device) {
    out += where.device->name + ".\nCopy on the device " + one_decimal(all.copy_gbps) + " GB/s, read and written";
  } else {
    out += plural(static_cast<std::size_t>(where.threads), "thread") + "; read " + one_decimal(all.read_gbps) +
           " GB/s, copy " + one_decimal(all.copy_gbps) + " GB/s";
  }
  out += "; medians of " + std::to_string(where.repetitions) +
         " (allreduce: " + std::to_string(where.allreduce_repetitions) + ")" + ".\n\n";
  auto links = all.links.size();
  auto speeds = speed_table(all, links);
  while (links > 1 && width_of(speeds) > page_width) speeds = speed_table(all, --links);
  out += speeds;
  if (links < all.links.size()) {
    out += "(" + plural(all.links.size() - links, "more link speed") + " in the files of --json and --csv.)\n";
  }
  out +=
      "ms at: predicted time of one allreduce; beats: the link speed in Gbit/s up to which the compressor is faster.\n";
  if (where.device) {
    out += "of copy: bytes that a pass must move, a second, as a share of those of the copy; errors are the host's.\n";
  }
  for (auto const& one : all.results) {
    auto const& check = one.timed.check;
    if (check && !check->same_payload)
      out += "WARNING: the GPU's payload differs from the host's for " + one.compressor + ".\n";
    if (check && !check->same_values) {
      out += "WARNING: what the GPU decodes differs from the host's for " + one.compressor + ".\n";
    }
    if (check && !check->ranks_agree)
      out += "WARNING: the ranks' results on the GPU differ for " + one.compressor + ".\n";
    if (!one.exact.ranks_agree) out += "WARNING: the ranks' results differ for " + one.compressor + ".\n";
  }
  return out;
}

}
