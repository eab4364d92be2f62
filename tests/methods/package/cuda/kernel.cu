#include <ccomp/version.hpp>

static_assert(__cplusplus >= 202002L, "the component asks nvcc for C++20");

__global__ void nothing() {}
