#pragma once

#include "timing.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace network {

// An allreduce without a compressor.
struct dense_result {
  std::string library{};  // Open MPI or ccomp
  std::string type{};     // what travels: float32 or bf16
  timing time{};
  double without_casts_ms = 0;  // bf16: the median of MPI_Allreduce alone
  double relative_error = 0;
};

struct compressed_result {
  std::string compressor{};
  bool feedback = false;
  std::string strategy{};
  timing time{};
  std::size_t bytes_sent = 0;  // per rank, as the library reports
  double relative_error = 0;   // of the first call
  bool ranks_agree = false;
};

struct refusal {
  std::string compressor{};
  std::string why;
};

struct measurement {
  double link_mbit = 0;  // what each rank sent per second while all sent to their neighbours
  std::vector<dense_result> dense;
  double drift = 1;  // the first dense allreduce measured again at the end, divided by what it took at the beginning
  std::vector<compressed_result> results;
  std::vector<refusal> refused;
  std::vector<std::string> left_out;  // for lack of time
};

}
