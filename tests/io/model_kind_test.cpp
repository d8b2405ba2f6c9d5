// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/model_kind.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <string>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

constexpr model_kind llama{}, opt{model_family::opt, activation_function::relu},
    opt_gelu{model_family::opt, activation_function::gelu_tanh}, own{model_family::opt, activation_function::other};

template <model_kind Kind>
struct model {
  static constexpr model_kind kind = Kind;
};
struct plain_model {};

template <class Model>
std::string failure(const model_kind& stored) {
  return message_of<io_error>([&] { io::require_kind<Model>(stored, "the/file"); });
}

}  // namespace

TEST_CASE("a type is spelled as programs do") {
  CHECK(io::type_for(llama) == "nn::llama<Scheme>");
  CHECK(io::type_for(opt) == "nn::opt<Scheme, nn::relu>");
  CHECK(io::type_for({model_family::opt, activation_function::gelu_erf}) == "nn::opt<Scheme, nn::gelu_erf>");
  CHECK(io::type_for(own) == "nn::opt<Scheme, Activation>");
}

TEST_CASE("a type of another family or activation is refused, with the type that fits") {
  io::require_kind<model<llama>>(llama, "f");
  io::require_kind<model<opt_gelu>>(opt_gelu, "f");
  check_mentions(failure<model<llama>>(opt), "the/file", "for nn::opt<Scheme, nn::relu>", "as nn::llama<Scheme>");
  check_mentions(failure<model<opt>>(llama), "for nn::llama<Scheme>", "as nn::opt<Scheme, nn::relu>");
  check_mentions(failure<model<opt>>(opt_gelu), "for nn::opt<Scheme, nn::gelu_tanh>", "as nn::opt<Scheme, nn::relu>");
  check_mentions(failure<model<opt>>(own), "for nn::opt<Scheme, Activation>", "as nn::opt<Scheme, nn::relu>");
}

TEST_CASE("an activation of one's own replaces any of the family; a type that says nothing takes all") {
  io::require_kind<model<own>>(opt, "f");
  io::require_kind<model<own>>(own, "f");
  check_mentions(failure<model<own>>(llama), "the/file", "as nn::opt<Scheme, Activation>");
  io::require_kind<plain_model>(opt, "f");
}
