// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/dispatch.hpp>

#include <doctest/doctest.h>

using namespace zoqat;
using dispatch::instruction_set;

namespace {

struct offer {
  instruction_set (*set)();
};
template <instruction_set Set>
instruction_set answer() {
  return Set;
}

}  // namespace

template <>
offer zoqat::dispatch::table<offer, instruction_set::baseline>() {
  return {answer<instruction_set::baseline>};
}
template <>
offer zoqat::dispatch::table<offer, instruction_set::avx2>() {
  return {answer<instruction_set::avx2>};
}
template <>
offer zoqat::dispatch::table<offer, instruction_set::avx512>() {
  return {answer<instruction_set::avx512>};
}

TEST_CASE("the table of the best set is taken, and each set contains the lesser ones") {
  CHECK(dispatch::best<offer>().set() == dispatch::best_set());
  CHECK(dispatch::supported(dispatch::best_set()));
  for (const instruction_set set : {instruction_set::baseline, instruction_set::avx2, instruction_set::avx512})
    CHECK(dispatch::supported(set) == (set <= dispatch::best_set()));
}

TEST_CASE("what this program was compiled for, its processor has") {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AES__)
  CHECK(dispatch::best_set() == instruction_set::avx512);
#elif defined(__AVX2__) && defined(__FMA__) && defined(__AES__) && defined(__PCLMUL__)
  CHECK(dispatch::best_set() >= instruction_set::avx2);
#endif
  CHECK(dispatch::here == instruction_set::baseline);  // no helper compiled this
}
