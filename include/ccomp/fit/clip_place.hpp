#pragma once
/// Where a chain takes a clip.

#include <ccomp/any_compressor.hpp>
#include <ccomp/core/fields.hpp>
#include <ccomp/core/program.hpp>

#include <cstddef>
#include <string>

CCOMP_BEGIN
namespace detail {

/// The setting `clip` of the quantizer that ends a chain: uniform_quantize with range=symmetric, or ternary.
class clip_place {
 public:
  explicit clip_place(program p);

  [[nodiscard]] bool exists() const { return at_ < fields_.size(); }
  /// Not set, and none by default.
  [[nodiscard]] bool unset() const { return exists() && value(stage_.stage) == 0 && value(description_->plain()) == 0; }
  [[nodiscard]] std::size_t block() const { return stage_.facts->quantizer->block(stage_.stage); }
  /// The chain with this clip.
  [[nodiscard]] any_compressor with(float clip) const;

 private:
  [[nodiscard]] float value(void const* stage) const { return *static_cast<float const*>(fields_[at_].in(stage)); }

  std::string before_;
  stage_ref stage_;
  stage_description const* description_;
  erased_fields fields_;
  std::size_t at_ = 0;
};
/// Throws invalid_argument, in the name of `call`, where the chain has none.
void expect_clip_place(char const* call, program p, clip_place const& place);

#if CCOMP_DEFINITIONS
CCOMP_FUNCTION clip_place::clip_place(program p)
    : stage_(p.back()), description_(stage_.facts->description), fields_(description_->fields) {
  if (p.size() > 1) before_ = detail::text(p.first(p.size() - 1)) + '|';
  bool symmetric = stage_.facts->quantizer != nullptr;
  for (auto const& f : fields_)
    if (f.name == "range") symmetric = f.value->print(f.in(stage_.stage)) == "symmetric";
  while (at_ < fields_.size() && fields_[at_].name != "clip") ++at_;
  if (!symmetric || (exists() && fields_[at_].value != &value_ops_of<float>)) at_ = fields_.size();
}
CCOMP_FUNCTION any_compressor clip_place::with(float clip) const {
  std::string settings;
  auto const add = [&](std::string const& text) {
    if (!text.empty()) append_listed(settings, text);
  };
  add(settings_text(fields_.first(at_), stage_.stage, description_->plain()));
  if (clip != value(description_->plain())) add("clip=" + print_value(clip));
  add(settings_text(fields_.subspan(at_ + 1), stage_.stage, description_->plain()));
  std::string text = before_ + type_text(*description_);
  return any_compressor(settings.empty() ? text : text + '(' + settings + ')');
}
CCOMP_FUNCTION void expect_clip_place(char const* call, program p, clip_place const& place) {
  expects(place.exists(), [&] {
    return sentence(call, ": ", text(p),
                    " has no clip to fit; the chain must end in uniform_quantize(range=symmetric) or in ternary");
  });
}
#endif

}  // namespace detail
CCOMP_END
