#pragma once
/// encode, decode, compress and decompress with a host_exec.

#include <ccomp/codec/compress.hpp>
#include <ccomp/codec/host_engine.hpp>
