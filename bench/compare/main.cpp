#include "comparison.hpp"
#include "csv_output.hpp"
#include "json_output.hpp"
#include "measure.hpp"
#include "npy.hpp"
#include "options.hpp"
#include "output_file.hpp"
#include "printable.hpp"
#include "program.hpp"
#include "progress.hpp"
#include "table.hpp"
#include "user_error.hpp"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace compare;

constexpr int wrong_input = 2;

// What was asked for may not have reached its reader: a full disk, a closed pipe.
void finish_output(char const* what) {
  std::cout << std::flush;
  if (!std::cout) throw user_error(std::string(what) + " cannot be written to standard output.");
}

void print_stages() {
  std::cout << "A compressor is one stage, or several joined by '|':\n"
               "top_k(0.01)|uniform_quantize<8>\n"
               "A stage is name<bits>(value, key=value, ...), each part optional; the keys are\n"
               "its settings.\n\n";
  auto const stages = known_stage_lines();
  for (auto const& stage : stages) {
    std::cout << broken(stage.name + stage.settings) << '\n' << wrapped(stage.description, 4);
    for (auto const& example : stage.examples) std::cout << "    " << example << '\n';
  }
}

// A build without Eigen lacks power_sgd, for one; what is left out is added to `unknown`.
std::vector<std::string> known_default_compressors(std::string& unknown) {
  std::vector<std::string> known;
  for (auto const& compressor : default_compressors()) {
    try {
      require_compressor(compressor);
      known.push_back(compressor);
    } catch (user_error const&) {
      unknown += (unknown.empty() ? "" : ", ") + compressor;
    }
  }
  return known;
}

void run(options wanted) {
  std::string left_out;
  if (wanted.compressors.empty()) wanted.compressors = known_default_compressors(left_out);
  for (auto const& compressor : wanted.compressors) require_compressor(compressor);
  std::unique_ptr<output_file> json;
  std::unique_ptr<output_file> csv;
  if (wanted.json) json = std::make_unique<output_file>(*wanted.json);
  if (wanted.csv) csv = std::make_unique<output_file>(*wanted.csv);
  gradients const input(read_npy(wanted.input), wanted.ranks);

  progress line;
  auto const all = compare_all(wanted, input, [&](std::string const& message) { line.show(message); });
  line.clear();
  // First what takes a run to get; the table may go into a pipe that nobody reads to its end.
  if (json) json->write(to_json(all));
  if (csv) csv->write(to_csv(all));
  std::cout << to_text(all);
  if (!left_out.empty()) std::cout << wrapped("Left out, since this build does not know them: " + left_out + '.');
  finish_output("the table");
}

}

int main(int argc, char** argv) {
  try {
    auto const wanted = parse_options(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
    if (!wanted.help.empty()) {
      std::cout << wanted.help;
      finish_output("the help");
    } else if (wanted.list) {
      print_stages();
      finish_output("the list");
    } else {
      run(wanted);
    }
    return EXIT_SUCCESS;
  } catch (user_error const& e) {
    std::cerr << this_program().name << ": " << printable(e.what()) << '\n';
    return wrong_input;
  } catch (std::bad_alloc const&) {
    std::cerr << this_program().name << ": there is not enough memory for this input and number of ranks.\n";
    return wrong_input;
  } catch (std::exception const& e) {
    std::cerr << this_program().name << ": internal error: " << printable(e.what()) << '\n';
    return EXIT_FAILURE;
  }
}
