// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/csv.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using records = std::vector<std::vector<std::string>>;

records read(std::string_view content, std::vector<std::string>* places = nullptr) {
  const temporary_folder folder;
  write_file(folder / "t.csv", content);
  records all;
  tasks::for_each_csv_record(folder / "t.csv", [&](const std::vector<std::string>& fields, const std::string& place) {
    all.push_back(fields);
    if (places) places->push_back(place.substr(place.rfind(':')));
  });
  return all;
}

}  // namespace

TEST_CASE("fields are plain or in quotes, which hold commas, line ends and quotes") {
  CHECK(read("a,b,c\n") == records{{"a", "b", "c"}});
  CHECK(read("a,,c") == records{{"a", "", "c"}});
  CHECK(read(",\n") == records{{"", ""}});
  CHECK(read("\"a,b\",\"c\"\"d\"\"\",\"\"\r\ne,f,g\r\n") == records{{"a,b", "c\"d\"", ""}, {"e", "f", "g"}});
  CHECK(read("\"one\ntwo\",x\n") == records{{"one\ntwo", "x"}});
  CHECK(read("say \"this\",x\n") == records{{"say \"this\"", "x"}});
  CHECK(read("\"ab\"cd,x\n") == records{{"abcd", "x"}});
  CHECK(read("\xEF\xBB\xBFx,y\n\n\nz,w") == records{{"x", "y"}, {"z", "w"}});
}

TEST_CASE("a record's place is the line that it begins in") {
  std::vector<std::string> places;
  read("a,b\n\"c\n\nd\",e\n\nf,\"g\"\nh,i", &places);
  CHECK(places == std::vector<std::string>{":1", ":2", ":6", ":7"});
}

TEST_CASE("a quotation mark without its partner, and records of far too many fields, are refused by line") {
  check_mentions(message_of<io_error>([] { read("a,b\nc,\"d\ne,f\n"); }), "t.csv:2", "no partner", "d\ne,f");
  check_mentions(message_of<io_error>([] { read("a\n" + std::string(64, ',')); }), "t.csv:2", "64");
  CHECK(read(std::string(63, ',')).front().size() == 64);
  check_mentions(message_of<io_error>([] { read(""); }), "t.csv", "empty");
}
