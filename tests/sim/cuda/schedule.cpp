// Which schedule the simulator follows.
#include "cuda_sim.hpp"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

namespace cuda_sim {
namespace {

std::mutex schedule_lock;

schedule& chosen_schedule() {
  static schedule chosen = [] {
    char const* text = std::getenv("CCOMP_CUDA_SCHEDULE");
    return text ? parse_schedule(text) : schedule{};
  }();
  return chosen;
}

}  // namespace

schedule parse_schedule(std::string_view text) {
  if (text == "forward") return {order::forward};
  if (text == "reverse") return {order::reverse};
  if (text == "random") return {order::random};
  if (text == "runahead") return {order::runahead};
  if (text == "runahead_reverse") return {order::runahead_reverse};
  std::string_view const random = "random:";
  if (text.starts_with(random) && text.size() > random.size() &&
      text.find_first_not_of("0123456789", random.size()) == std::string_view::npos)
    return {order::random, std::strtoull(std::string(text.substr(random.size())).c_str(), nullptr, 10)};
  std::fprintf(stderr,
               "cuda_sim: unknown schedule '%.*s' (known: forward, reverse, random, random:SEED, runahead, "
               "runahead_reverse)\n",
               static_cast<int>(text.size()), text.data());
  std::abort();
}

schedule current_schedule() {
  std::scoped_lock const hold(schedule_lock);
  return chosen_schedule();
}

void set_schedule(schedule s) {
  std::scoped_lock const hold(schedule_lock);
  chosen_schedule() = s;
}

}  // namespace cuda_sim
