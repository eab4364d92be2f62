// Tests of one program begin each with an idle machine, whatever ran before: a test may leave work on streams that it
// destroyed, memory to be freed in a stream's order, or another device current.
#include "cudart_sim.hpp"

#include <doctest/doctest.h>

namespace {

struct begin_anew : doctest::IReporter {
  explicit begin_anew(doctest::ContextOptions const&) {}
  void test_case_start(doctest::TestCaseData const&) override { cudart_sim::begin_anew(); }

  void report_query(doctest::QueryData const&) override {}
  void test_run_start() override {}
  void test_run_end(doctest::TestRunStats const&) override {}
  void test_case_reenter(doctest::TestCaseData const&) override {}
  void test_case_end(doctest::CurrentTestCaseStats const&) override {}
  void test_case_exception(doctest::TestCaseException const&) override {}
  void subcase_start(doctest::SubcaseSignature const&) override {}
  void subcase_end() override {}
  void log_assert(doctest::AssertData const&) override {}
  void log_message(doctest::MessageData const&) override {}
  void test_case_skipped(doctest::TestCaseData const&) override {}
};

}  // namespace

REGISTER_LISTENER("begin_anew", 0, begin_anew);
