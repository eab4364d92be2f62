#pragma once
/// What compression left out, kept per tensor and added to the next step.

#include <ccomp/chain.hpp>
#include <ccomp/checksum.hpp>
#include <ccomp/collective/job.hpp>
#include <ccomp/fields.hpp>
#include <ccomp/storage.hpp>
#include <ccomp/types.hpp>
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

/// The CUDA engine has a kernel for this.
inline void scale_values(host_exec const&, values const& v, float factor) {
  auto const scale = [&](auto* x) {
    using T = std::remove_pointer_t<decltype(x)>;
    for (std::size_t i = 0; i < v.n; ++i) x[i] = T(static_cast<float>(x[i]) * factor);
  };
  if (v.type == element_type::float32)
    scale(static_cast<float*>(v.data));
  else
    scale(static_cast<bfloat16*>(v.data));
}

}  // namespace detail

/// Wraps a compressor for one tensor: every call sends C(x + decay * residual) and keeps the rest, in memory of the exec
/// it was made with: `error_feedback ef{c, n}` on the host, `error_feedback ef{c, n, ex}` on a GPU for a cuda_exec.
///
/// Memory:    4 n bytes (2 n with bfloat16 residuals), doubled when transactional, and the stage's own state
/// CUDA:      everything happens in the order of the stream it was made with; a call that uses it runs on that stream, or
///            after it. save, load and residual_copy wait for it, and so do making and reset where the stage has a state
/// Guarantee: with a contraction the mean of T outputs for a constant input converges as 1/T, under every strategy; the
///            error of a re-encoding (two_shot) joins the residual of the rank that did it
/// NaN, Inf:  a block that is not finite is sent as NaN and its residual stays as it was. A call that throws leaves the
///            residual marked invalid: the next call throws until `reset`, `load`, or (transactional) `discard`
/// Throws:    invalid_argument for another tensor size, an invalid residual, a decay outside (0, 1], or a stage that is
///            no contraction (its error may exceed its input, and feedback would grow without bound)
/// Source:    Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014; Karimireddy et al., "Error Feedback
///            Fixes SignSGD", ICML 2019
template <compressor C, class Exec = host_exec> class error_feedback {
 public:
  error_feedback(C c, std::size_t n, Exec ex = Exec{}, feedback_options options = {})
      : inner_(std::move(c)), ex_(ex), options_(options), n_(n), now_(ex, 0, 0), before_(ex, 0, 0) {
    detail::expects(options.residual != element_type::float16, "error_feedback: residuals are float32 or bfloat16");
    detail::expects(options.decay > 0 && options.decay <= 1, [&] {
      return "error_feedback: decay must lie in (0, 1], got " + detail::print_value(options.decay);
    });
    auto const stages = detail::stages_of(inner_);
    detail::validate(stages);
    for (auto const& s : stages)
      detail::expects(s.ops->contracts(s.stage, n), [&] {
        return "error_feedback: " + s.ops->text(s.stage) +
               " is no contraction (its error may exceed its input), so its residual would grow without bound; use it "
               "without feedback";
      });
    now_ = memory(ex, n * element_bytes(options.residual), initial_state().size());
    reset();
  }

  [[nodiscard]] C const& inner() const noexcept { return inner_; }
  [[nodiscard]] std::size_t size() const noexcept { return n_; }
  [[nodiscard]] feedback_options const& options() const noexcept { return options_; }
  [[nodiscard]] bool valid() const noexcept { return valid_; }
  /// Bytes kept between steps.
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return now_.bytes() + before_.bytes(); }

  /// The residual of a float32 wrapper, to read or to change between calls; memory of the exec.
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

  /// Forgets everything: residual zero, stage state as new.
  void reset() {
    now_.residual.clear();
    auto const state = initial_state();
    now_.state.load(state.data());
    can_discard_ = false;
    valid_ = true;
  }
  /// Multiplies the residual, for a changed loss scale or learning rate.
  void scale(float factor) {
    detail::expects(detail::is_finite(factor), "error_feedback: scale needs a finite factor");
    scale_values(ex_, detail::values{residual_data(), options_.residual, n_}, factor);  // found by its second argument
  }
  /// Transactional wrappers only: undoes the last call, for a step whose update was skipped.
  void discard() {
    detail::expects(options_.transactional, "error_feedback: discard needs {.transactional = true}");
    detail::expects(can_discard_, "error_feedback: there is no call to discard");
    std::swap(now_, before_);
    can_discard_ = false;
    valid_ = true;
  }

  /// Everything that `load` needs to go on bit for bit, after a header that names the compressor and the size.
  [[nodiscard]] std::vector<std::byte> save() const {
    require_valid();
    std::vector<std::byte> bytes(sizeof(header) + now_.bytes());
    auto* at = bytes.data() + sizeof(header);
    now_.residual.save(at);
    now_.state.save(at + now_.residual.bytes());
    header h = describe();
    h.checksum = detail::checksum({}, std::span<std::byte const>(bytes).subspan(sizeof h));
    std::memcpy(bytes.data(), &h, sizeof h);
    return bytes;
  }
  /// Throws payload_error and changes nothing if the bytes are not what `save` of an equal wrapper returned.
  void load(std::span<std::byte const> bytes) {
    header h;
    header const mine = describe();
    auto check = [](bool ok, char const* what) {
      detail::expects<payload_error>(ok, [&] { return std::string("error_feedback::load: ") + what; });
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
    check(h.checksum == detail::checksum({}, bytes.subspan(sizeof h)), "the checksum does not match");
    auto const* at = bytes.data() + sizeof h;
    now_.residual.load(at);
    now_.state.load(at + now_.residual.bytes());
    can_discard_ = false;
    valid_ = true;
  }

  /// For collectives: hands out what a call on this tensor may change. The call marks the wrapper as in doubt once it
  /// begins to change the residual; `finish` says that all went well.
  detail::tensor_job begin(detail::values data) {
    detail::expects(data.n == n_, [&] {
      return "error_feedback: tensor " + std::to_string(options_.id) + " had " + std::to_string(n_) +
             " values and now has " + std::to_string(data.n) + "; make a new wrapper for a resized tensor";
    });
    require_valid();
    return {data,
            options_.id,
            {residual_data(), options_.residual, options_.decay},
            now_.state.span(),
            options_.transactional ? &error_feedback::keep_copy : nullptr,
            this,
            &valid_};
  }
  void finish() noexcept { valid_ = true; }

 private:
  struct memory {
    memory(Exec const& ex, std::size_t residual_bytes, std::size_t state_size)
        : residual(ex, residual_bytes), state(ex, state_size) {}
    detail::storage<std::byte, Exec> residual;
    detail::storage<float, Exec> state;
    [[nodiscard]] std::size_t bytes() const noexcept { return residual.bytes() + state.bytes(); }
  };
  struct header {
    std::uint64_t magic = 0x6266706d6f6363ull;  // "ccompfb"
    std::uint64_t version = 1, fingerprint = 0, n = 0, id = 0, residual = 0, state = 0, checksum = 0;
  };

  static void keep_copy(void* self) {
    auto& me = *static_cast<error_feedback*>(self);
    me.before_ = me.now_;
    me.can_discard_ = true;
  }
  [[nodiscard]] void* residual_data() const { return now_.residual.span().data(); }
  [[nodiscard]] detail::stage_state initial_state() const {
    detail::stage_state state;
    for (auto const& s : detail::stages_of(inner_))
      if (s.ops->make_state) state = s.ops->make_state(s.stage, n_);
    return state;
  }
  void require_valid() const {
    detail::expects(valid_, [&] {
      return "error_feedback: the residual of tensor " + std::to_string(options_.id) +
             " is invalid, because a call on it failed; use reset, load or (transactional) discard";
    });
  }
  [[nodiscard]] header describe() const {
    header h;
    h.fingerprint = fingerprint(inner_);
    h.n = n_;
    h.id = options_.id;
    h.residual = static_cast<std::uint64_t>(options_.residual);
    h.state = now_.state.size();
    return h;
  }

  C inner_;
  Exec ex_;
  feedback_options options_;
  std::size_t n_;
  memory now_, before_;
  bool can_discard_ = false;
  bool valid_ = true;
};

/// Error feedback for a model: one wrapper a tensor, made when its id is first seen.
template <compressor C, class Exec = host_exec> class error_feedback_set {
 public:
  explicit error_feedback_set(C c, feedback_options options = {}) : inner_(std::move(c)), options_(options) {}
  /// With the residuals where `ex` runs.
  error_feedback_set(C c, Exec ex, feedback_options options = {}) requires(!std::same_as<Exec, host_exec>)
      : inner_(std::move(c)), ex_(ex), options_(options) {}

  [[nodiscard]] C const& inner() const noexcept { return inner_; }
  [[nodiscard]] std::size_t size() const noexcept { return wrappers_.size(); }
  /// The wrapper of a tensor; made if new. Throws invalid_argument if its size has changed.
  error_feedback<C, Exec>& at(std::uint64_t id, std::size_t n) {
    auto const found = wrappers_.find(id);
    if (found != wrappers_.end()) return found->second;
    feedback_options options = options_;
    options.id = id;
    return wrappers_.try_emplace(id, inner_, n, ex_, options).first->second;
  }
  void reset() {
    for (auto& [id, w] : wrappers_) w.reset();
  }
  void scale(float factor) {
    for (auto& [id, w] : wrappers_) w.scale(factor);
  }
  void discard() {
    for (auto& [id, w] : wrappers_) w.discard();
  }
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    std::size_t bytes = 0;
    for (auto const& [id, w] : wrappers_) bytes += w.memory_bytes();
    return bytes;
  }
  [[nodiscard]] auto begin() const noexcept { return wrappers_.begin(); }
  [[nodiscard]] auto end() const noexcept { return wrappers_.end(); }

 private:
  C inner_;
  Exec ex_{};
  feedback_options options_;
  std::map<std::uint64_t, error_feedback<C, Exec>> wrappers_;
};

namespace detail {
template <class X> struct feedback_traits {
  using compressor_type = X;
  static constexpr bool single = false, set = false;
};
template <class C, class Exec> struct feedback_traits<error_feedback<C, Exec>> {
  using compressor_type = C;
  static constexpr bool single = true, set = false;
};
template <class C, class Exec> struct feedback_traits<error_feedback_set<C, Exec>> {
  using compressor_type = C;
  static constexpr bool single = false, set = true;
};
}  // namespace detail

CCOMP_END
