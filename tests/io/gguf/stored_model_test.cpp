// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/stored_model.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/memory_source.hpp>
#include <support/random_model.hpp>
#include <zoqat/eval/perplexity.hpp>
#include <zoqat/io/gguf/opt_export.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/train/objective.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;
using gguf::tensor_type;

namespace {

using stored_llama = nn::llama<nn::stored<gguf::stored_matrix>>;

constexpr model_shape shape{.hidden = 256,
                            .intermediate = 256,
                            .layers = 2,
                            .heads = 4,
                            .kv_heads = 2,
                            .head_size = 64,
                            .vocabulary = 24,
                            .positions = 16,
                            .norm_epsilon = 1e-5f,
                            .rope_theta = 1e4f,
                            .rope = rope_pairing::interleaved,
                            .tied_head = false,
                            .biases = linear_biases::of_queries_keys_values()};
// Two norms and three biases of each layer, and the last norm.
constexpr std::size_t vectors = 2 * (2 + 3) + 1;
bool is_vector(std::string_view name) { return name.find("norm") != name.npos || name.ends_with(".bias"); }

// A file whose fourteen matrices are of as many types, with metadata and a tensor that nothing here reads.
struct mixed_file {
  gguf::metadata metadata = gguf::llama_metadata(shape);
  std::vector<gguf::tensor_info> tensors;
  std::map<std::string, std::vector<std::byte>> bytes;

  mixed_file() {
    metadata.insert(metadata.begin() + 2, {"general.file_type", std::uint32_t{15}});
    metadata.emplace_back("somebody.else", std::vector<std::string>{"a", "", "c"});
    metadata.emplace_back("general.quantization_version", std::uint32_t{2});
    const std::vector<tensor_type> types{tensor_type::f16,  tensor_type::q8_0, tensor_type::q6_k, tensor_type::q5_k,
                                         tensor_type::q5_1, tensor_type::q5_0, tensor_type::q4_k, tensor_type::q4_1,
                                         tensor_type::q4_0, tensor_type::q3_k, tensor_type::q2_k, tensor_type::q2_0,
                                         tensor_type::f32,  tensor_type::bf16};
    std::size_t matrices = 0;
    for (const io::llama_entry& entry : io::llama_tensors)
      for (std::size_t layer = 0; layer != io::count_of(entry.tensor, shape); ++layer) {
        const auto extents = io::shape_of(entry.tensor, shape);
        const bool embedding = entry.tensor == io::llama_tensor::embedding || entry.tensor == io::llama_tensor::head;
        const tensor_type type = extents.size() == 1 ? tensor_type::f32
                                 : embedding         ? tensor_type::q6_k
                                                     : types[matrices++ % types.size()];
        add({gguf::file_name_of(entry.tensor, layer), type, extents});
      }
    std::ranges::reverse(tensors);  // an order of its own
    tensors.insert(tensors.begin() + 3, {"somebody.elses", tensor_type::iq4_nl, {32}});
    bytes["somebody.elses"].assign(18, std::byte{7});
  }
  void add(const gguf::tensor_info& info) {
    std::vector<float> x = random_floats(*io::checked_product(info.shape), static_cast<std::uint32_t>(tensors.size()),
                                         info.shape.size() == 1 ? 0.3f : 0.1f);
    for (float& v : x) v += info.shape.size() == 1 ? 1.0f : 0.0f;
    auto& to = bytes[info.name];
    to.resize(*gguf::checked_bytes(info));
    gguf::round_row(info.type, x, to);
    tensors.push_back(info);
  }
  void write(const std::filesystem::path& path) const {
    gguf::writer to(path, metadata, tensors);
    for (const gguf::tensor_info& t : tensors) to.write(bytes.at(t.name));
    to.commit();
  }
  [[nodiscard]] gguf::tensor_info& tensor(std::string_view name) {
    return *std::ranges::find(tensors, name, &gguf::tensor_info::name);
  }
};

nn::storage_plan plan_of(std::vector<std::string> weights = {}, bool steps = true, bool norms = true) {
  return {.trained = std::move(weights), .fixed_quantization = !steps, .norms = norms};
}

eval::chunks corpus() {
  eval::chunks chunks;
  for (std::uint32_t i = 0; i != 6; ++i) chunks.push_back(random_tokens(9, shape.vocabulary, i));
  return chunks;
}

template <class Model>
double loss_of(Model& model) {
  sequential threads;
  nn::workspace work;
  return eval::cross_entropy(model, corpus(), threads, work).mean();
}

// Some steps of training, as large as a test needs.
template <class Model>
void take_steps(Model& model) {
  thread_pool threads(2);
  const eval::chunks text = corpus();
  auto loss = train::cross_entropy(model, text, threads, {.batch = 4});
  const zo::estimator<zo::central, zo::rademacher> estimator{.epsilon = per_group<float>::all(1e-2f),
                                                             .micro_batches = 2};
  per_group<float> rates = per_group<float>::all(1e-3f);
  rates.weight = 1;
  zo::sgd<> optimizer{rates};
  train::run(model, loss, estimator, optimizer, {0, 3}, threads);
}

// The tensors whose bytes differ. What files begin with must be the same, and how long they are.
std::vector<std::string> differences(const std::filesystem::path& a, const std::filesystem::path& b) {
  const io::mapped_file one(a), other(b);
  const gguf::content was = gguf::parse(one.bytes(), "one"), is = gguf::parse(other.bytes(), "other");
  const auto header = static_cast<std::size_t>(was.tensors.front().data.data() - one.bytes().data());
  CHECK(one.bytes().size() == other.bytes().size());
  CHECK(std::ranges::equal(one.bytes().first(header), other.bytes().first(header)));
  std::vector<std::string> names;
  for (std::size_t i = 0; i != was.tensors.size(); ++i)
    if (!std::ranges::equal(was.tensors[i].data, is.tensors[i].data)) names.push_back(was.tensors[i].name);
  return names;
}

gguf::model_file open(const std::filesystem::path& path) {
  return gguf::model_file(path, io::unused_tensors::ignored);
}

}  // namespace

TEST_CASE("a model computes what its file does, and a file that nothing trained in is written byte by byte") {
  const temporary_folder folder;
  mixed_file().write(folder / "m.gguf");
  const gguf::model_file source = open(folder / "m.gguf");
  for (const auto& plan : {plan_of(), plan_of({"*"})}) {
    auto model = gguf::load_stored<stored_llama>(source, plan);
    auto floats = io::load<nn::llama<quant::full_precision>>(source);
    CHECK(loss_of(model) == loss_of(floats));
    gguf::write_stored(folder / "same.gguf", source, model);
    CHECK(read_file(folder / "same.gguf") == read_file(folder / "m.gguf"));
  }
}

TEST_CASE("what was trained is read from the new file bit by bit, and all else is as it was") {
  const temporary_folder folder;
  mixed_file().write(folder / "m.gguf");
  const gguf::model_file source = open(folder / "m.gguf");
  auto model = gguf::load_stored<stored_llama>(source, plan_of({"*.mlp.up_proj", "*.v_proj"}));
  const double before = loss_of(model);
  take_steps(model);
  const double trained = loss_of(model);
  CHECK(trained != before);
  gguf::write_stored(folder / "new.gguf", source, model);
  CHECK(loss_of(model) == trained);  // deployed
  const gguf::model_file written = open(folder / "new.gguf");
  auto floats = io::load<nn::llama<quant::full_precision>>(written);
  CHECK(loss_of(floats) == trained);

  std::vector<std::string> wanted;  // norms, biases, and matrices that have steps or whose weights train
  for (const gguf::tensor& t : source.file().tensors()) {
    const bool floating = t.type == tensor_type::f32 || t.type == tensor_type::f16 || t.type == tensor_type::bf16;
    const bool chosen = t.name.find("ffn_up") != t.name.npos || t.name.find("attn_v") != t.name.npos;
    if (is_vector(t.name) || (t.name.starts_with("blk.") && (!floating || chosen))) wanted.push_back(t.name);
  }
  CHECK(differences(folder / "m.gguf", folder / "new.gguf") == wanted);
  CHECK(wanted.size() == vectors + 11);  // of the fourteen types three are floats, none of them chosen

  for (const gguf::tensor& was : source.file().tensors())
    gguf::with_block(was.type, [&]<gguf::block B>() {
      if (!was.name.starts_with("blk.")) return;
      const gguf::tensor& is = *written.file().find(was.name);
      std::size_t moved = 0;
      for (std::size_t at = 0; at != was.data.size(); at += sizeof(B)) {
        B x, y;
        std::memcpy(&x, was.data.data() + at, sizeof(B));
        std::memcpy(&y, is.data.data() + at, sizeof(B));
        for (std::size_t i = 0; i != B::elements; ++i) moved += std::size_t{x.code(i) != y.code(i)};
      }
      CAPTURE(was.name);
      const bool chosen = was.name.find("ffn_up") != was.name.npos || was.name.find("attn_v") != was.name.npos;
      CHECK((moved != 0) == chosen);  // codes move where weights train, and nowhere else
    });
}

TEST_CASE("what does not train is left out of the parameters, and its tensors stay") {
  const temporary_folder folder;
  mixed_file().write(folder / "m.gguf");
  const gguf::model_file source = open(folder / "m.gguf");
  auto model = gguf::load_stored<stored_llama>(source, plan_of({}, true, false));
  model.for_each_parameter([](const parameter& p) { CHECK(p.group != parameter_group::norm); });
  take_steps(model);
  gguf::write_stored(folder / "new.gguf", source, model);
  const auto changed = differences(folder / "m.gguf", folder / "new.gguf");
  CHECK(changed.size() == 11);
  for (const std::string& name : changed) CHECK_FALSE(is_vector(name));

  auto norms = gguf::load_stored<stored_llama>(source, plan_of({}, false, true));
  take_steps(norms);
  gguf::write_stored(folder / "norms.gguf", source, norms);
  const auto of_norms = differences(folder / "m.gguf", folder / "norms.gguf");
  CHECK(of_norms.size() == vectors);
  for (const std::string& name : of_norms) CHECK(is_vector(name));
}

TEST_CASE("an OPT stays in its types too: queries, keys and values in one tensor, and what its ReLU is made of") {
  using stored_opt = nn::opt<nn::stored<gguf::stored_matrix>>;
  const temporary_folder folder;
  model_shape opt = shape;
  opt.kind = {model_family::opt, activation_function::relu};
  opt.kv_heads = opt.heads;
  opt.biases = true;
  opt.rope = rope_pairing::half_split;
  std::map<std::string, std::vector<float>> values;
  memory_source base{.shape_ = opt, .tensors = {}};
  io::for_each_tensor(opt, [&](const std::string& name, std::span<const std::size_t> extents) {
    auto& x = values[name] = random_floats(*io::checked_product(extents), static_cast<std::uint32_t>(values.size()),
                                           extents.size() == 1 ? 0.3f : 0.1f);
    base.tensors.push_back(
        {name, io::dtype::f32, {extents.begin(), extents.end()}, std::as_bytes(std::span(x)), "the/file"});
  });
  const auto loss = [&](auto& model) {
    sequential threads;
    nn::workspace work;
    return eval::cross_entropy(model, corpus(), threads, work).mean();
  };
  auto folder_model = io::load<nn::opt<quant::full_precision>>(base);
  gguf::opt_export(base, {}).write(folder / "f32.gguf", {});
  auto floats = io::load<nn::opt<quant::full_precision>>(gguf::model_file(folder / "f32.gguf"));
  CHECK(loss(floats) == loss(folder_model));

  for (const tensor_type type : {tensor_type::q4_k, tensor_type::q8_0, tensor_type::f16}) {
    if (is_slow_build && type == tensor_type::q8_0) continue;
    gguf::opt_export(base, {.weights = type, .embeddings = tensor_type::f16}).write(folder / "m.gguf", {});
    const gguf::model_file source(folder / "m.gguf");
    auto model = gguf::load_stored<stored_opt>(source, plan_of({"*.fc1", "*.k_proj"}));
    auto read = io::load<nn::opt<quant::full_precision>>(source);
    CHECK(loss(model) == loss(read));
    gguf::write_stored(folder / "same.gguf", source, model);
    CHECK(read_file(folder / "same.gguf") == read_file(folder / "m.gguf"));

    auto trained = gguf::load_stored<stored_opt>(source, plan_of({"*.fc1", "*.k_proj"}));
    take_steps(trained);
    const double after = loss(trained);
    CHECK(after != loss(read));
    gguf::write_stored(folder / "new.gguf", source, trained);
    auto again = io::load<nn::opt<quant::full_precision>>(gguf::model_file(folder / "new.gguf"));
    CHECK(loss(again) == after);
    std::vector<std::string> wanted;
    for (const gguf::tensor& t : source.file().tensors()) {
      const bool chosen = t.name.find("ffn_up") != t.name.npos || t.name.find("attn_qkv") != t.name.npos;
      const bool matrix = t.name.starts_with("blk.") && t.shape.size() == 2;
      if (matrix ? chosen || type != tensor_type::f16 : is_vector(t.name)) wanted.push_back(t.name);
    }
    CHECK(differences(folder / "m.gguf", folder / "new.gguf") == wanted);
  }
}

TEST_CASE("files that cannot train so are refused by what is wrong") {
  const temporary_folder folder;
  const auto failure = [&](const std::function<void(mixed_file&)>& change) {
    mixed_file file;
    change(file);
    file.write(folder / "bad.gguf");
    return message_of<io_error>(
        [&] { static_cast<void>(gguf::load_stored<stored_llama>(open(folder / "bad.gguf"), plan_of())); });
  };
  check_mentions(failure([](mixed_file& f) {
                   f.tensor("output_norm.weight").type = tensor_type::f16;
                   f.bytes["output_norm.weight"].resize(512);
                 }),
                 "bad.gguf", "output_norm.weight", "F16", "leave norms and biases out");
  mixed_file good;
  good.write(folder / "good.gguf");
  const gguf::model_file source = open(folder / "good.gguf");
  auto plan = plan_of();
  plan.adapters = {.layers = {"*.q_proj"}, .rank = 2};
  check_mentions(message_of<value_error>([&] { static_cast<void>(gguf::load_stored<stored_llama>(source, plan)); }),
                 "good.gguf", "no place for adapters");
  auto model = gguf::load_stored<stored_llama>(source, plan_of());
  model.make_prefix(2);
  check_mentions(message_of<value_error>([&] { gguf::write_stored(folder / "new.gguf", source, model); }),
                 "good.gguf", "no place for 'model.layers.0.", "beside its layers");
  CHECK(!std::filesystem::exists(folder / "new.gguf"));
  check_mentions(failure([](mixed_file& f) {
                   const std::uint16_t infinite = 0x7c00;
                   std::memcpy(f.bytes["blk.1.attn_q.weight"].data() + 34, &infinite, 2);
                 }),
                 "bad.gguf", "layers.1.self_attn.q_proj", "finite");
}
