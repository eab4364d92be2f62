#pragma once

#include <string>

namespace compare {

std::string cpu_name();  // "unknown" where the system does not say
std::string compiler_name();
std::string utc_now();  // 2026-01-31T12:00:00Z

}
