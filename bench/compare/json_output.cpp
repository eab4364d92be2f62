#include "json_output.hpp"

#include <nlohmann/json.hpp>

#include <cmath>

namespace compare {
namespace {

using json = nlohmann::ordered_json;

json milliseconds_by_link(cost const& price, std::vector<link_speed> const& links) {
  json by_link = json::object();
  for (auto const& link : links) by_link[link.text] = price.seconds(link) * 1e3;
  return by_link;
}

json speed_below(cost const& candidate, cost const& dense) {
  auto const bits_per_second = break_even(candidate, dense);
  if (bits_per_second == 0) return "never";
  if (std::isinf(bits_per_second)) return "always";
  return bits_per_second / 1e9;
}

json to_json(result const& one, comparison const& all) {
  auto const& exact = one.exact;
  auto const& timed = one.timed;
  auto const bytes = all.timed_bytes();
  json feedback = {{"steps", all.where.feedback_steps}, {"relative_error", nullptr}};
  if (exact.feedback_error) feedback["relative_error"] = *exact.feedback_error;
  if (!exact.feedback_note.empty()) feedback["note"] = exact.feedback_note;
  json document = {
      {"compressor", one.compressor},
      {"payload_bytes", exact.payload_bytes},
      {"ratio", exact.ratio},
      {"relative_error", exact.relative_error},
      {"cosine", exact.cosine},
      {"encode_gbps", gigabytes_per_second(bytes, timed.encode)},
      {"decode_gbps", gigabytes_per_second(bytes, timed.decode)},
      {"allreduce",
       {{"strategy", exact.strategy},
        {"ms", timed.allreduce * 1e3},
        {"bytes_sent", exact.bytes_sent},
        {"relative_error", exact.allreduce_error},
        {"ranks_agree", exact.ranks_agree}}},
      {"feedback", feedback},
      {"predicted_ms", milliseconds_by_link(one.price, all.links)},
      {"timed",
       {{"strategy", timed.strategy},
        {"payload_bytes", timed.payload_bytes},
        {"bytes_sent", timed.bytes_sent},
        {"encode_ms", timed.encode * 1e3},
        {"decode_ms", timed.decode * 1e3},
        {"codec_ms", one.price.codec_seconds * 1e3}}},
      {"break_even_gbit",
       {{all.dense_float32.name, speed_below(one.price, all.dense_float32.price)},
        {all.dense_half.name, speed_below(one.price, all.dense_half.price)}}},
  };
  if (all.on_device()) {
    document["encode_of_copy"] = all.of_copy(timed, timed.encode);
    document["decode_of_copy"] = all.of_copy(timed, timed.decode);
    document["same_as_host"] = {{"payload", timed.check->same_payload}, {"values", timed.check->same_values}};
    document["ranks_agree_on_device"] = timed.check->ranks_agree;
    document["timed"]["device_copy_gbps"] = gigabytes_per_second(2 * bytes, timed.copy);
  } else {
    document["encode_vs_read"] = timed.read / timed.encode;
    document["timed"]["read_gbps"] = gigabytes_per_second(bytes, timed.read);
    document["timed"]["copy_gbps"] = gigabytes_per_second(bytes, timed.copy);
  }
  return document;
}

json to_json(dense_reference const& one, std::vector<link_speed> const& links) {
  return {{"name", one.name},
          {"codec_ms", one.price.codec_seconds * 1e3},
          {"bytes_sent", one.price.wire_bytes},
          {"predicted_ms", milliseconds_by_link(one.price, links)}};
}

json to_json(distribution const& one) {
  json quantiles = json::array();
  for (auto const& [probability, value] : one.abs_quantiles) quantiles.push_back({probability, value});
  return {{"rms", one.rms},     {"max_abs", one.max_abs},     {"kurtosis", one.kurtosis},
          {"zeros", one.zeros}, {"abs_quantiles", quantiles}, {"counts", one.counts}};
}

json to_json(environment const& where) {
  json document = {{"ccomp", where.version},
                   {"date", where.date},
                   {"cpu", where.cpu},
                   {"cores", where.cores},
                   {"compiler", where.compiler},
                   {"instruction_set", where.instruction_set},
                   {"input", where.input},
                   {"input_read_as", where.reading},
                   {"value_bytes", where.value_bytes},
                   {"file_rows", where.file_rows},
                   {"ranks", where.ranks},
                   {"threads", where.threads},
                   {"n", where.n},
                   {"n_timed", where.n_timed},
                   {"repetitions", where.repetitions},
                   {"allreduce_repetitions", where.allreduce_repetitions},
                   {"feedback_steps", where.feedback_steps}};
  if (where.device) {
    document["gpu"] = where.device->name;
    document["cuda_runtime"] = where.device->runtime;
    document["cuda_driver"] = where.device->driver;
  }
  return document;
}

}

std::string to_json(comparison const& all) {
  json document;
  if (all.on_device()) {
    document["yardsticks"] = {{"device_copy_gbps", all.copy_gbps}};
  } else {
    document["yardsticks"] = {{"read_gbps", all.read_gbps}, {"copy_gbps", all.copy_gbps}};
  }
  auto& yardsticks = document["yardsticks"];
  auto const* kind = all.on_device() ? "device_copy" : "read";
  yardsticks[std::string(kind) + "_gbps_least"] = all.noise.least;
  yardsticks[std::string(kind) + "_gbps_most"] = all.noise.most;
  yardsticks[std::string(kind) + "_spread"] = all.noise.relative;
  yardsticks["quiet"] = all.quiet();
  document["results"] = json::array();
  for (auto const& one : all.results) document["results"].push_back(to_json(one, all));
  document["dense"] = {to_json(all.dense_float32, all.links), to_json(all.dense_half, all.links)};
  document["links"] = json::array();
  for (auto const& link : all.links) {
    document["links"].push_back({{"name", link.text}, {"gbit_per_second", link.bits_per_second / 1e9}});
  }
  document["chosen_link"] = all.links.at(all.chosen_link).text;
  json ranks = json::array();
  for (auto const& one : all.distributions) ranks.push_back(to_json(one));
  document["distribution"] = {{"limit", all.distribution_limit}, {"ranks", ranks}};
  document["environment"] = to_json(all.where);
  // A file's name may be no UTF-8; that is no reason to lose what was measured.
  return document.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

}
