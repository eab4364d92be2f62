#pragma once
/// encode, decode, compress and decompress with a cuda_exec. The calls are those of the host.

#include <ccomp/codec/compress.hpp>
#include <ccomp/codec/device_engine.cuh>
