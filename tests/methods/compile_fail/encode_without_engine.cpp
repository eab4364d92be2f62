// expect: there is no engine for this execution; include <ccomp/ccomp.hpp>, and for a cuda_exec compile with
#include <ccomp/codec.hpp>
#include <ccomp/quantize/uniform.hpp>

struct tape_exec {};

void call(std::span<float const> x, std::span<std::byte> payload, ccomp::workspace<tape_exec>& ws) {
  ccomp::encode(tape_exec{}, ccomp::uniform_quantize<8>{}, x, payload, ws);
}
