#pragma once
/// Error feedback: what compression leaves out is kept per tensor and added to the next step.

#include <ccomp/core/chain.hpp>
#include <ccomp/core/checksum.hpp>
#include <ccomp/core/exclusive.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/numeric.hpp>
#include <ccomp/core/storage.hpp>
#include <ccomp/core/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <vector>

CCOMP_BEGIN

struct feedback_options {
  std::uint64_t id = 0;                           // stable name of the tensor; the residual belongs to it
  element_type residual = element_type::float32;  // or bfloat16, stochastically rounded: half the memory
  float decay = 1;                                // the residual is multiplied by this before it is added
  bool transactional = false;                     // keep the state before the last call, for `discard()`
};

namespace detail {

/// Calls `f` with the values as floats or bfloat16.
template <class F> auto visit_residual(values const& v, F const& f) {
  return v.type == element_type::float32 ? f(static_cast<float*>(v.data)) : f(static_cast<bfloat16*>(v.data));
}
/// Whether every value is finite once it is multiplied. The CUDA engine has kernels for this and for scale_values.
inline bool stays_finite(host_exec const&, values const& v, float factor) {
  return visit_residual(v, [&](auto* x) {
    using T = std::remove_pointer_t<decltype(x)>;
    return std::all_of(x, x + v.n,
                       [&](T each) { return is_finite(static_cast<float>(T(static_cast<float>(each) * factor))); });
  });
}
inline void scale_values(host_exec const&, values const& v, float factor) {
  visit_residual(v, [&](auto* x) {
    using T = std::remove_pointer_t<decltype(x)>;
    for (std::size_t i = 0; i < v.n; ++i) x[i] = T(static_cast<float>(x[i]) * factor);
  });
}

/// Whether the bytes of a call depend on its step: bfloat16 residuals are rounded at random.
inline bool draws(program stages, feedback_options const& options) {
  return options.residual != element_type::float32 || is_stochastic(stages);
}

/// The last step whose random bits a wrapper has used.
struct committed_step {
  bool any = false;
  std::uint64_t number = 0;

  /// Steps count modulo 2^64, as negative ones wrap.
  [[nodiscard]] bool precedes(std::uint64_t later) const {
    return !any || static_cast<std::int64_t>(later - number) > 0;
  }
  [[nodiscard]] step next() const { return step(any ? number + 1 : 0); }
};

}  // namespace detail

/// Wraps a compressor for one tensor. Every call sends C(x + decay * residual) and keeps the rest as the new residual,
/// in memory of the exec that it was made with: `error_feedback ef{c, n}` on the host, `error_feedback ef{c, n, ex}`
/// with a cuda_exec on a GPU.
///
/// Steps:     with a chain that draws random bits (or bfloat16 residuals), steps must increase: a step that is not
///            after the last committed one is refused, because its random bits would repeat. A call without `.at` takes
///            the step after the last one, starting at 0, the same on every rank. Steps in device memory are not
///            compared. Chains that draw no random bits take any step
/// Memory:    4 n bytes (2 n with bfloat16 residuals), doubled when transactional, and the stage's own state
/// CUDA:      everything happens in the order of the stream that the wrapper was made with; use it on that stream, or
///            after it. save, load and residual_copy wait for the stream. So do construction and reset if the stage has
///            a state, and scale by a factor above 1
/// Guarantee: with a contraction, the mean of T outputs for a constant input converges as 1/T. The error of encoding a
///            sum again (two_shot) is added to the residual of the rank that did it. There are two exceptions, in which
///            no rank can keep the error: in_flight, if you ask for it and the carrier has 16 bits, because the
///            communicator then rounds the sum; and a decoded value that saturates when it is written to a 16-bit
///            tensor
/// NaN, Inf:  a block that is not finite is sent as NaN, and its residual is unchanged. A call that throws marks the
///            residual invalid: the next call throws until `reset`, `load`, or (transactional) `discard`
/// Throws:    invalid_argument for another tensor size, an invalid residual, a step that is not new, a decay outside
///            (0, 1], a stage that is not a contraction (its error may exceed its input, so the residual could grow); and
///            for anything but transforms, casts and quantizers of at least 4 bits behind a stage that sends factors or
///            gains (svd, e8_lattice), since coarse factors may have a product that is further off than zero
/// Source:    Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014; Karimireddy et al., "Error Feedback
///            Fixes SignSGD", ICML 2019
template <compressor C, class Exec = host_exec> class error_feedback : public detail::residual_keeper {
 public:
  static constexpr bool keeps_several = false;

  [[CCOMP_SMALL]] error_feedback(C c, std::size_t n, Exec ex = Exec{}, feedback_options options = {})
      : inner_(std::move(c)), ex_(ex), options_(options), n_(n), now_(ex, 0, 0), before_(ex, 0, 0) {
    detail::expects(options.residual != element_type::float16, "error_feedback: residuals are float32 or bfloat16");
    detail::expects(options.decay > 0 && options.decay <= 1, [&] {
      return detail::sentence("error_feedback: decay must lie in (0, 1], got ", detail::print_value(options.decay));
    });
    detail::expect_countable(n, "error_feedback");
    auto const stages = detail::stages_of(inner_);
    detail::validate(stages);
    detail::expect_contraction(stages, n);
    draws_ = detail::draws(stages, options);
    now_ = memory(ex, n * element_bytes(options.residual), initial_state().size());
    reset();
  }

  [[nodiscard]] C const& inner() const noexcept { return inner_; }
  [[nodiscard]] std::size_t size() const noexcept { return n_; }
  [[nodiscard]] feedback_options const& options() const noexcept { return options_; }
  [[nodiscard]] bool valid() const noexcept { return valid_; }
  /// Bytes kept between steps.
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return now_.bytes() + before_.bytes(); }

  /// The residual of a float32 wrapper. You may read and change it between calls. It is memory of the exec.
  [[nodiscard]] std::span<float> residual() {
    detail::expects(options_.residual == element_type::float32,
                    "error_feedback: the residual is bfloat16; use residual_copy");
    return {static_cast<float*>(residual_data()), n_};
  }
  [[nodiscard]] std::vector<float> residual_copy() const {
    std::vector<float> copy(n_);
    if (options_.residual == element_type::float32) {
      now_.residual.save(copy.data());
    } else {
      std::vector<bfloat16> narrow(n_);
      now_.residual.save(narrow.data());
      for (std::size_t i = 0; i < n_; ++i) copy[i] = static_cast<float>(narrow[i]);
    }
    return copy;
  }

  /// Sets the residual to zero and the stage's state to its initial state.
  void reset() {
    auto const alone = use("error_feedback::reset");
    now_.residual.clear();
    auto const state = initial_state();
    now_.state.load(state.data());
    settle({});
  }
  /// Multiplies the residual, for a changed loss scale or learning rate. If a value would become infinite, the call
  /// throws and nothing changes.
  void scale(float factor) {
    auto const alone = use("error_feedback::scale");
    expect_scalable(factor);
    scale_values(ex_, residual_values(), factor);  // found by its second argument
  }
  /// Transactional wrappers only: undoes the last call and nothing else, for a step whose update was skipped. The step
  /// can be used again. If the last call was refused, it has changed nothing, and there is nothing to undo.
  void discard() {
    auto const alone = use("error_feedback::discard");
    detail::expects(options_.transactional, "error_feedback: discard needs {.transactional = true}");
    detail::expects(last_ != last_call::none, "error_feedback: there is no call to discard");
    undo();
  }

  /// A header that names the compressor and the size, then everything that `load` needs to continue with the same bits.
  [[nodiscard]] std::vector<std::byte> save() const {
    auto const alone = use("error_feedback::save");
    require_valid();
    std::vector<std::byte> bytes(sizeof(header) + now_.bytes());
    auto* at = bytes.data() + sizeof(header);
    now_.residual.save(at);
    now_.state.save(at + now_.residual.bytes());
    header h = describe();
    std::memcpy(bytes.data(), &h, sizeof h);
    h.checksum = detail::checksum(std::span<std::byte const>(bytes).subspan(checked_from));
    std::memcpy(bytes.data(), &h, sizeof h);
    return bytes;
  }
  /// Throws payload_error and changes nothing if the bytes are not what `save` of an equal wrapper returned.
  void load(std::span<std::byte const> bytes) {
    auto const alone = use("error_feedback::load");
    header h;
    header const mine = describe();
    auto check = [](bool ok, char const* what) {
      detail::expects<payload_error>(ok, [&] { return detail::sentence("error_feedback::load: ", what); });
    };
    check(bytes.size() >= sizeof h, "the bytes end inside the header");
    std::memcpy(&h, bytes.data(), sizeof h);
    check(h.magic == mine.magic, "these are not the bytes of an error_feedback");
    check(h.version == mine.version, "the bytes have another version");
    check(h.fingerprint == mine.fingerprint, "the bytes belong to another compressor");
    check(h.n == mine.n, "the bytes belong to a tensor of another size");
    check(h.id == mine.id, "the bytes belong to another tensor id");
    check(h.residual == mine.residual, "the bytes hold residuals of another type");
    check(h.state == mine.state, "the bytes hold another amount of stage state");
    check(bytes.size() == sizeof h + now_.bytes(), "the bytes are cut short or too long");
    check(h.checksum == detail::checksum(bytes.subspan(checked_from)), "the checksum does not match");
    auto const* at = bytes.data() + sizeof h;
    now_.residual.load(at);
    now_.state.load(at + now_.residual.bytes());
    settle({h.stepped != 0, h.step});
  }

  /// For collectives: what a call on this tensor may change.
  std::vector<detail::tensor_job> jobs(std::span<tensor_view const> tensors) { return {job(tensors[0].data)}; }
  void prepare() override {
    keep_copy();
    valid_ = false;
  }
  void commit(step at) noexcept override {
    valid_ = true;
    if (draws_ && !at.on_device) committed_ = {true, at.number};
  }
  /// Which thread uses it.
  [[nodiscard]] detail::in_use& usage() noexcept { return in_use_; }
  /// Whether the bytes of a call depend on its step.
  [[nodiscard]] bool draws() const noexcept { return draws_; }
  /// The step of a call without `.at`.
  [[nodiscard]] step next_step() const noexcept { return committed_.next(); }
  void expect_new(step at) const {
    detail::expects(!draws_ || at.on_device || committed_.precedes(at.number), [&] {
      return detail::sentence("error_feedback: step ", at.number, " of tensor ", options_.id, " is not after step ",
                              committed_.number, ", which is committed, so its random bits would repeat; ",
                              "give each call a later step, or discard the last one");
    });
  }

 private:
  template <compressor, class> friend class error_feedback_set;

  [[nodiscard]] detail::exclusive_use use(char const* call) const { return {in_use_, call, "error_feedback"}; }

  enum class last_call { none, changed_nothing, changed };
  struct memory {
    memory(Exec const& ex, std::size_t residual_bytes, std::size_t state_size)
        : residual(ex, residual_bytes), state(ex, state_size) {}
    detail::storage<std::byte, Exec> residual;
    detail::storage<float, Exec> state;
    [[nodiscard]] std::size_t bytes() const noexcept { return residual.bytes() + state.bytes(); }
  };
  struct header {
    std::uint64_t magic = 0x6266706d6f6363ull;  // "ccompfb"
    std::uint64_t version = 2, fingerprint = 0, n = 0, id = 0, residual = 0, state = 0;
    std::uint64_t checksum = 0;           // of all that follows
    std::uint64_t stepped = 0, step = 0;  // whether a step is committed, and the last one
  };
  static constexpr std::size_t checked_from = offsetof(header, checksum) + sizeof(header::checksum);

  void keep_copy() {
    if (!options_.transactional) return;
    before_ = now_;
    committed_before_ = committed_;
    last_ = last_call::changed;
  }
  void expect_size(std::size_t n) const {
    detail::expects(n == n_, [&] {
      return detail::sentence("error_feedback: tensor ", options_.id, " had ", n_, " values and now has ", n,
                              "; make a new wrapper for a resized tensor");
    });
  }
  detail::tensor_job job(detail::values data) {
    require_valid();  // what made it invalid may still be discarded
    last_ = last_call::changed_nothing;
    ++calls_;
    expect_size(data.n);
    return {data, options_.id, {residual_data(), options_.residual, options_.decay}, now_.state.span()};
  }
  void undo() {
    if (last_ == last_call::changed) {
      std::swap(now_, before_);
      settle(committed_before_);
    }
    last_ = last_call::none;
  }
  /// What the wrapper holds now is valid and does not come from a call.
  void settle(detail::committed_step committed) noexcept {
    committed_ = committed;
    last_ = last_call::none;
    valid_ = true;
  }
  void expect_scalable(float factor) const {
    detail::expects(detail::is_finite(factor), "error_feedback: scale needs a finite factor");
    if (factor >= -1 && factor <= 1) return;  // nothing can grow
    detail::expects(stays_finite(ex_, residual_values(), factor), [&] {
      return detail::sentence("error_feedback: scaled by ", detail::print_value(factor), ", the residual of tensor ",
                              options_.id, " would become infinite; it is unchanged");
    });
  }
  [[nodiscard]] void* residual_data() const { return now_.residual.span().data(); }
  [[nodiscard]] detail::values residual_values() const { return {residual_data(), options_.residual, n_}; }
  [[nodiscard]] detail::stage_state initial_state() const {
    detail::stage_state state;
    for (auto const& s : detail::stages_of(inner_))
      if (s.facts->make_state) state = s.facts->make_state(s.stage, n_);
    return state;
  }
  void require_valid() const {
    detail::expects(valid_, [&] {
      return detail::sentence("error_feedback: the residual of tensor ", options_.id,
                              " is invalid, because a call on it failed; use reset, load or (transactional) discard");
    });
  }
  [[nodiscard]] header describe() const {
    header h;
    h.fingerprint = fingerprint(inner_);
    h.n = n_;
    h.id = options_.id;
    h.residual = static_cast<std::uint64_t>(options_.residual);
    h.state = now_.state.size();
    h.stepped = committed_.any;
    h.step = committed_.number;
    return h;
  }

  C inner_;
  Exec ex_;
  feedback_options options_;
  std::size_t n_;
  memory now_, before_;
  detail::committed_step committed_, committed_before_;
  last_call last_ = last_call::none;
  std::uint64_t calls_ = 0;
  bool draws_ = false;
  bool valid_ = true;
  mutable detail::in_use in_use_;
};

/// Error feedback for a model: one wrapper per tensor, made when its id is first seen.
template <compressor C, class Exec = host_exec> class error_feedback_set : public detail::residual_keeper {
 public:
  static constexpr bool keeps_several = true;

  explicit error_feedback_set(C c, feedback_options options = {}) : inner_(std::move(c)), options_(options) {}
  /// With the residuals where `ex` runs.
  error_feedback_set(C c, Exec ex, feedback_options options = {})
  requires(!std::same_as<Exec, host_exec>)
      : inner_(std::move(c)), ex_(ex), options_(options) {}

  [[nodiscard]] C const& inner() const noexcept { return inner_; }
  [[nodiscard]] std::size_t size() const noexcept { return wrappers_.size(); }
  /// The wrapper of a tensor; made if new. Throws invalid_argument if its size has changed.
  error_feedback<C, Exec>& at(std::uint64_t id, std::size_t n) {
    auto const alone = use("error_feedback_set::at");
    auto const found = wrappers_.find(id);
    if (found != wrappers_.end()) {
      found->second.expect_size(n);
      return found->second;
    }
    feedback_options options = options_;
    options.id = id;
    return wrappers_.try_emplace(id, inner_, n, ex_, options).first->second;
  }
  void reset() {
    auto const alone = use("error_feedback_set::reset");
    for (auto& [id, w] : wrappers_) w.reset();
    called_ = false;
  }
  /// Multiplies all residuals, or none of them.
  void scale(float factor) {
    auto const alone = use("error_feedback_set::scale");
    for (auto& [id, w] : wrappers_) w.expect_scalable(factor);
    for (auto& [id, w] : wrappers_) scale_values(ex_, w.residual_values(), factor);
  }
  /// Transactional sets only: undoes the last call of the set, for the tensors of that call only. If one of these
  /// tensors had its own call since then, the call throws and nothing is undone.
  void discard() {
    auto const alone = use("error_feedback_set::discard");
    detail::expects(options_.transactional, "error_feedback_set: discard needs {.transactional = true}");
    detail::expects(called_, "error_feedback_set: there is no call to discard");
    for (auto const& one : last_)  // no structured binding: clang 16 cannot capture one under OpenMP
      detail::expects(wrappers_.at(one.id).calls_ == one.call, [&] {
        return detail::sentence(
            "error_feedback_set: tensor ", one.id,
            " had a call of its own after the last call of the set, which can no longer be discarded");
      });
    for (auto const& one : last_) wrappers_.at(one.id).undo();
    called_ = false;
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    std::size_t bytes = 0;
    for (auto const& [id, w] : wrappers_) bytes += w.memory_bytes();
    return bytes;
  }
  [[nodiscard]] auto begin() const noexcept { return wrappers_.begin(); }
  [[nodiscard]] auto end() const noexcept { return wrappers_.end(); }

  /// For collectives: a call of the set on all these tensors.
  std::vector<detail::tensor_job> jobs(std::span<tensor_view const> tensors) {
    for (auto const& t : tensors)
      if (auto const found = wrappers_.find(t.id); found != wrappers_.end()) found->second.require_valid();
    last_.clear();
    called_ = true;
    std::vector<detail::tensor_job> jobs;
    for (auto const& t : tensors) {
      auto& w = at(t.id, t.data.n);
      last_.push_back({t.id, w.calls_ + 1});
      jobs.push_back(w.job(t.data));
    }
    return jobs;
  }
  /// Copies first: if a copy fails, all residuals are still valid.
  void prepare() override {
    for (auto const& one : last_) wrappers_.find(one.id)->second.keep_copy();
    for (auto const& one : last_) wrappers_.find(one.id)->second.valid_ = false;
  }
  void commit(step now) noexcept override {
    for (auto const& one : last_) wrappers_.find(one.id)->second.commit(now);
  }
  [[nodiscard]] detail::in_use& usage() noexcept { return in_use_; }
  [[nodiscard]] bool draws() const { return detail::draws(detail::stages_of(inner_), options_); }
  /// The step of a call without `.at`: after the last step of each tensor of the call.
  [[nodiscard]] step next_step() const noexcept {
    detail::committed_step last;
    for (auto const& one : last_) {
      auto const& committed = wrappers_.find(one.id)->second.committed_;
      if (committed.any && last.precedes(committed.number)) last = committed;
    }
    return last.next();
  }
  void expect_new(step now) const {
    for (auto const& one : last_) wrappers_.at(one.id).expect_new(now);
  }

 private:
  [[nodiscard]] detail::exclusive_use use(char const* call) const { return {in_use_, call, "error_feedback_set"}; }

  C inner_;
  Exec ex_{};
  feedback_options options_;
  std::map<std::uint64_t, error_feedback<C, Exec>> wrappers_;
  struct called_tensor {
    std::uint64_t id, call;  // the wrapper's own count of calls tells whether it had another one since
  };
  std::vector<called_tensor> last_;
  bool called_ = false;
  mutable detail::in_use in_use_;
};

CCOMP_END

#if CCOMP_DEVICE_CODE
#include <ccomp/error_feedback.cuh>
#endif
