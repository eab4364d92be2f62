#include "options.hpp"

#include "bench/compare/command_line.hpp"

#include <utility>

namespace network {
using compare::whole;

options parse_options(std::vector<std::string> arguments) {
  options result;
  std::string kib = "65536";
  std::string seconds = "3";
  std::string time_limit = "600";
  std::vector<std::string> compressors;
  std::string json;
  bool quick = false;
  bool no_checksums = false;

  CLI::App app("ccomp-bench-network: allreduces over MPI, compressed and dense; mpirun starts it",
               "ccomp-bench-network");
  app.footer("bench/run --network calls it on limited links. Wrong options end with one sentence and exit code 2.");
  app.get_formatter()->column_width(24);
  app.add_option("--kib", kib, "KiB of float32 per rank (default: 65536)")->type_name("N");
  compare::add_texts(app, "--compressor", compressors,
                     "time this one; 'feedback:TEXT': with error feedback; may be repeated");
  app.add_flag("--dense-only", result.dense_only, "time no compressor, only MPI_Allreduce");
  app.add_flag("--no-checksums", no_checksums, "what the compressors take without checksums in their messages");
  app.add_flag("--quick", quick, "few compressors, unless --compressor names them");
  app.add_option("--seconds", seconds, "repeat a call for so long, 3 to 9 times (default: 3)")->type_name("N");
  app.add_option("--time-limit", time_limit, "begin no compressor after so many seconds")->type_name("N");
  app.add_option("--json", json, "write everything measured to FILE")->type_name("FILE");

  result.help = compare::read_command_line(app, std::move(arguments));
  if (!result.help.empty()) return result;
  result.n = static_cast<std::size_t>(whole("--kib", kib, 1, 4 << 20)) * 1024 / sizeof(float);
  result.limits.seconds = whole("--seconds", seconds, 0, 3600);
  result.checksums = !no_checksums;
  result.time_limit = whole("--time-limit", time_limit, 1, 86400);
  for (auto const& text : compressors) result.contestants.push_back(read_contestant(text));
  if (compressors.empty()) result.contestants = quick ? quick_contestants() : default_contestants();
  if (!json.empty()) result.json = json;
  return result;
}

}
