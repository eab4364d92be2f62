// ccomp::compiled: what programs that define CCOMP_COMPILED do not compile themselves. Compile this file once and link it.
#if !defined(CCOMP_COMPILED)
#define CCOMP_COMPILED
#endif
#define CCOMP_COMPILED_SOURCE

#include <ccomp/ccomp.hpp>

CCOMP_BEGIN
namespace detail {

template <class S> stage_facts const& compiled_facts() { return facts_table<S>; }
template <class S> host_ops const& compiled_host_ops() { return host_ops_table<S>; }

struct compiled_stage {
  stage_facts const& (*facts)();
  host_ops const& (*ops)();
};
/// Taking the addresses of the functions compiles them, for every stage of the list.
extern std::vector<compiled_stage> const compiled_stages;
std::vector<compiled_stage> const compiled_stages = [] {
  std::vector<compiled_stage> all;
  for_each_stage([&]<class S>(std::type_identity<S>, auto const&) {
    static_assert(standard_stage<S>,
                  "ccomp: a stage of stage_list.hpp does not say that it is standard; its header ends with "
                  "template <> inline constexpr bool detail::standard_stage<Stage> = true");
    all.push_back({&compiled_facts<S>, &compiled_host_ops<S>});
  });
  return all;
}();

}  // namespace detail
CCOMP_END
