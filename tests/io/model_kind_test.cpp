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

TEST_CASE("a kind is told in the words of files, without a type's name") {
  CHECK(io::text_of(llama) == "llama with silu");
  CHECK(io::text_of(opt) == "opt with relu");
  CHECK(io::text_of({model_family::opt, activation_function::gelu_erf}) == "opt with gelu_erf");
  CHECK(io::text_of(own) == "opt with an activation of its own");
}

TEST_CASE("a type of another family or activation is refused, with both") {
  io::require_kind<model<llama>>(llama, "f");
  io::require_kind<model<opt_gelu>>(opt_gelu, "f");
  check_mentions(failure<model<llama>>(opt), "the/file", "family opt with relu", "of llama with silu");
  check_mentions(failure<model<opt>>(llama), "family llama with silu", "of opt with relu");
  check_mentions(failure<model<opt>>(opt_gelu), "family opt with gelu_tanh", "of opt with relu");
  check_mentions(failure<model<opt>>(own), "family opt with an activation of its own", "of opt with relu");
}

TEST_CASE("an activation of one's own replaces any of the family; a type that says nothing takes all") {
  io::require_kind<model<own>>(opt, "f");
  io::require_kind<model<own>>(own, "f");
  check_mentions(failure<model<own>>(llama), "the/file", "of opt with an activation of its own");
  io::require_kind<plain_model>(opt, "f");
}
