// SPDX-License-Identifier: Apache-2.0
#include <common/kept_start.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>

#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// A model of one tensor.
struct one_tensor {
  std::vector<float> values;
  zo::parameter_list parameters;
  explicit one_tensor(float value) : values(8, value) { parameters.add("x", values); }
};

zo::run_log log_of(one_tensor& start, const std::string& path) {
  return zo::run_log::create(path, {.start = zo::fingerprint(start.parameters)}, {.replace = true});
}

}  // namespace

TEST_CASE(
    "a start is kept before its log begins, again after a run that ended in between, and no other run's is lost") {
  const temporary_folder folder;
  const std::string log = folder / "run.zlog", path = programs::start_path_of(log);
  one_tensor start(1), other(2);
  programs::begin_start(start.parameters, log, true, false);
  const std::string kept = read_file(path);
  programs::begin_start(start.parameters, log, true, false);
  CHECK(read_file(path) == kept);
  check_mentions(message_of<io_error>([&] { programs::begin_start(other.parameters, log, true, false); }), path,
                 "the start of another run", "--overwrite");
  CHECK(read_file(path) == kept);
  programs::begin_start(other.parameters, log, true, true);
  CHECK(train::fingerprint_of_start(path) == zo::fingerprint(other.parameters));
  programs::begin_start(start.parameters, log, false, true);
  CHECK(folder.count() == 0);
}

TEST_CASE("a model becomes the start that is kept beside its log") {
  const temporary_folder folder;
  const std::string path = folder / "run.zlog";
  one_tensor start(1), other(2);
  const zo::run_log log = log_of(start, path);
  programs::restore_kept_start(other.parameters, log);  // there is none
  CHECK(other.values == std::vector<float>(8, 2));
  programs::begin_start(start.parameters, path, true, true);
  programs::restore_kept_start(other.parameters, log);
  CHECK(other.values == start.values);
  one_tensor third(3);
  programs::begin_start(third.parameters, path, true, true);
  check_mentions(message_of<io_error>([&] { programs::restore_kept_start(other.parameters, log); }),
                 "the start of another run", "run.zlog");
  CHECK(other.values == start.values);
}
