// ccomp::compiled: what programs that define CCOMP_COMPILED do not compile themselves. Compile this file once and link it.
#if !defined(CCOMP_COMPILED)
#define CCOMP_COMPILED
#endif
#define CCOMP_COMPILED_SOURCE

#include <ccomp/ccomp.hpp>
#include <ccomp/fit.hpp>

CCOMP_BEGIN
namespace detail {

template <class Table, class S> Table const& compiled_table() {
  if constexpr (std::same_as<Table, stage_facts>)
    return facts_table<S>;
  else
    return host_ops_table<S>;
}

/// Compiled, never called: handing on the addresses of the functions above makes them, for each stage of the list.
void name_compiled_tables(void (*name)(stage_facts const& (*)(), host_ops const& (*)())) {
  for_each_stage([&]<class S>(std::type_identity<S>, auto const&) {
    static_assert(standard_stage<S>,
                  "ccomp: a stage of stage_list.hpp does not say that it is standard; its header ends with "
                  "template <> inline constexpr bool detail::standard_stage<Stage> = true");
    name(&compiled_table<stage_facts, S>, &compiled_table<host_ops, S>);
  });
}

}  // namespace detail
CCOMP_END
