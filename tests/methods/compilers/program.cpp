/// What a small program makes of ccomp: compressors from text and by type, error feedback, ranks as threads. Every compiler,
/// standard library and processor must print the same text.

#include <ccomp/ccomp.hpp>
#include <ccomp/fit.hpp>

#include <cinttypes>
#include <cstdio>
#include <vector>

namespace {

using few = ccomp::any_compressor_of<ccomp::uniform_quantize<4>, ccomp::top_k, ccomp::threshold, ccomp::random_k,
                                     ccomp::hadamard_rotate, ccomp::scale, ccomp::cast<ccomp::float16>>;

std::vector<float> values(std::size_t n) {
  std::vector<float> x(n);
  std::uint64_t z = 1;
  for (float& v : x) {
    z = z * 6364136223846793005u + 1442695040888963407u;
    v = static_cast<float>(static_cast<std::int32_t>(z >> 32)) / static_cast<float>(1u << (z >> 60));
  }
  return x;
}
template <class T> std::uint64_t hash(std::vector<T> const& data) {
  return ccomp::detail::checksum(std::as_bytes(std::span(data)));
}

}  // namespace

int main() {
  ccomp::host_exec const ex{};
  ccomp::workspace ws{ex};
  auto const x = values(20'003);
  std::vector<float> back(x.size());
  for (char const* const text :
       {"uniform_quantize<4>(round=stochastic, seed=3)", "top_k(0.015625) | uniform_quantize<4>", "threshold(1e8)",
        "random_k(2.5e-1, unbiased=true) | cast<float16>", "hadamard_rotate(64) | scale(-0x1) | top_k(0.5)",
        "scale(1e-30) | hadamard_rotate | cast<float16>", "top_k(+0.5)", "scale(1e39)", "scale(.5)"})
    try {
      few const c(text);
      std::vector<std::byte> frame(ccomp::max_compressed_bytes<float>(c, x.size()));
      frame.resize(ccomp::compress(ex, c, x, frame, ws, {.at = 7}));
      ccomp::decompress(ex, c, frame, back, ws);
      std::printf("%s: %zu bytes %016" PRIx64 " %016" PRIx64 "\n", c.text().c_str(), frame.size(), hash(frame),
                  hash(back));
    } catch (ccomp::error const& e) {
      std::string const said = e.what();
      std::printf("%s: %s\n", text, said.substr(0, said.find(" [")).c_str());
    }

  ccomp::thread_group group(3);
  group.run([&](ccomp::thread_communicator& comm) {
    ccomp::workspace own{ex};
    ccomp::error_feedback feedback{ccomp::top_k{.ratio = 0.01} | ccomp::uniform_quantize<8>{}, x.size()};
    auto gradient = x;
    for (int step = 0; step < 3; ++step) ccomp::allreduce(ex, comm, feedback, gradient, own, {.at = step});
    if (comm.rank() == 0) std::printf("allreduce %016" PRIx64 "\n", hash(gradient));
    auto half = comm.split(comm.rank() % 2, -comm.rank());
    gradient = x;
    ccomp::allreduce(ex, *half, feedback, gradient, own, {.at = 3});
    if (comm.rank() == 0) std::printf("of rank 2 and 0 %016" PRIx64 "\n", hash(gradient));
  });
}
