#include "table.hpp"

#include <algorithm>
#include <numeric>

namespace compare {
namespace {

constexpr std::size_t gap = 2;

}

std::string wrapped(std::string const& text, std::size_t indent) {
  std::string out;
  std::string line;
  auto const room = page_width - indent;
  auto const end_line = [&] {
    out += std::string(indent, ' ') + line + '\n';
    line.clear();
  };
  for (std::size_t at = 0; at < text.size();) {
    auto const end = std::min(text.find(' ', at), text.size());
    auto word = text.substr(at, end - at);
    at = end + 1;
    if (!line.empty() && line.size() + 1 + word.size() > room) end_line();
    for (; word.size() > room; word.erase(0, room)) {  // a name of a file, say
      line = word.substr(0, room);
      end_line();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  if (!line.empty()) end_line();
  return out;
}

std::string broken(std::string const& text) {
  std::string out;
  auto rest = text;
  while (rest.size() > page_width) {
    auto const mark = rest.find_last_of("|,(", page_width - 1);
    auto const length = mark == std::string::npos || mark < page_width / 2 ? page_width : mark + 1;
    out += rest.substr(0, length) + '\n';
    rest.erase(0, length);
    if (rest.starts_with(' ')) rest.erase(0, 1);
  }
  return out + rest;
}

std::vector<std::size_t> table::widths() const {
  std::vector<std::size_t> found;
  for (auto const* part : {&heading_, &rows_}) {
    for (auto const& row : *part) {
      found.resize(std::max(found.size(), row.size()));
      for (std::size_t i = 1; i < row.size(); ++i) found[i] = std::max(found[i], row[i].size());
    }
  }
  std::size_t beside = 0;
  for (std::size_t i = 1; i < found.size(); ++i) beside += gap + found[i];
  auto const room = beside + least_first > page_width ? least_first : page_width - beside;
  for (auto const* part : {&heading_, &rows_}) {
    for (auto const& row : *part) {
      if (row[0].size() <= room) found[0] = std::max(found[0], row[0].size());
    }
  }
  return found;
}

bool table::fits() const {
  auto const found = widths();
  return std::accumulate(found.begin() + 1, found.end(), gap * (found.size() - 1)) + least_first <= page_width;
}

std::string table::text() const {
  auto const columns = widths();
  std::string out;
  auto const print = [&](cells const& row) {
    auto line = row[0];
    if (line.size() > columns[0]) {
      out += broken(line) + '\n';
      line.clear();
    }
    line.resize(columns[0], ' ');
    for (std::size_t i = 1; i < row.size(); ++i) line += std::string(gap + columns[i] - row[i].size(), ' ') + row[i];
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  std::for_each(heading_.begin(), heading_.end(), print);
  out += std::string(std::accumulate(columns.begin(), columns.end(), gap * (columns.size() - 1)), '-') + '\n';
  std::for_each(rows_.begin(), rows_.end(), print);
  return out;
}

}
