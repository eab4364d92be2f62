// What nccl_communicator::exchange refuses, on NCCL's stand-in.
#include <support/nccl/nccl_ranks.hpp>
#include <support/text_checks.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace ccomp;
using support::error_of;
using support::on_gpu;
using support::on_ranks;

namespace {

bool says(std::string const& text, std::initializer_list<char const*> parts) {
  return std::ranges::all_of(parts, [&](char const* part) { return support::has(text, part); });
}

}  // namespace

TEST_CASE("cuda: nccl_communicator::exchange refuses what no rank is, and what is not on the device") {
  auto const thrown = on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<std::byte> const send(16), receive(16);
    CHECK(says(error_of([&] { comm.exchange(ex, send.bytes(), 2, receive.bytes(), 0); }),
               {"invalid_argument", "nccl_communicator::exchange", "the receiver"}));
    CHECK(says(error_of([&] { comm.exchange(ex, send.bytes(), 0, receive.bytes(), -1); }),
               {"invalid_argument", "nccl_communicator::exchange", "the sender"}));
    std::vector<std::byte> host(16);
    CHECK(says(error_of([&] { comm.exchange(ex, host, 0, receive.bytes(), 0); }),
               {"invalid_argument", "nccl_communicator::exchange", "send"}));
    comm.exchange(ex, {}, 1 - comm.rank(), {}, 1 - comm.rank());  // nothing to do
    comm.exchange(ex, send.bytes(), 1 - comm.rank(), receive.bytes(), 1 - comm.rank());
    ex.synchronize();
  });
  for (auto const& e : thrown) CHECK(support::text_of(e) == "");
}

TEST_CASE("cuda: sizes that do not fit each other end an exchange over NCCL with an error on every rank") {
  auto const thrown = on_ranks(2, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<std::byte> const send(16), receive(32);
    int const other = 1 - comm.rank();
    comm.exchange(ex, send.bytes().first(comm.rank() == 0 ? 16 : 8), other, receive.bytes().first(16), other);
    comm.wait(ex, std::chrono::seconds(20));
  });
  for (auto const& e : thrown) CHECK(says(support::text_of(e), {"nccl_error"}));
}

TEST_CASE("cuda: an exchange over NCCL with a rank that expects nobody ends with an error, in time") {
  nccl_sim::patience(std::chrono::milliseconds(300));
  auto const thrown = on_ranks(3, [&](nccl_communicator& comm, cuda_exec const& ex) {
    on_gpu<std::byte> const send(16), receive(16);
    comm.exchange(ex, send.bytes(), 0, receive.bytes(), 0);  // rank 0 sends to itself, and to nobody else
    comm.wait(ex, std::chrono::seconds(20));
  });
  for (std::size_t const r : {1u, 2u}) CHECK(says(support::text_of(thrown[r]), {"nccl_error"}));
  nccl_sim::reset();
}
