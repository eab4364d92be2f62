// Speeds on a GPU. Passes are timed by events on a stream; the allreduce of all ranks, which are threads with a stream
// each on one GPU, by the host's clock until the last stream is done.
#include "../measure.hpp"
#include "../refusing.hpp"
#include "../replay.hpp"
#include "../statistics.hpp"
#include "bench/cuda/own_stream.cuh"
#include "device_compressor.cuh"
#include "exchanges.cuh"

#include <ccomp/codec.cuh>
#include <ccomp/collectives.cuh>
#include <ccomp/collectives.hpp>
#include <ccomp/comm/thread.cuh>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace compare {
namespace {

using gpu::device_memory;
using clock = std::chrono::steady_clock;

// Every timed call draws the same random bits.
ccomp::allreduce_options const sum_options{.op = ccomp::reduction::sum, .at = 0};

// Whether device memory begins with these bytes.
bool same_bytes(ccomp::cuda_exec const& ex, void const* device, std::span<std::byte const> wanted) {
  std::vector<std::byte> part(std::min(wanted.size(), std::size_t{16} << 20));
  for (std::size_t at = 0; at < wanted.size(); at += part.size()) {
    auto const count = std::min(part.size(), wanted.size() - at);
    ex.copy_to_host(part.data(), static_cast<std::byte const*>(device) + at, count);
    if (std::memcmp(part.data(), wanted.data() + at, count) != 0) return false;
  }
  return true;
}

// The allreduce of all ranks: the slowest rank's time, and what rank 0 received.
struct group_run {
  double seconds = 0;
  ccomp::collective_report report;
  device_exchanges received;
  bool ranks_agree = false;
};

// `spare`: as large as a tensor, overwritten.
group_run time_allreduce(device_compressor const& compressor, gradients const& input, std::span<float> spare,
                         measure_settings const& settings) {
  auto const ranks = input.ranks();
  auto const repetitions = static_cast<std::size_t>(settings.allreduce_repetitions);
  group_run found;
  std::vector<clock::time_point> starts(static_cast<std::size_t>(ranks));
  std::vector<clock::time_point> ends(starts.size());
  std::vector<char> agrees(starts.size());
  std::vector<double> seconds;
  // Every rank starts when all have refilled their tensors, and the next refill waits until all are done.
  std::barrier line(ranks);
  ccomp::thread_group group{ranks};
  group.run([&](ccomp::thread_communicator& comm) {
    auto const me = static_cast<std::size_t>(comm.rank());
    try {
      gpu::own_stream const stream;
      ccomp::cuda_exec const ex(stream.get());
      ccomp::workspace ws{ex};
      device_memory<float> const given(spare.size());
      device_memory<float> const tensor(spare.size());
      {
        std::vector<float> values(spare.size());
        repeat_row(input.row(comm.rank()), values);
        ex.copy_from_host(given.data(), values.data(), spare.size_bytes());
      }
      for (std::size_t repetition = 0; repetition <= repetitions; ++repetition) {  // the first one warms up
        ex.copy(tensor.data(), given.data(), spare.size_bytes());
        ex.synchronize();
        recorder recording(comm, repetition == 0 && me == 0 ? &found.received : nullptr);
        line.arrive_and_wait();
        starts[me] = clock::now();
        auto const report = ccomp::allreduce(ex, recording, compressor, tensor.span(), ws, sum_options);
        ex.synchronize();
        ends[me] = clock::now();
        line.arrive_and_wait();
        if (me != 0) continue;
        found.report = report;
        auto const first = *std::min_element(starts.begin(), starts.end());
        auto const last = *std::max_element(ends.begin(), ends.end());
        if (repetition > 0) seconds.push_back(std::chrono::duration<double>(last - first).count());
      }
      ws.check();
      if (me == 0) ex.copy_to_host(spare.data(), tensor.data(), spare.size_bytes());
      line.arrive_and_wait();
      agrees[me] = same_bytes(ex, tensor.data(), std::as_bytes(spare));
    } catch (...) {
      line.arrive_and_drop();  // or the others would wait for this rank for ever
      throw;
    }
  });
  found.seconds = median(seconds);
  found.ranks_agree = std::all_of(agrees.begin(), agrees.end(), [](char yes) { return yes != 0; });
  return found;
}

}

speed measure_speed(std::string const& compressor, gradients const& input, std::span<float const> timed,
                    std::span<float> spare, measure_settings const& settings) {
  return refusing(compressor, [&] {
    auto const stages = parse_for_device(compressor);
    auto group = time_allreduce(stages, input, spare, settings);
    std::vector<std::byte> host_payload;
    auto const used = code_on_host(compressor, timed, host_payload, spare, settings.threads);
    host_payload.resize(used);

    gpu::own_stream const stream;
    ccomp::cuda_exec const ex(stream.get());
    ccomp::workspace ws{ex};
    gpu::stopwatch const watch;
    device_memory<float> const tensor(timed.size());
    device_memory<float> const output(timed.size());
    device_memory<std::byte> const payload(ccomp::payload_bytes<float>(stages, timed.size()));
    ex.copy_from_host(tensor.data(), timed.data(), timed.size_bytes());
    std::span<float const> const values = tensor.span();
    std::span<std::byte const> const sent = payload.span();

    device_check check;
    std::vector<double> copies;
    std::vector<double> encodes;
    std::vector<double> decodes;
    std::vector<double> codecs;
    for (int repetition = 0; repetition <= settings.repetitions; ++repetition) {
      auto const encode =
          watch.seconds_of(ex, [&] { ccomp::encode(ex, stages, values, payload.span(), ws, {.at = 0}); });
      auto const decode = watch.seconds_of(ex, [&] { ccomp::decode(ex, stages, sent, output.span(), ws, {.at = 0}); });
      if (repetition == 0) {
        check.same_payload = same_bytes(ex, payload.data(), host_payload);
        check.same_values = same_bytes(ex, output.data(), std::as_bytes(spare));
      }
      // The copy also refills the tensor for what follows.
      auto const copy = watch.seconds_of(ex, [&] { ex.copy(output.data(), tensor.data(), timed.size_bytes()); });
      replayer comm(0, input.ranks(), group.received);
      auto const whole =
          watch.seconds_of(ex, [&] { ccomp::allreduce(ex, comm, stages, output.span(), ws, sum_options); });
      if (repetition == 0) continue;  // warms up
      copies.push_back(copy);
      encodes.push_back(encode);
      decodes.push_back(decode);
      codecs.push_back(whole - comm.seconds());
    }
    ws.check();
    check.ranks_agree = group.ranks_agree;
    speed found;
    found.copy = median(copies);
    found.encode = median(encodes);
    found.decode = median(decodes);
    found.codec = median(codecs);
    found.allreduce = group.seconds;
    found.strategy = group.report.strategy;
    found.bytes_sent = group.report.bytes_sent;
    found.payload_bytes = used;
    found.check = check;
    found.yardstick = std::move(copies);
    return found;
  });
}

}
