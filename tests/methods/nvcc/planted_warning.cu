// Compiled to see that it is refused: a warning of nvcc's front end, one that no host compiler gives.
namespace {
struct stage {
  static constexpr bool is_linear = true;
  int bits = 0;
};
}  // namespace

__global__ void kernel(int* out) { *out = stage{}.bits; }
