#pragma once

// Each registers the benchmarks of a file of its own.
namespace gpu {

void add_encode_8();
void add_decode_8();
void add_feedback_8();
void add_encode_4();
void add_rotated_4();
void add_small();
void add_reduce_8();
void add_reduce_4();
void add_sparse();
void add_sort();

}  // namespace gpu
