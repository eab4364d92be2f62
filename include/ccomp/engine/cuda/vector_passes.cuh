#pragma once
/// The passes of a chain with a vector stage: its kernels, around the passes of the chain that codes its carrier.
///
/// Chunks of one size go through every kernel together; a last chunk that is shorter follows by itself.

#include <ccomp/engine/cuda/scatter.cuh>
#include <ccomp/engine/cuda/select.cuh>
#include <ccomp/engine/cuda/vector_call.cuh>

CCOMP_BEGIN
namespace detail {

/// Runs the passes; without an exec it only goes through the motions, which tells how much scratch they take.
template <class Kernels> class vector_runner {
 public:
  vector_runner(cuda_exec const* ex, workspace<cuda_exec>& ws) : ex_(ex), ws_(&ws) {}

  void run(device_pass pass, device_program const& p, block_call const& k, metered_scratch const& memory) const {
    if (!first_segment(p.stages).vector()) {
      if (ex_) run_blocks(pass, *ex_, p, k);
      return;
    }
    for_each_size(k, [&](block_call const& each) {
      vector_call const c(p, each);
      if (pass == device_pass::decode)
        decode(c, memory);
      else if (pass == device_pass::reduce)
        reduce(p, c, memory);
      else
        encode(c, pass == device_pass::encode_feedback, memory);
    });
  }

 private:
  /// Each item's carrier; of a sparsifier, what was kept.
  struct kept_values {
    per_item<std::uint32_t> index;
    drawn_places places;
    per_item<float> carrier;
    per_item<std::uint32_t const> count;  // null: what.kept
  };

  template <class... P, class... A>
  void go(char const* name, void (*kernel)(P...), std::uint64_t blocks, unsigned items, A const&... args) const {
    if (!ex_) return;
    expects(items <= 0xffff, [&] { return "CUDA: " + std::to_string(items) + " chunks at once are too many"; });
    launch(*ex_, name, kernel, dim3(static_cast<unsigned>(blocks), items), vector_threads, args...);
  }
  /// A thread for each of `work`.
  static std::uint64_t blocks_for(std::uint64_t work) { return ceil_div(work, vector_threads); }
  static std::uint64_t tile_blocks(std::uint64_t n) { return ceil_div(n, select_values * vector_warps); }

  void update_residual(vector_source const& source, residual_step step, float* values, unsigned items) const {
    go("residual", residual_kernel<Kernels>, tile_blocks(source.n), items, source, step, values);
  }

  static drawn_places take_places(vector_call const& c, metered_scratch& memory) {
    drawn_places p;
    p.index = memory.take<std::uint32_t>(c.what.kept);
    if (c.what.kind == selection_kind::drawn_blocks) p.from = memory.take<std::uint32_t>(c.what.kept);
    if (c.what.unbiased) p.scale = memory.take<float>(c.what.kept);
    return p;
  }
  drawn_places draw(vector_call const& c, metered_scratch& memory) const {
    drawn_places const p = take_places(c, memory);
    go("draw", draw_kernel<Kernels>, blocks_for(c.what.kept), 1, c.what, c.k.random, p);
    return p;
  }

  /// A carrier that is not coded lies in the payload.
  static per_item<float> take_carrier(vector_call const& c, metered_scratch& memory) {
    return c.raw ? per_item<float>{reinterpret_cast<float*>(past(c.k.payload, c.rest)), c.k.payload_stride}
                 : per_item<float>{memory.take<float>(c.what.kept * c.items), 4 * c.what.kept};
  }
  /// Writes the carrier and what pads it.
  kept_values map(vector_call const& c, vector_source const& source, metered_scratch& memory) const {
    kept_values kept;
    kept.carrier = take_carrier(c, memory);
    std::uint64_t const carried = 4 * std::uint64_t{c.what.kept}, bytes = c.ops->encode_bytes(c.s.end.stage, c.n);
    std::span const own(memory.take<std::byte>(bytes), bytes);
    if (!ex_) c.ops->prepare(c.s.end.stage, c.n, *ws_);
    for (unsigned i = 0; ex_ && i < c.items; ++i) {
      auto const* const values = static_cast<float const*>(source.in.data) + i * source.stride;
      c.ops->encode(c.s.end.stage, *ex_, *ws_, {values, c.n, kept.carrier.of(i), c.k.random, own});
      if (c.raw) ex_->fill_zero(kept.carrier.of(i) + c.what.kept, pad16(carried) - carried);
    }
    return kept;
  }
  /// What the carriers of an item's sources stand for, added up.
  void unmap(vector_call const& c, per_list<float const> const& carrier, unsigned sources, per_item<float> const& to,
             lost_values lost, metered_scratch memory) const {
    std::uint64_t const bytes = c.ops->decode_bytes(c.s.end.stage, c.n);
    std::span const own(memory.take<std::byte>(bytes), bytes);
    for (unsigned i = 0; ex_ && i < c.items; ++i) {
      if (sources > 1) ex_->fill_zero(to.of(i), c.n * sizeof(float));
      for (unsigned s = 0; s < sources; ++s)
        c.ops->decode(c.s.end.stage, *ex_, {carrier.of(i, s), to.of(i), c.n, sources > 1, lost, own});
    }
  }

  /// Writes the carrier, the indices and the header.
  kept_values select(vector_call const& c, vector_source const& source, metered_scratch& memory) const {
    kept_values kept;
    kept.carrier = take_carrier(c, memory);
    if (c.drawn()) {
      kept.places = draw(c, memory);
      kept.index = {kept.places.index, 0};
      go("gather_drawn", gather_drawn<Kernels>, blocks_for(c.what.kept), c.items, source, c.what.kept, kept.places,
         kept.carrier);
      if (source.residual) update_residual(source, residual_step::leave, nullptr, c.items);
      return kept;
    }
    auto* const side = reinterpret_cast<std::uint32_t*>(c.k.payload);
    kept.index = c.what.indices.coding == index_coding::raw
                     ? per_item<std::uint32_t>{past(side, c.what.header_bytes()), c.k.payload_stride}
                     : memory.take_each<std::uint32_t>(c.what.kept, c.items);
    bool const largest = c.what.kind == selection_kind::largest, one_block = c.n <= block_values;
    selection_call s;
    s.what = c.what;
    s.status = c.k.status;
    s.source = source;
    s.index = kept.index;
    s.carrier = kept.carrier;
    if (!largest) {
      s.header = {side, c.k.payload_stride};
      s.state = memory.take_each<select_state>(1, c.items);
      kept.count = {&s.state.data->kept, s.state.bytes};
      if (!(c.what.value > 0)) {
        std::uint64_t const norms = ceil_div(c.n, norm_values);
        s.norms = memory.take_each<tile_norm>(norms, c.items);
        go("start_selection", start_selection<Kernels>, 1, c.items, s);
        go("norm", norm_kernel<Kernels>, ceil_div(norms, vector_warps), c.items, s);
      } else if (!one_block) {
        go("start_selection", start_selection<Kernels>, 1, c.items, s);
      }
    }
    if (one_block) {
      go("select", select_kernel<Kernels>, 1, c.items, s);
      return kept;
    }
    // Blocks that loop, so that few histograms are added up: four for each multiprocessor.
    auto const resident = 4 * static_cast<std::uint64_t>(ex_ ? ex_->multiprocessors() : 1);
    std::uint64_t const tiles = ceil_div(c.n, select_values), blocks = tile_blocks(c.n),
                        few = std::clamp<std::uint64_t>(resident / c.items, 1, blocks);
    s.counts = memory.take_each<unsigned long long>(tiles, c.items);
    s.totals = memory.take_each<unsigned long long>(blocks, c.items);
    if (largest) {
      s.room = static_cast<std::uint32_t>(std::min<std::uint64_t>(c.n, 3 * std::uint64_t{c.what.kept} + 4096));
      s.state = memory.take_each<select_state>(1, c.items);
      s.bins = memory.take_each<std::uint32_t>(all_bins, c.items);
      s.tiles = memory.take_each<pool_tile>(tiles, c.items);
      s.pool_index = memory.take_each<std::uint32_t>(s.room, c.items);
      s.pool_value = memory.take_each<float>(s.room, c.items);
      go("start_selection", start_selection<Kernels>, 1, c.items, s);
      go("histogram", histogram_kernel<Kernels>, few, c.items, s, 0);
      go("gather", gather_kernel<Kernels>, few, c.items, s);
      go("histogram", histogram_kernel<Kernels>, few, c.items, s, 2);
    }
    go("count", count_kernel<Kernels>, blocks, c.items, s);
    go("keep", keep_kernel<Kernels>, blocks, c.items, s);
    return kept;
  }

  /// The side bytes, and what pads the payload. A threshold's payload is filled with zeros: only the device knows its
  /// length.
  void write_side(vector_call const& c, kept_values const& kept) const {
    bool const reaching = c.what.kind == selection_kind::reaching;
    std::uint64_t const carried = 4 * std::uint64_t{c.what.kept};
    index_write_call w;
    w.layout = c.what.indices;
    w.header = c.what.header_bytes();
    w.rest = c.rest;
    w.end = reaching ? c.rest + capacity(c.s.tail, c.what.kept, c.carrier_type) : c.rest + (c.raw ? pad16(carried) : 0);
    w.raw_rest = c.raw;
    w.most = c.what.kept;
    w.count = kept.count;
    w.index = {kept.index.data, kept.index.bytes};
    w.payload = {c.k.payload, c.k.payload_stride};
    if (!reaching && w.layout.coding == index_coding::raw) w.from = w.layout.bytes() / 4;
    if (c.drawn() && c.raw) w.from = carried / 4;
    go("write_indices", write_indices<Kernels>, blocks_for(w.end / 4 - w.from), c.items, w);
  }

  void encode(vector_call const& c, bool feedback, metered_scratch memory) const {
    vector_source input = c.source();
    if (feedback) input.residual = c.k.residual;
    vector_source source = input;
    per_item<float> whole, inner;  // where it must be written down: the tensor as floats, and behind the transforms
    bool const as_floats = !c.selects() && (!ex_ || feedback || c.k.in.type != element_type::float32);
    if (c.transformed() ? feedback : as_floats) {
      whole = {memory.take<float>(c.n * c.items), c.n * sizeof(float)};
      update_residual(input, residual_step::copy, whole.data, c.items);
      source.in = {whole.data, element_type::float32};
      source.residual = {};
    }
    if (c.transformed()) {
      inner = memory.take_each<float>(c.n, c.items);
      block_call t = c.plain(c.n, c.items);
      t.type = c.k.type;
      t.in = source.in;
      t.payload = reinterpret_cast<std::byte*>(inner.data);
      t.payload_stride = inner.bytes;
      blocks(device_pass::encode, c.front, t);
      source.in = {inner.data, element_type::float32};
      source.stride = inner.bytes / 4;
    }
    kept_values const kept = c.selects() ? select(c, source, memory) : map(c, source, memory);
    if (c.selects()) write_side(c, kept);
    if (!c.raw) {
      block_call t = c.plain(c.what.kept, c.items);
      t.in = {kept.carrier.data, element_type::float32};
      t.payload = past(c.k.payload, c.rest);
      t.payload_stride = c.k.payload_stride;
      t.counted = kept.count.data;
      t.count_stride = kept.count.bytes;
      run(device_pass::encode, c.tail, t, memory);
    }
    if (!feedback) return;

    per_item<float const> back{kept.carrier.data, kept.carrier.bytes};
    if (!c.raw) {
      block_call t = c.plain(c.what.kept, c.items);
      back = {memory.take<float>(c.what.kept * c.items), 4 * c.what.kept};
      t.sources = past(c.k.payload, c.rest);
      t.chunk_source_stride = c.k.payload_stride;
      t.source_count = 1;
      t.out = {back.data, element_type::float32};
      t.counted = kept.count.data;
      t.count_stride = kept.count.bytes;
      run(device_pass::decode, c.tail, t, memory);
    }
    if (!c.transformed() && c.selects()) {
      go("settle", settle_kernel<Kernels>, blocks_for(c.what.kept), c.items,
         settle_call{input,
                     c.what.kept,
                     kept.count,
                     {kept.index.data, kept.index.bytes},
                     kept.places,
                     {kept.carrier.data, kept.carrier.bytes},
                     back});
      return;
    }
    per_list<float const> const carrier{back.data, 0, back.bytes};
    if (!c.selects()) {
      // Where nothing arrives, a residual that is compared with the tensor itself takes up what it can.
      unmap(c, carrier, 1, c.transformed() ? inner : whole, c.transformed() ? lost_values::nan : lost_values::zero,
            memory);
    } else {
      scatter_call sc;
      sc.n = c.n;
      sc.kept = c.what.kept;
      sc.count = kept.count;
      sc.index = {kept.index.data, 0, kept.index.bytes};
      sc.places = kept.places;
      sc.carrier = carrier;
      sc.out = {inner.data, element_type::float32};
      sc.stride = inner.bytes / 4;
      go("scatter", scatter_kernel<Kernels>, ceil_div(c.n, scatter_values), c.items, sc);
    }
    if (c.transformed()) finish(c, inner, {whole.data, element_type::float32}, 1.0f, false);
    update_residual(input, residual_step::settle, whole.data, c.items);
  }

  /// Passes of the transforms alone, on raw values; without any, of the values.
  void blocks(device_pass pass, device_program const& front, block_call const& t) const {
    if (ex_) run_blocks(pass, *ex_, front, t);
  }
  /// Undoes transforms, divides, and writes or adds.
  void finish(vector_call const& c, per_item<float> from, device_values out, float divisor, bool add_to_out) const {
    block_call t = c.plain(c.n, c.items);
    t.type = element_type::float32;
    t.sources = reinterpret_cast<std::byte const*>(from.data);
    t.chunk_source_stride = from.bytes;
    t.source_count = 1;
    t.out = out;
    t.divisor = divisor;
    t.add_to_out = add_to_out;
    blocks(device_pass::decode, c.front, t);
  }

  /// Reads what payloads say of places, and judges it.
  void read_indices(vector_call const& c, scatter_call& sc, metered_scratch& memory) const {
    auto const& k = c.k;
    unsigned const lists = c.items * sc.sources;
    index_read_call r;
    r.layout = c.what.indices;
    r.n = c.n;
    r.most = c.what.kept;
    r.header = c.what.header_bytes();
    r.sources = sc.sources;
    r.payload = {k.sources, k.source_stride, k.chunk_source_stride};
    r.status = k.status;
    auto const each = [&](auto const& array) {
      return per_list<std::remove_pointer_t<decltype(array.data)>>{array.data, array.bytes, array.bytes * sc.sources};
    };
    r.list = each(memory.take_each<index_list>(1, lists));
    bool const listed = r.layout.coding == index_coding::raw;
    std::uint64_t const blocks = ceil_div(r.layout.map_bytes / 4, words_of_block);
    if (listed)
      r.index = {const_cast<std::uint32_t*>(reinterpret_cast<std::uint32_t const*>(past(k.sources, r.header))),
                 r.payload.source_bytes, r.payload.item_bytes};
    else
      r.index = each(memory.take_each<std::uint32_t>(c.what.kept, lists));
    if (blocks <= 1 && c.what.kept <= block_entries) {
      go("read_indices", read_kernel<Kernels>, 1, lists, r);
    } else {
      go("start_reading", start_reading<Kernels>, 1, lists, r);
      if (!listed) {
        r.totals = each(memory.take_each<unsigned long long>(blocks, lists));
        go("count_ones", count_ones_kernel<Kernels>, blocks, lists, r);
        go("read_ones", read_ones_kernel<Kernels>, blocks, lists, r);
      }
      go("check_indices", check_indices<Kernels>, blocks_for(c.what.kept), lists, r);
    }
    sc.list = {r.list.data, r.list.source_bytes, r.list.item_bytes};
    sc.index = {r.index.data, r.index.source_bytes, r.index.item_bytes};
  }
  /// The carriers as floats. `list`: how long each is, of a threshold.
  per_list<float const> read_carriers(vector_call const& c, per_list<index_list const> const& list,
                                      metered_scratch& memory) const {
    auto const& k = c.k;
    auto const sources = static_cast<unsigned>(k.source_count);
    unsigned const lists = c.items * sources;
    std::byte const* const carriers = past(k.sources, c.rest);
    if (c.raw) return {reinterpret_cast<float const*>(carriers), k.source_stride, k.chunk_source_stride};
    auto* const back = memory.take<float>(c.what.kept * lists);
    std::uint64_t const bytes = 4 * std::uint64_t{c.what.kept};
    // The sources of an item lie side by side, or the items do.
    unsigned const together = c.items == 1 || sources == 1 ? lists : sources;
    for (unsigned done = 0; done < lists; done += together) {
      block_call t = c.plain(c.what.kept, together);
      t.sources = past(carriers, done / sources * k.chunk_source_stride);
      t.chunk_source_stride = c.items == 1 || sources > 1 ? k.source_stride : k.chunk_source_stride;
      t.source_count = 1;
      t.first_stride = c.items == 1 || sources > 1 ? 0 : k.first_stride;
      t.first += done / sources * k.first_stride;
      t.out = {back + std::uint64_t{done} * c.what.kept, element_type::float32};
      if (c.what.kind == selection_kind::reaching) {
        t.counted = past(&list.data->count, done * list.source_bytes);
        t.count_stride = list.source_bytes;
      }
      run(device_pass::decode, c.tail, t, memory);
    }
    return {back, bytes, bytes * sources};
  }

  void decode(vector_call const& c, metered_scratch memory) const {
    auto const& k = c.k;
    scatter_call sc;
    sc.n = c.n;
    sc.kept = c.what.kept;
    sc.sources = static_cast<unsigned>(k.source_count);
    if (!c.selects()) {
      auto const carrier = read_carriers(c, {}, memory);
      bool const direct = ex_ && !c.transformed() && k.out.type == element_type::float32 && !k.add_to_out &&
                          sc.sources == 1 && k.divisor == 1.0f;
      auto const to = direct ? per_item<float>{static_cast<float*>(k.out.data), c.n * sizeof(float)}
                             : memory.take_each<float>(c.n, c.items);
      unmap(c, carrier, sc.sources, to, lost_values::nan, memory);
      if (!direct) finish(c, to, k.out, k.divisor, k.add_to_out);
      return;
    }
    if (c.drawn()) {
      sc.places = draw(c, memory);
      sc.index = {sc.places.index, 0, 0};
    } else {
      read_indices(c, sc, memory);
    }
    sc.carrier = read_carriers(c, sc.list, memory);
    if (!c.transformed()) {
      sc.out = k.out;
      sc.stride = c.n;
      sc.divisor = k.divisor;
      sc.add_to_out = k.add_to_out;
      go("scatter", scatter_kernel<Kernels>, ceil_div(c.n, scatter_values), c.items, sc);
      return;
    }
    auto const inner = memory.take_each<float>(c.n, c.items);
    sc.out = {inner.data, element_type::float32};
    sc.stride = inner.bytes / 4;
    sc.finish = false;
    go("scatter", scatter_kernel<Kernels>, ceil_div(c.n, scatter_values), c.items, sc);
    finish(c, inner, k.out, k.divisor, k.add_to_out);
  }

  /// Sums the payloads and encodes the sum; what that leaves out joins the residual.
  void reduce(device_program const& p, vector_call const& c, metered_scratch memory) const {
    auto* const sum = memory.take<float>(c.n * c.items);
    block_call t = c.k;
    t.out = {sum, element_type::float32};
    t.divisor = 1;
    t.prescale = 1;
    t.add_to_out = false;
    run(device_pass::decode, p, t, memory);
    t = c.k;
    t.in = {sum, element_type::float32};
    device_program coded = p;
    if (!p.sums.empty()) coded.stages = p.sums;
    bool const keeps = !ex_ || c.k.residual.data;
    if (!keeps) return run(device_pass::encode, coded, t, memory);
    // Encoding with an empty residual leaves exactly what was left out in it.
    auto* const left = memory.take<float>(c.n * c.items);
    if (ex_) ex_->fill_zero(left, c.n * c.items * sizeof(float));
    t.residual = {left, element_type::float32};
    t.decay = 1;
    run(device_pass::encode_feedback, coded, t, memory);
    vector_source whole = c.source();
    whole.residual = c.k.residual;
    update_residual(whole, residual_step::add, left, c.items);
  }

  cuda_exec const* ex_;
  workspace<cuda_exec>* ws_;
};

template <class Kernels>
std::size_t vector_scratch_bytes(device_pass pass, device_program const& p, block_call const& k,
                                 workspace<cuda_exec>& ws) {
  std::size_t most = 0;
  scratch const endless({reinterpret_cast<std::byte*>(std::uintptr_t{64}), std::size_t{1} << 60});
  vector_runner<Kernels>(nullptr, ws).run(pass, p, k, {endless, most});
  return most;
}

/// Queues one pass of a chain with a vector stage.
template <class Kernels>
void run_vector(device_pass pass, cuda_exec const& ex, device_program const& p, block_call const& k, scratch memory,
                workspace<cuda_exec>& ws) {
  std::size_t most = 0;
  vector_runner<Kernels>(&ex, ws).run(pass, p, k, {memory, most});
}

}  // namespace detail
CCOMP_END
