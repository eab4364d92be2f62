#pragma once

#include "bench/compare/output_file.hpp"
#include "json_output.hpp"
#include "measure.hpp"
#include "text_output.hpp"

#include <iostream>
#include <memory>

namespace perf {

// One rank's part: measures, and prints and writes where this rank speaks. Returns the number of wrong values.
template <class Rank> std::size_t measure_and_report(Rank& self, options const& wanted, run_facts const& facts) {
  auto& all = self.all;
  if (wanted.root >= all.size())
    throw compare::user_error("-r '" + std::to_string(wanted.root) + "' is not a rank of " +
                              std::to_string(all.size()) + ".");
  for (auto const& text : wanted.compressors)
    if (text != "none") compare::refusing(text, [&] { return self.compressor(text); });
  std::unique_ptr<compare::output_file> json;
  if (wanted.json && all.speaks()) json = std::make_unique<compare::output_file>(*wanted.json);
  run_result found;
  found.facts = facts;
  if (wanted.native && self.native_name()[0] != '\0')
    operations::visit(wanted.operation, [&](auto one) {
      if (!self.has_native(one.facts, wanted.type, wanted.op))
        found.notes.push_back(std::string(self.native_name()) + " itself has no such call: it is not measured.");
    });
  text_output const text(wanted);
  auto const say = [&](std::string const& what) {
    if (all.speaks()) std::cout << what << std::flush;
  };
  // A refused compressor should be all that is printed, so the heading waits for the first row.
  measure_all(self, wanted, found, [&](result_row const& row) {
    if (found.rows.empty()) say(text.heading(facts));
    say(text.line(row));
  });
  say(text.ending(found));
  if (json) json->write(to_json(wanted, found));
  return found.wrong();
}

}
