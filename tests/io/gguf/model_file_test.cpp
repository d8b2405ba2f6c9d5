// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/model_file.hpp>

#include <zoqat/core/matrix.hpp>
#include <zoqat/io/gguf/round.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/model_source.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/gguf_blocks.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

constexpr model_shape shape{.hidden = 64,
                            .intermediate = 96,
                            .layers = 2,
                            .heads = 4,
                            .kv_heads = 2,
                            .head_size = 16,
                            .vocabulary = 11,
                            .positions = 9,
                            .norm_epsilon = 2e-6f,
                            .rope_theta = 5e3f,
                            .rope = rope_pairing::interleaved,
                            .tied_head = true};

// A file of random values, each tensor as another type, and changes of it.
struct llama_file {
  gguf::metadata metadata = gguf::llama_metadata(shape);
  std::vector<gguf::tensor_info> tensors;
  std::map<std::string, std::vector<float>> values;  // by canonical names: what is stored
  std::map<std::string, std::vector<std::byte>> bytes;

  llama_file() {
    const std::vector<tensor_type> types{tensor_type::f32,  tensor_type::f16,  tensor_type::bf16,
                                         tensor_type::q8_0, tensor_type::q4_1, tensor_type::q5_0};
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    for (const io::llama_entry& entry : io::llama_tensors)
      for (std::size_t layer = 0; layer != io::count_of(entry.tensor, shape); ++layer) {
        const auto extents = io::shape_of(entry.tensor, shape);
        const tensor_type type = extents.size() == 1 ? tensor_type::f32 : types[tensors.size() % types.size()];
        tensors.push_back({gguf::file_name_of(entry.tensor, layer), type, extents});
        std::vector<float> x(*io::checked_product(extents));
        for (float& v : x) v = normal(random);
        auto& stored = bytes[tensors.back().name];
        stored.resize(*gguf::checked_bytes(tensors.back()));
        gguf::round_row(type, x, stored);
        auto& found = values[io::name_of(entry.tensor, layer)];
        for (std::size_t at = 0; at != stored.size(); at += gguf::info_of(type).bytes) {
          const auto* const from = reinterpret_cast<const std::uint8_t*>(stored.data()) + at;
          if (gguf::info_of(type).elements > 1) {
            append_values(type, from, found);
          } else {
            const std::uint32_t half = std::uint32_t{from[0]} | std::uint32_t{from[1]} << 8;
            float v = 0;
            if (type == tensor_type::f32) std::memcpy(&v, from, 4);
            if (type == tensor_type::f16) v = gguf_blocks::half(from);
            if (type == tensor_type::bf16) v = std::bit_cast<float>(half << 16);
            found.push_back(v);
          }
        }
      }
  }
  void write(const std::filesystem::path& path) const {
    gguf::writer to(path, metadata, tensors);
    for (const gguf::tensor_info& t : tensors) to.write(bytes.at(t.name));
    to.commit();
  }
  void add_rope_factors(const std::vector<float>& factors) {
    tensors.push_back({"rope_freqs.weight", tensor_type::f32, {factors.size()}});
    const auto stored = std::as_bytes(std::span(factors));
    bytes["rope_freqs.weight"].assign(stored.begin(), stored.end());
  }
  template <class T>
  void set(std::string_view key, T value) {
    std::erase_if(metadata, [&](const auto& entry) { return entry.first == key; });
    metadata.emplace_back(key, value);
  }
};

struct plain_tensor {
  std::string name_;
  matrix<float> values_;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::size_t rows() const { return values_.rows(); }
  [[nodiscard]] std::size_t cols() const { return values_.cols(); }
  [[nodiscard]] matrix<float>& values() { return values_; }
};

}  // namespace

TEST_CASE("a model is read from its file: shape, and tensors of every type under canonical names") {
  const temporary_folder folder;
  const llama_file file;
  file.write(folder / "m.gguf");
  const io::model_source source = io::open_model(folder / "m.gguf");
  CHECK(source.shape() == shape);
  for (const auto& [name, wanted] : file.values) {
    CAPTURE(name);
    const io::tensor_view* const found = source.find(name);
    REQUIRE(found != nullptr);
    const bool vector = found->shape.size() == 1;
    plain_tensor t{name, matrix<float>(vector ? 1 : found->shape[0], found->shape.back())};
    io::load_tensor(source, t);
    CHECK(std::ranges::equal(t.values().flat(), wanted));
    // A row in the middle.
    std::vector<float> row(t.cols());
    source.read_f32(*found, t.rows() / 2 * t.cols(), row);
    CHECK(std::ranges::equal(row, t.values().row(t.rows() / 2)));
  }
  CHECK(source.find("lm_head.weight") == source.find("model.embed_tokens.weight"));  // tied
  CHECK(source.find("nothing") == nullptr);
}

TEST_CASE("what engines take for granted may be left out") {
  const temporary_folder folder;
  llama_file file;
  for (const std::string_view key : {"llama.rope.freq_base", "llama.rope.dimension_count", "llama.vocab_size"})
    std::erase_if(file.metadata, [&](const auto& entry) { return entry.first == key; });
  file.write(folder / "m.gguf");
  model_shape wanted = shape;
  wanted.rope_theta = 1e4f;
  CHECK(gguf::model_file(folder / "m.gguf").shape() == wanted);
}

TEST_CASE("frequencies are scaled as a factor or a tensor of factors says") {
  const temporary_folder folder;
  const auto scaling_of = [&](const std::function<void(llama_file&)>& change) {
    llama_file file;
    change(file);
    file.write(folder / "m.gguf");
    return gguf::model_file(folder / "m.gguf").shape().rope_scaling;
  };
  const rope_scaling linear{.how = rope_scaling::kind::linear, .factor = 4};
  CHECK(scaling_of([](auto& f) { f.set("llama.rope.scaling.factor", 4.0f); }) == linear);
  CHECK(scaling_of([](auto& f) { f.set("llama.rope.scale_linear", 4.0f); }) == linear);  // in older files
  CHECK(scaling_of([](auto& f) { f.add_rope_factors(std::vector<float>(8, 4.0f)); }) == linear);
  CHECK(scaling_of([](auto& f) { f.add_rope_factors(std::vector<float>(8, 1.0f)); }) == rope_scaling{});
  CHECK(scaling_of([](auto& f) {
          f.set("llama.rope.scaling.type", "none");
          f.set("llama.rope.scaling.factor", 4.0f);
        }) == rope_scaling{});
  model_shape scaled = shape;
  scaled.rope_scaling = {.how = rope_scaling::kind::llama3, .factor = 8, .original_positions = 600};
  CHECK(scaling_of([&](auto& f) { f.add_rope_factors(gguf::rope_factors(scaled)); }) == scaled.rope_scaling);
}

TEST_CASE("tensors that the model does not use are ignored when asked to") {
  const temporary_folder folder;
  llama_file file;
  file.tensors.push_back({"rope_factors_long.weight", tensor_type::f32, {8}});
  file.bytes["rope_factors_long.weight"].resize(32);
  file.write(folder / "m.gguf");
  check_mentions(message_of<io_error>([&] { static_cast<void>(io::open_model(folder / "m.gguf")); }), "ignored");
  CHECK(io::open_model(folder / "m.gguf", io::unused_tensors::ignored).shape() == shape);
}

TEST_CASE("files that are no such model are refused by what is wrong") {
  const temporary_folder folder;
  const auto failure = [&](const std::function<void(llama_file&)>& change) {
    llama_file file;
    change(file);
    file.write(folder / "m.gguf");
    return message_of<io_error>([&] { static_cast<void>(io::open_model(folder / "m.gguf")); });
  };
  check_mentions(failure([](auto& f) { f.set("general.architecture", "gemma"); }), "m.gguf", "'gemma'", "'llama'");
  check_mentions(failure([](auto& f) { f.set("general.type", "adapter"); }), "general.type", "adapter");
  check_mentions(failure([](auto& f) { f.set("llama.rope.scaling.type", "yarn"); }), "scaling", "'yarn'");
  check_mentions(failure([](auto& f) { f.set("llama.expert_count", std::uint32_t{8}); }), "expert_count", "8");
  check_mentions(failure([](auto& f) { f.set("split.count", std::uint16_t{2}); }), "split.count", "2 parts");
  check_mentions(failure([](auto& f) { f.set("llama.block_count", std::uint32_t{3}); }), "no tensor 'blk.2.");
  check_mentions(failure([](auto& f) { f.set("llama.block_count", std::uint32_t{1}); }), "'blk.1.", "no part");
  check_mentions(failure([](auto& f) { f.set("llama.block_count", "two"); }), "llama.block_count", "string");
  check_mentions(failure([](auto& f) { f.set("llama.feed_forward_length", std::uint32_t{128}); }),
                 "blk.0.ffn_gate.weight", "[96, 64], but [128, 64]");
  check_mentions(failure([](auto& f) { f.set("llama.attention.head_count", std::uint32_t{3}); }), "head_count",
                 "64 channels", "3 heads");
  check_mentions(failure([](auto& f) { f.set("llama.attention.head_count", std::uint32_t{0}); }), "0 heads");
  check_mentions(failure([](auto& f) { f.set("llama.rope.dimension_count", std::uint32_t{8}); }), "dimension_count",
                 "8", "heads of 16");
  check_mentions(failure([](auto& f) { f.set("llama.attention.layer_norm_rms_epsilon", 0.0f); }), "epsilon");
  check_mentions(failure([](auto& f) { f.metadata.erase(f.metadata.begin()); }), "lack 'general.architecture'");
  check_mentions(failure([](auto& f) {
                   f.tensors.push_back({"rope_factors_long.weight", tensor_type::f32, {8}});
                   f.bytes["rope_factors_long.weight"].resize(32);
                 }),
                 "'rope_factors_long.weight'", "no part");
  check_mentions(failure([](auto& f) {
                   f.tensors.push_back({"rope_freqs.weight", tensor_type::f32, {8}});
                   f.bytes["rope_freqs.weight"].resize(32);
                 }),
                 "'rope_freqs.weight'", "factors, such as 0");
  check_mentions(failure([](auto& f) { f.add_rope_factors({1, 1, 8, 8}); }), "'rope_freqs.weight'", "[4]", "[8]");
  check_mentions(failure([](auto& f) {
                   f.add_rope_factors(std::vector<float>(8, 4.0f));
                   f.set("llama.rope.scaling.factor", 2.0f);
                 }),
                 "llama.rope.scaling.factor", "2", "which of them");
  check_mentions(failure([](auto& f) {
                   f.tensors.push_back({"blk.0.attn_k.bias", tensor_type::f32, {32}});
                   f.bytes["blk.0.attn_k.bias"].resize(128);
                 }),
                 "'blk.0.attn_k.bias'", "no part");
  check_mentions(failure([](auto& f) {
                   f.tensors[0].type = tensor_type::iq4_nl;
                   f.bytes[f.tensors[0].name].resize(11 * 2 * 18);
                 }),
                 "token_embd.weight", "IQ4_NL");
}
