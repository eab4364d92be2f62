#pragma once

#include "environment.hpp"

#include <ccomp/core/host_exec.hpp>
#include <ccomp/version.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <thread>

namespace compare {

// What a result's file begins with: by what, when and on which machine it was measured.
inline nlohmann::ordered_json machine_json() {
  return {{"ccomp", CCOMP_VERSION_STRING},
          {"date", utc_now()},
          {"cpu", cpu_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"compiler", compiler_name()},
          {"instruction_set", ccomp::detail::isa_name(ccomp::detail::resolve_isa({}))}};
}

// JSON has no infinity and no NaN: null.
inline nlohmann::ordered_json number_json(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}
