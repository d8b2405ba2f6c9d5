// SPDX-License-Identifier: Apache-2.0
#include <common/run_record.hpp>

#include <common/model_origin.hpp>

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/zo/log/run_log.hpp>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

namespace {

constexpr const char* table =
    R"({"zeroqat": {"perplexity": 14.5, "weight_bytes": 1000}, "full_precision": {"perplexity": 13.5, "weight_bytes": 9000},
        "reconstructed": {"perplexity": [16, 15.5], "weight_bytes": [1000, 1000]}, "rtn": {"perplexity": null, "weight_bytes": 1}})";

std::uint64_t write_log(const std::filesystem::path& path, std::uint64_t seed) {
  zo::run_log log = zo::run_log::create(path, {seed, 0, "scheme=w4a4\ndirections=2\n", "rademacher", 5, {}});
  for (std::uint32_t step = 0; step != 3; ++step) {
    zo::planned_update u;
    u.step = step, u.seed = seed;
    u.half_difference = {0.5f, 0.25f};
    log.append(u);
  }
  return log.chain();
}

// What io::save_quantized wants of a model: one matrix stands for all of them.
struct packed_model {
  using scheme = quant::scheme<quant::weight<4>>;
  std::vector<std::uint8_t> codes = std::vector<std::uint8_t>(5000);
  std::vector<float> scales = std::vector<float>(250, 1.0f);

  [[nodiscard]] static model_shape shape() {
    return {.hidden = 64,
            .intermediate = 32,
            .layers = 1,
            .heads = 2,
            .kv_heads = 1,
            .head_size = 32,
            .vocabulary = 5,
            .positions = 4};
  }
  template <class V>
  void visit(V&& v) {
    v.packed("model.layers.0.mlp.up_proj.codes", {5000}, std::span(codes));
    v.packed("model.layers.0.mlp.up_proj.scales", {250}, std::span(scales));
    v.packed("model.norm.weight", {250}, std::span(scales));
  }
};

std::string failure(const std::vector<std::filesystem::path>& files) {
  return message_of<io_error>([&] { static_cast<void>(read_runs(files)); });
}

}  // namespace

TEST_CASE("metrics are read by name, empty cells are none, and what a killed run left of a line is dropped") {
  const temporary_folder folder;
  write_file(folder / "m.csv", "step,loss,flip_rate\n0,2.5,\n1,-1e-3,0.125\n2,nan,\n3,1");
  bool cut = false;
  const metric_columns m = read_metrics(folder / "m.csv", &cut);
  CHECK(cut);
  CHECK(m.size() == 3);
  CHECK(m.at("step") == std::vector<double>{0, 1, 2});
  CHECK(m.at("loss")[1] == -1e-3);
  CHECK(std::isnan(m.at("loss")[2]));
  CHECK(std::isnan(m.at("flip_rate")[0]));
  CHECK(m.at("flip_rate")[1] == 0.125);
  const auto refused = [&](const char* text) {
    write_file(folder / "m.csv", text);
    return message_of<io_error>([&] { static_cast<void>(read_metrics(folder / "m.csv")); });
  };
  check_mentions(refused("a,b\n1,2\n"), "m.csv", "holds no metrics");
  check_mentions(refused("step,loss"), "m.csv", "holds no metrics");
  check_mentions(refused("step,loss\n0,1\n1\n"), "m.csv", "line 3", "1 cells");
  check_mentions(refused("step,loss\n0,1x\n"), "line 2", "'1x' is no loss");
  check_mentions(refused("step,loss\n"), "m.csv", "holds no step");
  check_mentions(refused("step,loss\n0,1"), "m.csv", "holds no step of a run: its first one is cut off");
  check_mentions(refused("step,loss\n-1,1\n"), "line 2", "step is -1");
  check_mentions(refused("step,loss\n0,1\n0,1\n"), "line 3", "step 0 does not follow step 0");
  check_mentions(refused("step,loss\n0.5,1\n"), "line 2", "step 0.5");
  check_mentions(refused("step,loss,perplexity\n0,1,-2\n"), "line 2", "perplexity is -2", "never negative");
  check_mentions(refused("step,loss,loss\n"), "comes twice");
}

TEST_CASE("files of one name are a run: its log, its metrics, its table and its model") {
  const temporary_folder folder;
  packed_model model;
  const auto save = [&](std::uint64_t chain) {
    io::save_quantized(folder / "a.safetensors", model, "w4a16g32",
                       {{"run_log_chain", fmt::format("{:016x}", chain)}, {"run_log_steps", "2"}});
  };
  save(write_log(folder / "a.zlog", 7));
  write_file(folder / "a.csv", "step,loss\n0,1\n");
  write_file(folder / "a.json", table);
  write_file(folder / "a.zlog.start", "anything");
  write_file(folder / "b.json", table);
  const std::vector<std::filesystem::path> files{folder / "a.zlog",        folder / "b.json",
                                                 folder / "a.csv",         folder / "a.json",
                                                 folder / "a.safetensors", folder / "a.zlog.start"};
  const auto runs = read_runs(files);
  REQUIRE(runs.size() == 2);
  const run_record& a = runs[0];
  CHECK(a.name == "a");
  CHECK(a.scheme == "w4a16g32");  // the model's word counts
  CHECK(a.settings.at("directions") == "2");
  CHECK(a.steps == 3);
  CHECK(a.planned_steps == 5);
  CHECK(a.passes_per_step() == 4);
  CHECK(a.kept == 2u);
  // Of queries and outputs, keys and values, and an MLP of three matrices; norms and embeddings do not count.
  CHECK(*a.bits == 8.0 * (5000 + 4 * 250) / (2 * 64 * 64 + 2 * 32 * 64 + 3 * 32 * 64));
  CHECK(!a.exported_bits);  // no type of GGUF has zero points of its kind
  REQUIRE(a.notes.size() == 2);
  check_mentions(a.notes[0], "3 of 5 steps");
  check_mentions(a.notes[1], "a.csv has 1 of the 3 steps of the log");
  REQUIRE(a.table.size() == 4);
  CHECK(a.table[0].name == "full_precision");
  CHECK(std::isnan(a.table[1].perplexity));
  CHECK(a.start()->perplexity == 15.5);  // the last of several
  CHECK(a.find("zeroqat")->weight_bytes == 1000);
  CHECK(a.find("none") == nullptr);
  CHECK(runs[1].settings.empty());
  CHECK(!runs[1].passes_per_step());
  CHECK(!runs[1].bits);

  std::filesystem::create_directory(folder / "other");
  write_file(folder / "other/b.json", table);
  const auto same = read_runs(std::vector<std::filesystem::path>{folder / "b.json", folder / "other/b.json"});
  CHECK(same[0].name == (folder / "b").native());  // the folders tell them apart
  CHECK(same[1].name == (folder / "other/b").native());

  save(1);
  check_mentions(failure(files), "a.safetensors", "another run", "a.zlog");
}

TEST_CASE("a log is not that of the metrics, the table or the GGUF file of another run") {
  const temporary_folder folder;
  const std::uint64_t chain = write_log(folder / "a.zlog", 7);
  const auto fails_with = [&](const char* name, std::string_view text) {
    write_file(folder / name, text);
    const std::string message = failure({folder / "a.zlog", folder / name});
    std::filesystem::remove(folder / name);
    return message;
  };
  const auto reads = [&](const char* name, std::string_view text) {
    write_file(folder / name, text);
    CHECK_NOTHROW((void)read_runs(std::vector<std::filesystem::path>{folder / "a.zlog", folder / name}));
    std::filesystem::remove(folder / name);
  };
  const auto lines_with = [](std::string_view line) {
    return fmt::format("step,loss,slope,agreed_power,power,gain_weight\n{}\n", line);
  };
  const auto with_loss = [&](std::string_view line) { return fails_with("a.csv", lines_with(line)); };
  reads("a.csv", lines_with("2,1,0.5,0,0,0"));
  check_mentions(with_loss("2,1,0.25,0,0,0"), "a.csv", "step 2", "slope is 0.25, but 0.5 in", "a.zlog", "two runs");
  check_mentions(with_loss("1,1,0.5,0,0,3"), "gain_weight is 3");
  check_mentions(with_loss("3,1,0.5,0,0,0"), "a.csv", "has step 3", "a.zlog");

  const auto figures = [](std::uint64_t of) {
    return fmt::format(R"({{"zeroqat": {{"perplexity": 2, "weight_bytes": 1, "run_log_chain": "{:016x}"}}}})", of);
  };
  reads("a.json", figures(chain));
  check_mentions(fails_with("a.json", figures(chain + 1)), "a.json", "another run", "a.zlog");
  check_mentions(fails_with("a.json", R"({"zeroqat": {"perplexity": -2, "weight_bytes": 1}})"), "a.json",
                 "\"perplexity\" is -2", "never negative");

  const auto save_gguf = [&](std::uint64_t of) {
    const io::gguf::metadata entries =
        with_origin({{"general.name", "m"}, {"zoqat.run_log_chain", "of an earlier run"}},
                    {{"run_log_chain", fmt::format("{:016x}", of)}, {"run_log_steps", "2"}});
    CHECK(entries.size() == 3);
    io::gguf::writer file(folder / "a.gguf", entries, {{"blk.0.ffn_up.weight", io::gguf::tensor_type::f32, {4, 8}}});
    file.write(std::vector<std::byte>(128));
    file.commit();
  };
  save_gguf(chain);
  const auto runs = read_runs(std::vector<std::filesystem::path>{folder / "a.zlog", folder / "a.gguf"});
  CHECK(runs[0].kept == 2u);
  CHECK(runs[0].bits == 32.0);
  save_gguf(chain + 1);
  check_mentions(failure({folder / "a.zlog", folder / "a.gguf"}), "a.gguf", "another run", "a.zlog");
}

TEST_CASE("other files, and two of a kind, are refused by name") {
  const temporary_folder folder;
  write_file(folder / "notes.txt", "text");
  check_mentions(failure({folder / "notes.txt"}), "notes.txt", "no file of a run");
  check_mentions(failure({folder / "none.zlog"}), "none.zlog", "there is no such file");
  check_mentions(failure({"/dev/zero"}), "/dev/zero", "is not a regular file");
  write_log(folder / "a.zlog", 1);
  write_log(folder / "a.log", 2);
  check_mentions(failure({folder / "a.zlog", folder / "a.log"}), "a.zlog", "a.log", "two of a kind");
  write_file(folder / "a.json", R"({"zero-shot": {"accuracy": 0.5}})");
  check_mentions(failure({folder / "a.json"}), "a.json", "\"perplexity\"");
  check_mentions(failure({folder / "none.csv"}), "none.csv");
}
