// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/benchmark.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using names = std::vector<std::string>;

/// A folder of tasks with two subjects of MMLU, RTE and GSM8K.
struct task_folder : temporary_folder {
  task_folder() {
    put("mmlu/test/astronomy_test.csv", "Where?,a,b,c,d,A\nWhen?,a,b,c,d,B\n");
    put("mmlu/dev/astronomy_dev.csv", "Who?,a,b,c,d,C\nWhat?,a,b,c,d,D\n");
    put("mmlu/test/world_religions_test.csv", "Why?,a,b,c,d,A\n");
    put("mmlu/dev/world_religions_dev.csv", "How?,a,b,c,d,C\n");
    put("rte/dev.tsv", "sentence1\tsentence2\tlabel\np\th\tentailment\n");
    put("gsm8k/test.jsonl", R"({"question": "1 + 1?", "answer": "#### 2"})");
  }
  void put(const std::string& name, std::string_view content) const {
    std::filesystem::create_directories((path() / name).parent_path());
    write_file(path() / name, content);
  }
};

template <class Item = tasks::choice_item>
std::vector<Item> read(const tasks::found_benchmark& from, std::size_t count, std::size_t limit = 0) {
  return std::get<std::vector<Item>>(tasks::read_benchmark(from, count, limit));
}

}  // namespace

TEST_CASE("a task that comes twice is refused, by whatever way") {
  const task_folder folder;
  const auto failure = [&](const names& wanted) {
    return message_of<value_error>([&] { static_cast<void>(tasks::find_benchmarks(wanted, folder.path())); });
  };
  check_mentions(failure({"rte", "gsm8k", "rte"}), "rte: comes twice", "dev.tsv");
  check_mentions(failure({"mmlu", "mmlu_astronomy"}), "mmlu_astronomy: comes twice", "astronomy_test.csv");
  folder.put("mmlu/copy/astronomy_test.csv", "Where?,a,b,c,d,A\n");
  check_mentions(failure({"mmlu"}), "mmlu_astronomy: comes twice", "mmlu/copy/astronomy_test.csv",
                 "mmlu/test/astronomy_test.csv");
}

TEST_CASE("the questions of a file are not the examples before them") {
  const task_folder folder;
  folder.put("gsm8k/train.jsonl", R"({"question": "2 + 2?", "answer": "#### 4"})");
  const std::string of_training = "gsm8k=" + (folder / "gsm8k/train.jsonl").string();
  CHECK(!tasks::find_benchmarks(names{of_training}, "nowhere")[0].examples.has_value());
  CHECK(tasks::find_benchmarks(names{"gsm8k"}, folder.path())[0].examples == folder / "gsm8k/train.jsonl");
}

TEST_CASE("files are found by their names, and MMLU is as many subjects as there are") {
  const task_folder folder;
  const auto found = tasks::find_benchmarks(names{"rte", "mmlu"}, folder.path());
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "rte");
  CHECK(found[0].scored == folder / "rte/dev.tsv");
  CHECK(!found[0].examples.has_value());
  CHECK(!found[0].is_part());
  CHECK(found[1].name == "mmlu_astronomy");
  CHECK(found[1].examples == folder / "mmlu/dev/astronomy_dev.csv");
  CHECK(found[1].is_part());
  CHECK(found[2].name == "mmlu_world_religions");
  CHECK(tasks::find_benchmarks(names{"mmlu_world_religions"}, folder.path()).size() == 1);
  const std::string named = "piqa=" + (folder / "rte/dev.tsv").string();
  CHECK(tasks::find_benchmarks(names{named}, "nowhere")[0].scored == folder / "rte/dev.tsv");
  const std::string in_folder = "mmlu_astronomy=" + (folder / "mmlu").string();
  CHECK(tasks::find_benchmarks(names{in_folder}, "nowhere")[0].scored == folder / "mmlu/test/astronomy_test.csv");
}

TEST_CASE("examples and description go before the questions, of which a limit keeps the first") {
  const task_folder folder;
  const auto found = tasks::find_benchmarks(names{"mmlu_astronomy"}, folder.path());
  const std::string about = "The following are multiple choice questions (with answers) about astronomy.\n\n";
  const auto items = read(found[0], 2);
  REQUIRE(items.size() == 2);
  CHECK(items[1].prompt == about +
                               "Who?\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\nWhat?\nA. a\nB. b\nC. c\nD. d\nAnswer: D"
                               "\n\nWhen?\nA. a\nB. b\nC. c\nD. d\nAnswer:");
  CHECK(read(found[0], 0)[0].prompt == about + "Where?\nA. a\nB. b\nC. c\nD. d\nAnswer:");
  CHECK(read(found[0], 0, 1).size() == 1);
  CHECK(read(found[0], 0, 9).size() == 2);
}

TEST_CASE("what is not there is said, with how to name it") {
  const task_folder folder;
  const auto failure = [&]<class Error>(const names& wanted) {
    return message_of<Error>([&] { static_cast<void>(tasks::find_benchmarks(wanted, folder.path())); });
  };
  check_mentions(failure.operator()<value_error>({"pica"}), "'pica'", "piqa, arc_easy", "mmlu_SUBJECT");
  check_mentions(failure.operator()<io_error>({"boolq"}), "boolq", "val.jsonl or dev.jsonl", "boolq=FILE");
  check_mentions(failure.operator()<io_error>({"mmlu_law"}), "mmlu_law", "_test.csv", "=FOLDER");
  folder.put("rte/more/dev.tsv", "x");
  check_mentions(failure.operator()<io_error>({"rte"}), "rte/dev.tsv", "rte/more/dev.tsv", "rte=FILE");
  const auto gsm8k = tasks::find_benchmarks(names{"gsm8k"}, folder.path());
  check_mentions(message_of<io_error>([&] { read<tasks::answer_item>(gsm8k[0], 5); }), "gsm8k", "5 examples",
                 "test.jsonl");
  CHECK(read<tasks::answer_item>(gsm8k[0], 0).size() == 1);
  const auto few = tasks::find_benchmarks(names{"mmlu_astronomy"}, folder.path());
  check_mentions(message_of<io_error>([&] { read(few[0], 5); }), "astronomy_dev.csv", "5 examples", "holds 2");
}
