// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/label.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <array>
#include <string_view>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("labels are found among their names, and others named with all that there are") {
  constexpr std::array<std::string_view, 3> names{"yes", "no", "maybe"};
  CHECK(tasks::index_of_label("yes", names, "f:1") == 0);
  CHECK(tasks::index_of_label("maybe", names, "f:1") == 2);
  check_mentions(message_of<io_error>([&] { static_cast<void>(tasks::index_of_label("Yes", names, "f:1")); }), "f:1",
                 "\"Yes\"", "yes, no, maybe");
}

TEST_CASE("a label may be a number or a text") {
  const io::json number = 3, text = "3", fraction = 0.5;
  CHECK(tasks::label_text({number, "f"}) == "3");
  CHECK(tasks::label_text({text, "f"}) == "3");
  check_mentions(message_of<io_error>([&] {
                   static_cast<void>(tasks::label_text({fraction, "f.label"}));
                 }),
                 "f.label", "0.5");
}
