// All tensors of a model in one call: one exchange, one residual per tensor, found again by the tensor's id.
#include <ccomp/ccomp.hpp>

#include <cstdio>
#include <string>
#include <vector>

int main() {
  std::size_t const sizes[] = {4096, 1, 0, 77, 512 * 512};  // any size, the empty one included
  constexpr int ranks = 3;
  std::vector<std::vector<std::vector<float>>> result(ranks);
  std::size_t residual_bytes = 0, exchanged = 0;

  ccomp::thread_group group(ranks);
  group.run([&](ccomp::thread_communicator& comm) {
    auto const rank = static_cast<std::size_t>(comm.rank());
    ccomp::host_exec const ex{};
    ccomp::workspace ws{ex};
    // [set]
    ccomp::error_feedback_set feedback{ccomp::uniform_quantize<4>{}, {.residual = ccomp::element_type::bfloat16}};
    for (int step = 0; step < 5; ++step) {
      std::vector<std::vector<float>> gradients;
      for (std::size_t const n : sizes) gradients.emplace_back(n, 1.0f + static_cast<float>(rank));

      std::vector<ccomp::tensor_view> tensors;
      for (std::size_t id = 0; id < gradients.size(); ++id) tensors.emplace_back(std::span(gradients[id]), id);
      auto const report = ccomp::allreduce(ex, comm, feedback, tensors, ws, {.at = step});
      result[rank] = gradients;
      if (rank == 0) exchanged = report.bytes_sent;
    }
    // [/set]
    if (rank == 0) residual_bytes = feedback.memory_bytes();
  });

  bool good = result[0] == result[1] && result[0] == result[2];
  std::size_t values = 0;
  for (std::size_t id = 0; id < result[0].size(); ++id) {
    values += sizes[id];
    for (float const mean : result[0][id]) good = good && mean > 1.9f && mean < 2.1f;  // of 1, 2 and 3
  }
  good = good && residual_bytes == 2 * values;
  std::printf("%zu values in %zu tensors: %zu bytes sent per rank and step, residuals of %zu bytes: %s\n", values,
              result[0].size(), exchanged, residual_bytes, good ? "the mean came out" : "WRONG");

  std::string why;  // an id stands for one tensor: another size under it is an error, not a silent reset
  try {
    ccomp::error_feedback_set feedback{ccomp::uniform_quantize<4>{}};
    ccomp::self_communicator alone;
    ccomp::workspace ws{ccomp::host_exec{}};
    for (std::size_t const n : {10u, 20u}) {
      std::vector<float> tensor(n);
      ccomp::allreduce({}, alone, feedback, tensor, ws, {.tensor = 7});
    }
  } catch (ccomp::invalid_argument const& e) {
    why = e.what();
  }
  std::printf("%s\n", why.c_str());
  return good && why.find("tensor 7") != std::string::npos ? 0 : 1;
}
