#include "csv_output.hpp"

#include <cmath>
#include <locale>
#include <sstream>

namespace compare {
namespace {

std::string quoted(std::string const& text) {
  std::string cell = "\"";
  for (char const c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
  return cell + '"';
}

std::string number(double value) {
  if (!std::isfinite(value)) return "";
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text.precision(9);
  text << value;
  return text.str();
}

}

std::string to_csv(comparison const& all) {
  std::ostringstream out;
  out << "compressor,payload_bytes,ratio,relative_error,cosine,encode_gbps,decode_gbps,"
      << (all.on_device() ? "encode_of_copy,decode_of_copy,same_bytes_as_host,ranks_agree_on_device,"
                          : "encode_vs_read,")
      << "allreduce_strategy,allreduce_ms,allreduce_bytes_sent,allreduce_relative_error,feedback_steps,"
         "feedback_relative_error";
  for (auto const& link : all.links) out << ",predicted_ms_" << link.text;
  out << '\n';
  auto const bytes = all.timed_bytes();
  for (auto const& one : all.results) {
    auto const& exact = one.exact;
    auto const& timed = one.timed;
    out << quoted(one.compressor) << ',' << exact.payload_bytes << ',' << number(exact.ratio) << ','
        << number(exact.relative_error) << ',' << number(exact.cosine) << ','
        << number(gigabytes_per_second(bytes, timed.encode)) << ',' << number(gigabytes_per_second(bytes, timed.decode))
        << ',';
    if (all.on_device()) {
      out << number(all.of_copy(timed, timed.encode)) << ',' << number(all.of_copy(timed, timed.decode));
      for (bool const right : {timed.check->same(), timed.check->ranks_agree}) out << (right ? ",yes" : ",no");
    } else {
      out << number(timed.read / timed.encode);
    }
    out << ',' << exact.strategy << ',' << number(timed.allreduce * 1e3) << ',' << exact.bytes_sent << ','
        << number(exact.allreduce_error) << ',' << all.where.feedback_steps << ','
        << (exact.feedback_error ? number(*exact.feedback_error) : "");
    for (auto const& link : all.links) out << ',' << number(one.price.seconds(link) * 1e3);
    out << '\n';
  }
  return out.str();
}

}
