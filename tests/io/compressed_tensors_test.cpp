// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/compressed_tensors.hpp>

#include <zoqat/io/json.hpp>
#include <zoqat/quant/scheme_registry.hpp>

#include <doctest/doctest.h>
#include <support/deployed_model.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

model_shape shape(std::size_t hidden, rope_pairing rope = rope_pairing::half_split) {
  return {.hidden = hidden,
          .intermediate = 96,
          .layers = 2,
          .heads = 4,
          .kv_heads = 2,
          .head_size = 16,
          .vocabulary = 7,
          .positions = 9,
          .rope = rope,
          .tied_head = true};
}

// A reader of pack-quantized that shares nothing with the library but the container: the layout as compressed-tensors
// documents it, bit by bit.
struct reader {
  const io::safetensors_file& file;
  io::json weights;  // config_groups.group_0.weights

  [[nodiscard]] std::int64_t integer(const std::string& name, std::size_t i, std::size_t bytes) const {
    std::int64_t value = 0;
    std::memcpy(&value, file.at(name).data.data() + i * bytes, bytes);
    return value;
  }
  [[nodiscard]] float scale(const std::string& name, std::size_t i) const {
    const io::tensor_view& t = file.at(name);
    if (t.type == io::dtype::f32) {
      float value = 0;
      std::memcpy(&value, t.data.data() + i * 4, 4);
      return value;
    }
    REQUIRE(t.type == io::dtype::f16);
    const auto bits = static_cast<int>(integer(name, i, 2));
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    REQUIRE(exponent != 31);
    const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return static_cast<float>(bits & 0x8000 ? -size : size);
  }
  // Number `index` of `bits` bits in the words of a column: bit i of a row's text is bit i % 32 of word i / 32.
  [[nodiscard]] int code(const std::string& name, std::size_t index, std::size_t first_word,
                         std::size_t words_apart) const {
    const auto bits = weights["num_bits"].get<std::size_t>();
    int value = 0;
    for (std::size_t b = 0; b != bits; ++b) {
      const std::size_t at = index * bits + b;
      const std::int64_t word = integer(name, first_word + at / 32 * words_apart, 4);
      value |= static_cast<int>(word >> at % 32 & 1) << b;
    }
    return value - (1 << (bits - 1));
  }
  [[nodiscard]] matrix<float> dequantized(const std::string& layer) const {
    const auto bits = weights["num_bits"].get<std::size_t>();
    const io::tensor_view &packed = file.at(layer + ".weight_packed"), &scales = file.at(layer + ".weight_scale");
    REQUIRE(file.at(layer + ".weight_shape").type == io::dtype::i64);
    REQUIRE(packed.type == io::dtype::i32);
    const auto rows = static_cast<std::size_t>(integer(layer + ".weight_shape", 0, 8));
    const auto cols = static_cast<std::size_t>(integer(layer + ".weight_shape", 1, 8));
    const std::size_t group = weights["strategy"] == "channel" ? cols : weights["group_size"].get<std::size_t>();
    const std::size_t groups = cols / group, words = (cols * bits + 31) / 32;
    REQUIRE(packed.shape == std::vector<std::size_t>{rows, words});
    REQUIRE(scales.shape == std::vector<std::size_t>{rows, groups});
    const bool symmetric = weights["symmetric"];
    REQUIRE((file.find(layer + ".weight_zero_point") == nullptr) == symmetric);
    matrix<float> values(rows, cols);
    for (std::size_t r = 0; r != rows; ++r)
      for (std::size_t c = 0; c != cols; ++c) {
        const std::size_t g = c / group;
        const int zero = symmetric ? 0 : code(layer + ".weight_zero_point", r, g, groups);
        const int number = code(layer + ".weight_packed", c, r * words, 1) - zero;
        values(r, c) = static_cast<float>(number) * scale(layer + ".weight_scale", r * groups + g);
      }
    return values;
  }
};

template <class Scheme>
void save(const temporary_folder& folder, deployed_model<Scheme>& model) {
  io::save_quantized(folder / "trained.safetensors", model, "the scheme");
}

}  // namespace

TEST_CASE("what was trained is packed without loss: an independent reader finds the values that codes stand for") {
  const auto check = [&]<class Scheme>(int bits, bool symmetric, std::size_t group, io::dtype type,
                                       rope_pairing rope) {
    CAPTURE(bits);
    CAPTURE(group);
    const temporary_folder folder;
    const random_source source(shape(64, rope));
    deployed_model<Scheme> model(source);
    save(folder, model);
    const io::safetensors_file trained(folder / "trained.safetensors");
    io::export_pack_quantized<Scheme>(trained).write(folder / "out");
    const io::json config = io::read_json(folder / "out/config.json"), &q = config["quantization_config"];
    CHECK(q["quant_method"] == "compressed-tensors");
    CHECK(q["format"] == "pack-quantized");
    CHECK(q["ignore"] == io::json{"lm_head"});
    CHECK(config["torch_dtype"] == (type == io::dtype::f16 ? "float16" : "float32"));
    const io::json& weights = q["config_groups"]["group_0"]["weights"];
    CHECK(weights["num_bits"] == bits);
    CHECK(weights["symmetric"] == symmetric);
    CHECK(weights["strategy"] == (group == 0 ? "channel" : "group"));
    CHECK(weights["group_size"] == (group == 0 ? io::json() : io::json(group)));
    const io::safetensors_file file(folder / "out/model.safetensors");
    const reader read{file, weights};
    std::size_t negative = 0;
    for (const auto& [layer, packed] : model.packed) {
      CHECK(file.find(layer + ".weight") == nullptr);
      CHECK(file.at(layer + ".weight_scale").type == type);
      const matrix<float> found = read.dequantized(layer), wanted = quant::dequantize(packed);
      REQUIRE(found.rows() == wanted.rows());
      REQUIRE(found.cols() == wanted.cols());
      const bool moves =
          rope == rope_pairing::interleaved && (layer.ends_with("q_proj") || layer.ends_with("k_proj"));
      for (std::size_t r = 0; r != found.rows(); ++r) {
        const std::size_t in_head = r % 16, from = moves ? r - in_head + in_head % 8 * 2 + in_head / 8 : r;
        for (std::size_t c = 0; c != found.cols(); ++c) REQUIRE(found(r, c) == wanted(from, c));
        negative += read.scale(layer + ".weight_scale", r * file.at(layer + ".weight_scale").shape[1]) < 0;
      }
    }
    CHECK((negative > 0) == symmetric);  // of grids that reach further up than down
    CHECK(file.at("model.norm.weight").type == type);
  };
  using quant::standard_schemes;
  constexpr auto halves = rope_pairing::half_split, neighbors = rope_pairing::interleaved;
  check.operator()<standard_schemes::scheme_of<"w4a16">>(4, false, 0, io::dtype::f32, neighbors);
  check.operator()<standard_schemes::scheme_of<"q4_0">>(4, true, 32, io::dtype::f16, halves);
  using any_zero = quant::weight<4, quant::group<32>, quant::asymmetric, quant::clip::codes, quant::fp16_scale>;
  check.operator()<quant::scheme<any_zero>>(4, false, 32, io::dtype::f16, halves);
  check.operator()<standard_schemes::scheme_of<"q8_0">>(8, true, 32, io::dtype::f16, neighbors);
}

TEST_CASE("what the format cannot say is refused: scales that would be rounded, groups that do not divide rows") {
  const temporary_folder folder;
  const random_source source(shape(64));
  using fine = quant::standard_schemes::scheme_of<"w4a16">;
  deployed_model<fine> model(source);
  save(folder, model);
  const io::safetensors_file trained(folder / "trained.safetensors");
  for (const io::dtype type : {io::dtype::f16, io::dtype::bf16})
    check_mentions(
        message_of<value_error>([&] { io::export_pack_quantized<fine>(trained, type).write(folder / "out"); }),
        "trained.safetensors", "_proj.weight", "scale of row", io::dtype_name(type), "q8_0");
  CHECK(!std::filesystem::exists(folder / "out/config.json"));

  using grouped = quant::standard_schemes::scheme_of<"q4_0">;
  const random_source ragged(shape(48));
  deployed_model<grouped> other(ragged);
  save(folder, other);
  const io::safetensors_file file(folder / "trained.safetensors");
  check_mentions(message_of<value_error>([&] { static_cast<void>(io::export_pack_quantized<grouped>(file)); }),
                 "trained.safetensors", "_proj.weight", "rows of 48", "groups of 32");
  static_assert(!io::is_pack_quantized<quant::standard_schemes::scheme_of<"w3a16">::weight_type>);
  static_assert(!io::is_pack_quantized<quant::standard_schemes::scheme_of<"q6_k">::weight_type>);
  static_assert(!io::is_pack_quantized<quant::standard_schemes::scheme_of<"q4_1">::weight_type>);  // minima
}
