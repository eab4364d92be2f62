#include "options.hpp"

#include "command_line.hpp"
#include "gradients.hpp"
#include "output_file.hpp"
#include "program.hpp"
#include "table.hpp"

#include <algorithm>
#include <utility>

#ifndef CCOMP_COMPARE_DEFAULT_INPUT
#define CCOMP_COMPARE_DEFAULT_INPUT ""
#endif

namespace compare {
namespace {

std::string footer() {
  auto const& own = this_program();
  auto const part = [](std::string const& title, std::string const& text) { return title + '\n' + wrapped(text, 2); };
  return part("What is compared:",
              "Without --compressor: one compressor of every kind. With it: only those that it names, such as "
              "\"top_k(0.01)|uniform_quantize<8>\". --list prints the stages.") +
         part("How a file is read:",
              "A shape [ranks, n] is one rank per row if --ranks is given or if it has at most 64 rows; any other "
              "shape is one rank's tensor. The output tells which. Without --ranks, there are as many ranks as rows, "
              "and 4 for one row. With fewer rows than ranks, rank r takes row r mod rows, each value times a factor "
              "in [0.5, 1) drawn from a hash of (r, index).") +
         part("Errors and ratios:",
              "Both are for the input as given; ratios use the bytes of its type. 'feedback' sends rank 0's gradient "
              "through error_feedback for --feedback-steps steps and compares the mean of the outputs with it.") +
         part("Speeds:", "Speeds are measured on the input as float32, repeated to " + std::to_string(own.timed_mib) +
                             " MiB per rank (copy i scaled by 1 - i/256, i counted modulo 256), " + own.speeds +
                             " Spread: (highest - lowest) / median of the yardstick over the run; each value is the "
                             "median of three repetitions in a row. Above 25 % the machine was not quiet.") +
         part("Predictions:",
              "predicted_ms is for one allreduce of the repeated input: the time that rank 0 computes, " + own.work +
                  ", plus the bytes that a rank sends divided by the speed of the link. Dense float32 is charged no "
                  "compute time, and dense bf16 the time of the measured casts (for a float16 file: dense float16, "
                  "no compute time). Latency, and overlap of computing and sending, are left out. The links: --link, "
                  "otherwise " +
                  own.links + ". The report draws error against time for the first speed of --link, otherwise " +
                  own.chosen_link + ".") +
         "Wrong input ends with one sentence on stderr and exit code 2.";
}

}

options parse_options(std::vector<std::string> arguments) {
  options result;
  result.input = CCOMP_COMPARE_DEFAULT_INPUT;
  std::string input;
  std::string ranks;
  std::string threads;
  std::string steps;
  std::string mib;
  auto const& own = this_program();
  auto links = own.links;
  auto const default_mib = std::to_string(own.timed_mib);
  std::string json;
  std::string csv;

  CLI::App app(own.name + ": what compressors cost and save on a gradient", own.name);
  app.footer(footer());
  app.get_formatter()->column_width(24);
  app.add_option("--input", input, "gradients: float32 or float16 (default: shipped ones)")->type_name("FILE.npy");
  add_texts(app, "--compressor", result.compressors, "compare this one; may be repeated");
  app.add_option("--ranks", ranks, "ranks of the allreduce, 1 to 64")->type_name("N");
  app.add_option("--threads", threads, "threads of one rank's codec (default: all cores)")->type_name("N");
  app.add_option("--feedback-steps", steps, "steps with error feedback (default: 32)")->type_name("N");
  app.add_option("--timed-mib", mib, "MiB per rank of the timed input (default: " + default_mib + ")")->type_name("N");
  app.add_option("--link", links, "predict for these, such as 25gbit or 1gbit,10gbit")->type_name("SPEEDS");
  app.add_option("--json", json, "write everything measured to FILE")->type_name("FILE");
  app.add_option("--csv", csv, "write one row per compressor to FILE")->type_name("FILE");
  app.add_flag("--list", result.list, "print the known stages and the grammar, then stop");
  app.add_flag("--quick", result.quick, "5 repetitions in place of 9 (allreduce: 3 in place of 7)");

  result.help = read_command_line(app, std::move(arguments));
  if (!result.help.empty()) return result;

  auto const given = [&app](char const* name) { return app.count(name) > 0; };
  for (auto const* name : {"--input", "--json", "--csv"}) {
    if (given(name) && app.get_option(name)->as<std::string>().empty()) {
      throw user_error(std::string(name) + " needs the name of a file.");
    }
  }
  if (given("--input")) result.input = input;
  if (given("--ranks")) result.ranks = whole("--ranks", ranks, 1, most_ranks);
  if (given("--threads")) result.threads = whole("--threads", threads, 1, 1024);
  if (given("--feedback-steps")) result.feedback_steps = whole("--feedback-steps", steps, 1, 1000000);
  result.timed_mib = own.timed_mib;
  if (given("--timed-mib")) result.timed_mib = whole("--timed-mib", mib, 1, 1024);
  result.links = parse_links(links);
  if (!given("--link")) {
    auto const chosen = [&](link_speed const& link) { return link.text == own.chosen_link; };
    result.chosen_link =
        static_cast<std::size_t>(std::find_if(result.links.begin(), result.links.end(), chosen) - result.links.begin());
  }
  if (given("--json")) result.json = json;
  if (given("--csv")) result.csv = csv;
  for (auto const& [name, output] : {std::pair{"--json", result.json}, std::pair{"--csv", result.csv}}) {
    if (output && same_file(result.input, *output)) {
      throw user_error(std::string(name) + " would overwrite the input '" + result.input.string() + "'.");
    }
  }
  if (result.json && result.csv && same_file(*result.json, *result.csv)) {
    throw user_error("--json and --csv name the same file, '" + json + "'.");
  }
  if (result.input.empty()) throw user_error("no gradients are shipped with this build; give --input FILE.npy.");
  return result;
}

}
