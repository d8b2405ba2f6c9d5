// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/opt_shape.hpp>

#include <zoqat/io/gguf/decode.hpp>
#include <zoqat/io/gguf/model_file.hpp>
#include <zoqat/io/gguf/opt_export.hpp>
#include <zoqat/io/tensor_source.hpp>

#include <doctest/doctest.h>
#include <support/deployed_model.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

model_shape opt_shape(activation_function activation, bool biases = true, bool tied = true) {
  model_shape shape{.hidden = 32,
                    .intermediate = 64,
                    .layers = 2,
                    .heads = 4,
                    .kv_heads = 4,
                    .head_size = 8,
                    .vocabulary = 7,
                    .positions = 5,
                    .norm_epsilon = 1e-5f,
                    .tied_head = tied,
                    .biases = biases};
  shape.kind = {model_family::opt, activation};
  return shape;
}

// A file and changes of it.
struct opt_file {
  gguf::metadata metadata;
  std::vector<gguf::tensor_info> tensors;
  std::vector<std::vector<std::byte>> bytes;

  explicit opt_file(const std::filesystem::path& path) {
    const gguf::file from(path);
    metadata = from.metadata();
    for (const gguf::tensor& t : from.tensors()) {
      tensors.push_back(t);
      bytes.emplace_back(t.data.begin(), t.data.end());
    }
  }
  [[nodiscard]] std::size_t index(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::find(tensors, name, &gguf::tensor_info::name) - tensors.begin());
  }
  [[nodiscard]] float* values(std::string_view name) { return reinterpret_cast<float*>(bytes[index(name)].data()); }
  void set_all(std::string_view suffix, float value) {
    for (const gguf::tensor_info& t : tensors)
      if (t.name.ends_with(suffix)) std::fill_n(values(t.name), t.shape[0], value);
  }
  void erase(std::string_view name) {
    bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(index(name)));
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(index(name)));
  }
  void set(std::string_view key, const gguf::value& value) {
    std::erase_if(metadata, [&](const auto& entry) { return entry.first == key; });
    metadata.emplace_back(key, value);
  }
  void call_it(std::string_view architecture) {
    for (auto& [key, value] : metadata)
      if (key.starts_with("mpt.")) key = std::string(architecture) + key.substr(3);
    set("general.architecture", std::string(architecture));
  }
  void write(const std::filesystem::path& path) const {
    gguf::writer to(path, metadata, tensors);
    for (const auto& b : bytes) to.write(b);
    to.commit();
  }
};

// Of all tensors what is read is wanted(name, values).
void check_values(const gguf::model_file& found, const random_source& model,
                  const std::function<std::vector<float>(const std::string&, std::vector<float>)>& wanted) {
  for (const auto& [name, values] : model.values) {
    CAPTURE(name);
    const io::tensor_view* const view = found.find(name);
    REQUIRE(view != nullptr);
    std::vector<float> expected = values;
    if (name == "model.embed_positions.weight") std::fill_n(expected.begin(), 2 * 32, 0.0f);  // which nothing reads
    expected = wanted(name, expected);
    std::vector<float> read(values.size());
    found.read_f32(*view, 0, read);
    CHECK(read == expected);
    const std::size_t cols = view->shape.back();
    for (std::size_t row = 0; row != read.size() / cols; ++row) {
      std::vector<float> one(cols);
      found.read_f32(*view, row * cols, one);
      CHECK(std::ranges::equal(one, std::span(expected).subspan(row * cols, cols)));
    }
  }
}

}  // namespace

TEST_CASE("an OPT that was written as mpt is read with the numbers that it had, and so is the same as gpt2") {
  const temporary_folder folder;
  const auto same = [](const std::string&, std::vector<float> x) { return x; };
  for (const bool biases : {true, false})
    for (const activation_function activation : {activation_function::relu, activation_function::gelu_tanh}) {
      CAPTURE(biases);
      const model_shape shape = opt_shape(activation, biases, biases);
      const random_source model(shape);
      gguf::opt_export(model.source, {}).write(folder / "m.gguf", {});
      const gguf::model_file found(folder / "m.gguf");
      CHECK(found.shape() == shape);
      check_values(found, model, same);
      if (biases) CHECK(found.find("lm_head.weight") == found.find("model.embed_tokens.weight"));
      opt_file file(folder / "m.gguf");
      file.call_it("gpt2");
      file.write(folder / "g.gguf");
      const gguf::model_file other(folder / "g.gguf");
      CHECK(other.shape() == shape);
      check_values(other, model, same);
    }
}

TEST_CASE("of what is stored in blocks the numbers are those of the blocks, and what an engine divides by is gone") {
  const temporary_folder folder;
  const random_source model(opt_shape(activation_function::relu));
  for (const tensor_type type : {tensor_type::f16, tensor_type::q8_0, tensor_type::q4_1}) {
    gguf::opt_export(model.source, {.weights = type, .embeddings = tensor_type::f16}).write(folder / "m.gguf", {});
    const gguf::model_file found(folder / "m.gguf");
    check_values(found, model, [&](const std::string& name, std::vector<float> x) {
      const std::size_t cols = found.find(name)->shape.back();
      if (x.size() == cols || name == "model.embed_positions.weight") return x;
      const bool up = name.find("fc1") != name.npos;
      const gguf::tensor_info row{"row", name == "model.embed_tokens.weight" ? tensor_type::f16 : type, {cols}};
      std::vector<std::byte> bytes(*gguf::checked_bytes(row));
      for (std::size_t at = 0; at != x.size(); at += cols) {
        const auto values = std::span(x).subspan(at, cols);
        for (float& v : values) v *= up ? 4096 : 1;
        gguf::round_row(row.type, values, bytes);
        gguf::decode({row, bytes}, 0, values, "row");
        for (float& v : values) v /= up ? 4096 : 1;
      }
      return x;
    });
  }
}

TEST_CASE("what no OPT has is refused by name") {
  const temporary_folder folder;
  gguf::opt_export(random_source(opt_shape(activation_function::relu)).source, {}).write(folder / "m.gguf", {});
  const auto failure = [&](const std::function<void(opt_file&)>& change) {
    opt_file file(folder / "m.gguf");
    change(file);
    file.write(folder / "bad.gguf");
    return message_of<io_error>([&] { static_cast<void>(gguf::model_file(folder / "bad.gguf")); });
  };
  check_mentions(failure([](auto& f) { f.set("mpt.attention.max_alibi_bias", 8.0f); }), "bad.gguf",
                 "mpt.attention.max_alibi_bias is 8", "ALiBi");
  check_mentions(failure([](auto& f) { f.set("mpt.attention.clamp_kqv", 6.0f); }), "clamp_kqv is 6", "clamped");
  check_mentions(failure([](auto& f) { f.set("mpt.attention.head_count_kv", std::uint32_t{2}); }), "head_count_kv",
                 "2 heads", "beside 4");
  check_mentions(failure([](auto& f) { f.set("mpt.attention.head_count", std::uint32_t{5}); }), "32 channels",
                 "5 heads");
  check_mentions(failure([](auto& f) { f.set("mpt.attention.head_count", std::uint32_t{0}); }), "0 heads");
  check_mentions(failure([](auto& f) { f.set("mpt.attention.layer_norm_epsilon", 0.0f); }), "epsilon");
  check_mentions(failure([](auto& f) { f.set("mpt.context_length", std::uint32_t{6}); }), "position_embd.weight",
                 "[5, 32], but [6, 32]");
  check_mentions(failure([](auto& f) { f.erase("position_embd.weight"); }), "no tensor 'position_embd.weight'");
  check_mentions(failure([](auto& f) { f.erase("blk.1.attn_norm.bias"); }), "no tensor 'blk.1.attn_norm.bias'");
  check_mentions(failure([](auto& f) { f.values("blk.1.ffn.act.scales")[3] = 2048; }), "'blk.1.ffn.act.scales'",
                 "element 3 is 2048", "4096");
  check_mentions(failure([](auto& f) { f.erase("blk.1.ffn.act.scales"); }), "no tensor 'blk.1.ffn.act.scales'");
  check_mentions(failure([](auto& f) { f.set_all("act.scales", 3000); }), "3000", "powers of two");
  check_mentions(failure([](auto& f) { f.set_all("act.scales", 16); }), "divides activations by 16", "256");
  check_mentions(failure([](auto& f) {
                   f.tensors.push_back({"blk.0.attn_q_norm.weight", tensor_type::f32, {8}});
                   f.bytes.emplace_back(32);
                 }),
                 "'blk.0.attn_q_norm.weight'", "no part");
  check_mentions(failure([](auto& f) {
                   f.tensors[f.index("blk.0.attn_qkv.bias")].type = tensor_type::q8_0;
                   f.bytes[f.index("blk.0.attn_qkv.bias")].resize(3 * 34);
                 }),
                 "blk.0.attn_qkv.bias", "Q8_0", "F32, F16 and BF16");

  opt_file plain(folder / "m.gguf");
  plain.set_all("act.scales", 1);  // then it is the GELU that counts
  plain.write(folder / "gelu.gguf");
  CHECK(gguf::model_file(folder / "gelu.gguf").shape().kind.activation == activation_function::gelu_tanh);
}
