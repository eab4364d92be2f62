#include "json_output.hpp"

#include "bench/compare/machine_json.hpp"
#include "mpi_library.hpp"

namespace network {
namespace {

using json = nlohmann::ordered_json;

json to_json(timing const& time) {
  return {{"ms", time.median_ms()},
          {"least_ms", time.least_ms()},
          {"most_ms", time.most_ms()},
          {"repetitions", time.seconds.size()},
          {"wire_bytes", time.wire_bytes}};
}

}

std::string to_json(measurement const& found, world const& all, std::size_t n) {
  json document = compare::machine_json();
  document.update({{"mpi", mpi_library()},
                   {"ranks", all.size()},
                   {"threads", ccomp::detail::resolve_threads({})},
                   {"n", n},
                   {"link_mbit", found.link_mbit},
                   {"drift", found.drift}});
  for (auto const* list : {"dense", "results", "refused"}) document[list] = json::array();
  for (auto const& one : found.dense) {
    auto entry = to_json(one.time);
    entry.update(
        {{"library", one.library}, {"type", one.type}, {"relative_error", compare::number_json(one.relative_error)}});
    if (one.without_casts_ms > 0) entry["without_casts_ms"] = one.without_casts_ms;
    document["dense"].push_back(entry);
  }
  for (auto const& one : found.results) {
    auto entry = to_json(one.time);
    entry.update({{"compressor", one.compressor},
                  {"feedback", one.feedback},
                  {"strategy", one.strategy},
                  {"bytes_sent", one.bytes_sent},
                  {"relative_error", compare::number_json(one.relative_error)},
                  {"ranks_agree", one.ranks_agree}});
    document["results"].push_back(entry);
  }
  for (auto const& one : found.refused)
    document["refused"].push_back({{"compressor", one.compressor}, {"why", one.why}});
  document["left_out"] = found.left_out;
  return document.dump(2) + '\n';
}

}
