#pragma once
/// Checks over NCCL that all ranks make the same call, once for each kind of call.

#include <ccomp/comm/nccl_handle.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <unordered_set>
#include <vector>

CCOMP_BEGIN
namespace detail {

/// A stream and a few bytes of device memory, made by the first question, and the answers so far.
class nccl_agreement {
 public:
  nccl_agreement() = default;
  nccl_agreement(nccl_agreement const&) = delete;
  nccl_agreement& operator=(nccl_agreement const&) = delete;
  /// In the stream's order, so that nothing waits.
  ~nccl_agreement() {
    if (!stream_) return;
    if (memory_) ignore_error(cudaFreeAsync(memory_, stream_));
    ignore_error(cudaStreamDestroy(stream_));
  }

  [[nodiscard]] bool knows(std::uint64_t fingerprint) const { return agreed_.contains(fingerprint); }

  /// Collective; returns when all ranks have answered. Throws rank_mismatch on every rank if two differ.
  void ask(nccl_handle& comm, std::uint64_t fingerprint, std::string const& what, char const* call) {
    device_scope const scope(comm.device());
    auto const ranks = static_cast<std::size_t>(comm.size());
    if (!stream_) check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    if (!memory_) check_cuda(cudaMallocAsync(&memory_, (1 + ranks) * sizeof(answer), stream_), "cudaMallocAsync");

    answer mine{};
    mine.fingerprint = fingerprint;
    std::memcpy(mine.text.data(), what.data(), std::min(what.size(), mine.text.size() - 1));
    auto* const all = static_cast<std::byte*>(memory_) + sizeof(answer);
    check_cuda(cudaMemcpyAsync(memory_, &mine, sizeof mine, cudaMemcpyHostToDevice, stream_), "cudaMemcpyAsync");
    comm.settle(ncclAllGather(memory_, all, sizeof mine, ncclInt8, comm.get(), stream_), "ncclAllGather");
    comm.wait(stream_, comm.deadline(), call);  // a copy to pageable memory would wait without a deadline
    std::vector<answer> answers(ranks);
    check_cuda(cudaMemcpyAsync(answers.data(), all, ranks * sizeof(answer), cudaMemcpyDeviceToHost, stream_),
               "cudaMemcpyAsync");
    check_cuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");

    for (std::size_t r = 1; r < ranks; ++r)
      if (answers[r].fingerprint != answers[0].fingerprint)
        fail<rank_mismatch>(sentence("the ranks disagree: rank 0 calls ", answers[0].text.data(), ", rank ", r,
                                     " calls ", answers[r].text.data()));
    agreed_.insert(fingerprint);
  }

 private:
  /// What a rank sends.
  struct answer {
    std::uint64_t fingerprint;
    std::array<char, 248> text;  // ends with a zero
  };

  cudaStream_t stream_ = nullptr;
  void* memory_ = nullptr;
  std::unordered_set<std::uint64_t> agreed_;
};

}  // namespace detail
CCOMP_END
