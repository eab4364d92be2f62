#include "json_output.hpp"

#include "bench/compare/machine_json.hpp"

namespace perf {

std::string to_json(options const& wanted, run_result const& found) {
  using json = nlohmann::ordered_json;
  json document = compare::machine_json();
  document.update({{"transport", found.facts.transport},
                   {"library", found.facts.library},
                   {"device", found.facts.device},
                   {"ranks", found.facts.ranks},
                   {"threads", found.facts.threads},
                   {"operation", wanted.operation},
                   {"type", ccomp::element_name(wanted.type)},
                   {"redop", wanted.op == ccomp::reduction::sum ? "sum" : "mean"},
                   {"strategy", wanted.strategy_name},
                   {"calls", wanted.calls},
                   {"warm_up", wanted.warm_up},
                   {"checked", wanted.checks},
                   {"wrong", found.wrong()},
                   {"notes", found.notes},
                   {"rows", json::array()}});
  for (auto const& row : found.rows) {
    json entry = {{"bytes", row.bytes},
                  {"count", row.count},
                  {"compressor", row.compressor},
                  {"feedback", row.feedback},
                  {"strategy", row.strategy},
                  {"us", row.seconds * 1e6},
                  {"algbw", row.algorithm_bandwidth / 1e9},
                  {"busbw", row.bus_bandwidth / 1e9}};
    auto const add = [&](char const* name, auto const& value, auto factor) {
      if (value) entry[name] = *value * factor;
    };
    add("p50_us", row.p50, 1e6);
    add("p99_us", row.p99, 1e6);
    add("wrong", row.wrong, std::size_t{1});
    if (row.error) entry["error"] = compare::number_json(*row.error);
    add("ratio", row.ratio, 1.0);
    add("wire_bytes", row.wire_bytes, std::size_t{1});
    document["rows"].push_back(entry);
  }
  return document.dump(2) + '\n';
}

}
