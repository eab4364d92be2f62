#pragma once

#include "number.hpp"
#include "user_error.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace compare {

// `arguments` without the program's name. The result is the help, if it is asked for; otherwise it is empty. Throws
// user_error with one sentence.
inline std::string read_command_line(CLI::App& app, std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes a vector from its back
  try {
    app.parse(std::move(arguments));
  } catch (CLI::CallForHelp const&) {
    return app.help();
  } catch (CLI::ParseError const& e) {
    // CLI11's own messages may lack a full stop or carry several lines.
    std::string text = e.what();
    std::replace(text.begin(), text.end(), '\n', ' ');
    while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
    throw user_error(text + "; --help lists the options.");
  }
  return {};
}

// One text per mention; what follows it is not a second one.
inline void add_texts(CLI::App& app, std::string const& name, std::vector<std::string>& texts,
                      std::string const& description) {
  app.add_option(name, texts, description)
      ->type_name("TEXT")
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false);
}

inline int whole(std::string const& option, std::string const& text, int least, int most) {
  if (auto const value = parse_whole(text, least, most)) return *value;
  throw user_error(option + " '" + text + "' is not a whole number from " + std::to_string(least) + " to " +
                   std::to_string(most) + ".");
}

}
