// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/llama2c.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_llama.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

static_assert(io::tensor_source<io::llama2c_checkpoint>);

namespace {

std::string failure(std::string_view file) {
  const auto bytes = exact_bytes(file);
  return message_of<io_error>([&] { static_cast<void>(io::parse_llama2c(bytes, "the/file")); });
}

std::string with_field(std::size_t field, std::int32_t value, bool tied = true) {
  auto file = tiny_llama2c(tied);
  std::memcpy(file.data() + field * sizeof(value), &value, sizeof(value));
  return file;
}

std::vector<float> values(const io::tensor_view* tensor) {
  REQUIRE(tensor != nullptr);
  std::vector<float> result(io::element_count(*tensor));
  io::copy_to_f32(*tensor, result);
  return result;
}

}  // namespace

TEST_CASE("tensors lie where llama2.c puts them") {
  const temporary_folder folder;
  for (const bool tied : {true, false}) {
    CAPTURE(tied);
    write_file(folder / "model.bin", tiny_llama2c(tied));
    io::llama2c_checkpoint opened(folder / "model.bin");
    const io::llama2c_checkpoint model(std::move(opened));
    auto expected = tiny_shape(tied);
    expected.rope = rope_pairing::interleaved;
    CHECK(model.shape() == expected);
    CHECK(model.path() == folder / "model.bin");
    io::require_complete(model);

    // Place of the first float of layer 1; kinds follow each other, each for all three layers.
    struct {
      const char* name;
      int first;
      std::size_t size;
    } const places[]{
        {"input_layernorm", 40 + 8, 8},     {"self_attn.q_proj", 64 + 64, 64},
        {"self_attn.k_proj", 256 + 32, 32}, {"self_attn.v_proj", 352 + 32, 32},
        {"self_attn.o_proj", 448 + 64, 64}, {"post_attention_layernorm", 640 + 8, 8},
        {"mlp.gate_proj", 664 + 48, 48},    {"mlp.down_proj", 808 + 48, 48},
        {"mlp.up_proj", 952 + 48, 48},
    };
    for (const auto& place : places) {
      CAPTURE(place.name);
      const auto found = values(model.find(fmt::format("model.layers.1.{}.weight", place.name)));
      CHECK(found.size() == place.size);
      CHECK(found.front() == static_cast<float>(place.first));
    }
    CHECK(values(model.find("model.embed_tokens.weight")).front() == 0);
    CHECK(values(model.find("model.norm.weight")).front() == 1096);
    const auto head = values(model.find("lm_head.weight"));
    CHECK(head.front() == (tied ? 0 : 1096 + 8 + 14));
    CHECK(head.size() == 40);
    CHECK(model.find("model.layers.3.mlp.up_proj.weight") == nullptr);
    CHECK(model.find("freq_cis") == nullptr);
  }
}

TEST_CASE("a file that is too short or too long is refused") {
  for (const bool tied : {true, false}) {
    const auto file = tiny_llama2c(tied);
    check_mentions(failure(""), "the/file", "too short for the header of a llama2.c checkpoint: 0 bytes");
    check_mentions(failure(file.substr(0, 27)), "checkpoint: 27 bytes");
    check_mentions(failure(file.substr(0, 28)), "model.embed_tokens.weight", "ends 160 bytes too early");
    check_mentions(failure(file.substr(0, file.size() - 1)), tied ? "freq_cis" : "lm_head.weight",
                   "ends 1 byte too early");
    check_mentions(failure(file + "x"), "the/file", "followed by 1 byte");
  }
}

TEST_CASE("sizes that make no model are refused before anything is computed from them") {
  const char* const names[]{"dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "seq_len"};
  for (std::size_t field = 0; field != 7; ++field) {
    CAPTURE(names[field]);
    check_mentions(failure(with_field(field, 0)), "the/file", names[field], "0");
    if (field != 5) check_mentions(failure(with_field(field, -3)), "the/file", names[field], "-3");
    failure(with_field(field, std::numeric_limits<std::int32_t>::max()));
    failure(with_field(field, std::numeric_limits<std::int32_t>::min()));
    failure(with_field(field, 1 << 24));
  }
  check_mentions(failure(with_field(5, std::numeric_limits<std::int32_t>::min())), "2147483648");
  check_mentions(failure(with_field(3, 3)), "the/file", "dim 8", "3 heads");
  check_mentions(failure(with_field(4, 3)), "the/file", "3 key/value heads");
  check_mentions(failure(with_field(3, 8)), "the/file", "head size 1 is odd");
}

TEST_CASE("the largest sizes do not overflow") {
  std::string file;
  for (const std::int32_t value : {1 << 24, 1 << 24, 1 << 12, 1 << 22, 1 << 22, -(1 << 24), 1 << 24})
    append_value(file, value);
  check_mentions(failure(file), "the/file", "model.embed_tokens.weight", "ends 1125899906842624 bytes too early");
}

TEST_CASE("newer checkpoints of llama2.c are named and refused") {
  check_mentions(failure(with_field(0, 0x616b3432)), "the/file", "newer version", "only version 0");
}

TEST_CASE("every corruption of a checkpoint is rejected or loads harmlessly") {
  const corruptions file{tiny_llama2c(false), [](std::span<const std::byte> bytes) {
                           for (const auto& tensor : io::parse_llama2c(bytes, "the/file").tensors) values(&tensor);
                         }};
  CHECK(file.truncate().loaded == 0);
  CHECK(file.flip_bits(28).loaded == 0);
  CHECK(file.replace_bytes(28).loaded == 0);
}

TEST_CASE("a real checkpoint: stories260K") {
  const auto path = shared_data("models/stories260K/stories260K.bin");
  if (!path) return;
  const io::llama2c_checkpoint model(*path);
  CHECK(model.shape() == model_shape{.hidden = 64,
                                     .intermediate = 172,
                                     .layers = 5,
                                     .heads = 8,
                                     .kv_heads = 4,
                                     .head_size = 8,
                                     .vocabulary = 512,
                                     .positions = 512,
                                     .norm_epsilon = 1e-5f,
                                     .rope_theta = 1e4f,
                                     .rope = rope_pairing::interleaved,
                                     .tied_head = true});
  io::require_complete(model);
  std::size_t parameters = 0;
  for (const auto& tensor : model.tensors()) {
    const auto weights = values(&tensor);
    parameters += weights.size();
    for (const float w : weights) REQUIRE(std::abs(w) < 20);
  }
  CHECK(parameters == 260'032);
}
