// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/scheme_registry.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using two =
    scheme_registry<named<"small", scheme<weight<2, group<64>>>>, named<"large", scheme<activation<8>, weight<8>>>>;

constexpr auto bits = []<class Scheme>() { return Scheme::weight_type::bits; };

std::set<std::string> names_of(std::string_view list) {
  std::set<std::string> names;
  for (std::size_t end; (end = list.find(", ")) != std::string_view::npos; list.remove_prefix(end + 2))
    names.emplace(list.substr(0, end));
  names.emplace(list);
  return names;
}

// What a scheme's name should say: w<bits>a<bits>, b<block size>, g<group size>, kv<bits>, shift; or q<bits>_<kind>.
constexpr auto spelled = []<class Scheme>() {
  using w = typename Scheme::weight_type;
  if constexpr (!std::is_void_v<typename Scheme::activation_type>) {
    using a = typename Scheme::activation_type;
    if constexpr (std::is_same_v<a, activation<8, group<256>, symmetric>> && w::shares_scales)
      return "q" + std::to_string(w::bits) + "_k";
    else if constexpr (std::is_same_v<a, activation<8, group<32>, symmetric, fp16_scale>> &&
                       std::is_same_v<typename w::scale_format, fp16_scale>)
      return "q" + std::to_string(w::bits) + "_0";
    else if constexpr (std::is_same_v<a, activation<8, group<32>, symmetric, fp16_scale_and_sum>> && w::has_minima &&
                       !w::shares_scales)
      return "q" + std::to_string(w::bits) + "_1";
  }
  std::string name = "w" + std::to_string(w::bits) + "a";
  if constexpr (Scheme::quantizes_activations)
    name += std::to_string(Scheme::activation_type::bits);
  else
    name += "16";
  constexpr std::size_t longest = 1 << 20;
  if constexpr (Scheme::quantizes_activations) {
    using a = typename Scheme::activation_type;
    if (a::group_size(longest) != longest) name += "b" + std::to_string(a::group_size(longest));
  }
  if (w::group_size(longest) != longest) name += "g" + std::to_string(w::group_size(longest));
  if constexpr (Scheme::quantizes_attention) name += "kv" + std::to_string(Scheme::attention_type::bits);
  if (Scheme::shifts_inputs) name += "shift";
  return name;
};

}  // namespace

static_assert(named<"w4", scheme<weight<4>>>::name == "w4");
static_assert(fixed_string("abc").view() == "abc" && fixed_string("").view().empty());

TEST_CASE("a name leads to its scheme") {
  CHECK(two::names() == "small, large");
  CHECK(two::with("small", bits) == 2);
  CHECK(two::with("large", bits) == 8);
}

TEST_CASE("what is called may have a state and return references") {
  int calls = 0;
  const auto count = [&]<class Scheme>() -> int& {
    calls += Scheme::weight_type::bits;
    return calls;
  };
  static_assert(std::is_same_v<decltype(two::with("large", count)), int&>);
  CHECK(&two::with("large", count) == &calls);
  CHECK(calls == 8);
}

TEST_CASE("an unknown name is answered with those there are") {
  for (const char* const name : {"", "Small", "smal", "smaller", "small, large"}) {
    const auto message = message_of<value_error>([&] { two::with(name, bits); });
    check_mentions(message, std::string("'") + name + "'", "small, large");
  }
}

TEST_CASE("a program may offer some of the schemes") {
  using some = standard_schemes::only<"w4a4", "w2a16">;
  CHECK(some::names() == "w4a4, w2a16");
  CHECK(some::with("w2a16", spelled) == "w2a16");
  CHECK_THROWS_AS(some::with("w8a8", spelled), value_error);
  CHECK(std::is_same_v<some::scheme_of<"w4a4">, standard_schemes::scheme_of<"w4a4">>);
}

TEST_CASE("the standard schemes are what their names say, each once") {
  const auto names = names_of(standard_schemes::names());
  CHECK(names.size() >= 17);
  std::string listed;
  for (const std::string& name : names) {
    CHECK(standard_schemes::with(name, spelled) == name);
    listed += listed.empty() ? "" : ", ";
    listed += name;
  }
  CHECK(listed.size() == standard_schemes::names().size());  // no name was there twice
  for (const char* const needed : {"w4a4", "w2a16g128", "w2a16", "w4a4kv4"}) CHECK(names.count(needed) == 1);
}

TEST_CASE("the weights of the standard schemes learn their grids") {
  const auto learns = []<class Scheme>() {
    return std::is_same_v<typename Scheme::weight_type::clipping, clip::codes> && !Scheme::weight_type::symmetric;
  };
  for (const std::string& name : names_of(standard_schemes::names())) CHECK(standard_schemes::with(name, learns));
}
