// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/llama_export.hpp>   // export_base, export_trained
#include <zoqat/io/gguf/mix.hpp>            // find_named_mix, rules_of
#include <zoqat/io/gguf/opt_export.hpp>     // opt_export
#include <zoqat/io/quantized_model.hpp>     // shape_of_quantized
#include <zoqat/quant/scheme_registry.hpp>  // standard_schemes
#include <zoqat/text/gguf_vocabulary.hpp>   // read_vocabulary_metadata

#include <common/plan.hpp>           // require_apart, require_space, require_writable
#include <common/settings_text.hpp>  // folder_of_model, parts_of
#include <zeroqat/export.hpp>
#include <zeroqat/export_folder.hpp>
#include <zeroqat/files.hpp>     // open_trained_model, trained_scheme_of
#include <zeroqat/settings.hpp>  // is_gguf

#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace zoqat::programs {

namespace gguf = io::gguf;

namespace {

gguf::tensor_type type_named(const char* option, const std::string& name) {
  const gguf::tensor_type_info* const info = gguf::find_tensor_type(std::string_view(name));
  require(info && gguf::is_encodable(info->type),
          "{}: '{}' is no type that is written; those are f32, f16, bf16, "
          "q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, q3_k, q2_k and q2_0",
          option, name);
  return info->type;
}

/// The tokenizer that is given, or what lies beside the model.
std::filesystem::path tokenizer_of(const export_settings& s) {
  if (!s.tokenizer.empty()) return s.tokenizer;
  if (is_gguf(s.model)) return s.model;
  const auto folder = folder_of_model(s.model);
  std::error_code ignored;
  for (const char* name : {"tokenizer.json", "vocab.json"})
    if (std::filesystem::exists(folder / name, ignored)) return folder / name;
  return folder / "tokenizer.bin";
}

/// What programs show as a file's type.
std::uint32_t file_type(gguf::tensor_type weights) {
  switch (weights) {
    case gguf::tensor_type::f32:
      return 0;
    case gguf::tensor_type::f16:
      return 1;
    case gguf::tensor_type::q4_0:
      return 2;
    case gguf::tensor_type::q4_1:
      return 3;
    case gguf::tensor_type::q8_0:
      return 7;
    case gguf::tensor_type::q5_0:
      return 8;
    case gguf::tensor_type::q5_1:
      return 9;
    case gguf::tensor_type::q2_k:
      return 10;
    case gguf::tensor_type::q3_k:
      return 11;
    case gguf::tensor_type::q4_k:
      return 14;
    case gguf::tensor_type::q5_k:
      return 16;
    case gguf::tensor_type::q6_k:
      return 18;
    case gguf::tensor_type::bf16:
      return 32;
    default:
      return 41;  // Q2_0
  }
}

/// The types of linear layers, and their bits in the mean.
template <class Export>
std::string mixed_text(const Export& model) {
  std::set<std::string_view> types;
  std::size_t weights = 0, bytes = 0;
  for (const gguf::tensor_info& t : model.tensors()) {
    if (t.shape.size() != 2 || !t.name.starts_with("blk.")) continue;
    types.insert(gguf::info_of(t.type).name);
    weights += *io::checked_product(t.shape), bytes += *gguf::checked_bytes(t);
  }
  return fmt::format("{} ({:.3f} bits each in the mean)", fmt::join(types, " and "),
                     8 * static_cast<double>(bytes) / static_cast<double>(weights));
}

template <class Export>
void write_file(const export_settings& s, const Export& model, gguf::tensor_type weights) {
  const std::uint32_t medium = gguf::find_named_mix(s.type) ? 1 : 0;  // which comes after what programs call small
  gguf::metadata more{{"general.file_type", file_type(weights) + medium},
                      {"general.quantization_version", std::uint32_t{2}}};
  for (auto& entry : text::read_vocabulary_metadata(tokenizer_of(s), model.shape().vocabulary))
    more.push_back(std::move(entry));
  std::uintmax_t bytes = 0;
  for (const gguf::tensor_info& tensor : model.tensors()) bytes += *gguf::checked_bytes(tensor);
  require_space(std::array<output_size, 1>{{{"--gguf", s.gguf, bytes}}});
  model.write(s.gguf, more);
  for (const std::string& note : model.notes()) fmt::print("{}\n", note);
  fmt::print(
      "{}: {} tensors, weights {}, embeddings {}, {} bytes\n", s.gguf, model.tensors().size(),
      !s.mix.empty() || gguf::find_named_mix(s.type)
          ? mixed_text(model)
          : fmt::format("{} ({} bits each)", gguf::info_of(weights).name, gguf::info_of(weights).bits_per_weight()),
      gguf::info_of(type_named("--embeddings", s.embeddings)).name, std::filesystem::file_size(s.gguf));
}

/// The type of weights that is asked for, or `by_default`.
gguf::tensor_type weights_of(const export_settings& s, gguf::tensor_type by_default) {
  if (const gguf::named_mix* const mix = gguf::find_named_mix(s.type)) return mix->weights;
  return s.type.empty() ? by_default : type_named("--type", s.type);
}

/// The rules of --mix, and after them those of a mix that --type names.
std::vector<gguf::type_rule> mix_of(const export_settings& s, std::size_t layers) {
  std::vector<gguf::type_rule> rules;
  for (const std::string& rule : parts_of(s.mix)) {
    const std::size_t equals = rule.find('=');
    require(equals != rule.npos && equals != 0, "--mix {}: '{}' is no PATTERN=TYPE, such as *.down_proj=q6_k", s.mix,
            rule);
    rules.push_back({rule.substr(0, equals), type_named("--mix", rule.substr(equals + 1))});
  }
  if (const gguf::named_mix* const mix = gguf::find_named_mix(s.type))
    for (gguf::type_rule& rule : gguf::rules_of(*mix, layers)) rules.push_back(std::move(rule));
  return rules;
}

gguf::export_types types_of(const export_settings& s, gguf::tensor_type weights, const model_shape& shape) {
  return {.weights = weights,
          .embeddings = type_named("--embeddings", s.embeddings),
          .fill_stream = s.fill_stream,
          .mix = mix_of(s, shape.layers)};
}

template <class Scheme>
void export_scheme(const export_settings& s, const std::string& scheme) {
  if constexpr (Scheme::smooths_inputs || Scheme::quantizes_attention) {
    fail_for_quantized_inputs(s.model, scheme, "engines that read GGUF");
  } else {
    const io::safetensors_file file = open_trained_model(s.model);
    const auto exact = gguf::type_of<typename Scheme::weight_type>();
    const gguf::tensor_type weights = weights_of(s, exact.value_or(gguf::tensor_type::f32));
    write_file(s, gguf::export_trained<Scheme>(file, types_of(s, weights, io::shape_of_quantized(file))), weights);
  }
}

/// Throws unless --gguf can be written and is none of the files that are read.
void require_destination(const export_settings& s) {
  require(is_gguf(s.gguf), "--gguf {}: give it a name that ends in .gguf, by which programs know such files", s.gguf);
  std::vector<named_file> inputs;
  for (named_file& file : files_at("--model", s.model))
    if (file.path == s.model || !is_gguf(file.path)) inputs.push_back(std::move(file));
  inputs.push_back({"--tokenizer", tokenizer_of(s)});
  inputs.push_back({"--eval", s.eval});
  std::erase_if(inputs, [](const named_file& file) { return file.path.empty(); });
  const std::array<named_file, 1> outputs{{{"--gguf", s.gguf}}};
  require_apart(outputs, inputs);
  require_writable(outputs);
}

void export_gguf(const export_settings& s) {
  const std::string scheme = trained_scheme_of(s.model);
  if (!scheme.empty())
    return quant::standard_schemes::with(scheme, [&]<class Scheme>() { export_scheme<Scheme>(s, scheme); });
  const io::model_source source = open_base_model(s.model);
  const gguf::tensor_type weights = weights_of(s, gguf::tensor_type::f32);
  const gguf::export_types types = types_of(s, weights, source.shape());
  if (source.shape().kind.family == model_family::opt)
    write_file(s, gguf::opt_export(source, types), weights);
  else
    write_file(s, gguf::export_base(source, types), weights);
}

}  // namespace

void fail_for_quantized_inputs(const std::string& model, const std::string& scheme, std::string_view readers) {
  fail(
      "{}: was trained under {}, whose inputs are quantized token by token; {} do not compute that, so what is "
      "written would be another model. It is at home in this library: zeroqat generate and eval, or "
      "io::load_quantized in a program. "
      "Train under q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, q3_k, q2_k, q2_0 or another weight-only scheme to "
      "export",
      model, scheme, readers);
}

void add_export_options(CLI::App& command, export_settings& s) {
  command.add_option("--model", s.model, "base model, or a trained one that --output wrote")->capture_default_str();
  command.add_option("--tokenizer", s.tokenizer,
                     "tokenizer.json, vocab.json with merges.txt beside it, or tokenizer.bin of llama2.c; by default "
                     "that beside the model");
  CLI::Option_group* const to = command.add_option_group("destination");
  to->require_option(1);
  CLI::Option* const gguf = to->add_option("--gguf", s.gguf, "GGUF file to write");
  to->add_option("--hf", s.hf, "Hugging Face folder to write: weights as values, config.json and the tokenizer");
  CLI::Option* const packed = to->add_option(
      "--pack-quantized", s.pack_quantized,
      "Hugging Face folder to write, with weights of 4 or 8 bits packed as compressed-tensors does, for vLLM");
  command.add_option(
      "--type", s.type,
      "of the weights: f32, f16, bf16, q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, q3_k, q2_k or "
      "q2_0, rounded to nearest; by default f32, and of a trained model the one that holds its values; or q4_k_m or "
      "q5_k_m, which of a LLaMA gives some layers q6_k, those that llama-quantize does");
  command.add_option("--mix", s.mix,
                     "of linear layers that have another type: PATTERN=TYPE, by commas, as "
                     "\"*.down_proj=q6_k,model.layers.0.*=q8_0\"; the first that matches holds");
  command.add_flag("--fill-stream", s.fill_stream,
                   "fill the residual stream up with zeros to 4, 16, ... times its width until blocks divide it, and "
                   "heads to 2, 4, ... times as many: exact, and for small models whose rows are shorter than the "
                   "blocks of q2_k to q6_k");
  command.add_option("--embeddings", s.embeddings, "of the embedding and the head, likewise")->capture_default_str();
  for (const char* const name : {"--type", "--mix", "--fill-stream", "--embeddings"})
    command.get_option(name)->needs(gguf);
  command
      .add_option("--values", s.values,
                  "of a folder: bf16, f16 or f32, rounded to nearest; by default bf16, and beside packed weights the "
                  "one that holds their scales")
      ->check(CLI::IsMember({"bf16", "f16", "f32"}))
      ->excludes(gguf);
  command
      .add_option(
          "--config", s.config,
          "of a folder: the base model's, or its config.json, to be copied with the tokenizer; by default what "
          "lies beside the model")
      ->excludes(gguf);
  CLI::Option* const eval =
      command.add_option("--eval", s.eval, "text on which perplexity is measured before and after")->excludes(packed);
  command.add_option("--length", s.length, "tokens in a chunk of it")
      ->check(CLI::Range(std::size_t{2}, std::size_t{1'000'000'000}))
      ->capture_default_str()
      ->needs(eval);
}

void require_exportable(const export_settings& s) {
  if (s.gguf.empty())
    require_folder(s);
  else
    require_destination(s);
}

void export_model(const export_settings& s) {
  if (s.gguf.empty()) return export_folder(s);
  export_gguf(s);
}

}  // namespace zoqat::programs
