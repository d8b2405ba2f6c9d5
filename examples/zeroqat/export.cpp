// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/gguf/llama_export.hpp>   // export_base, export_trained
#include <zoqat/io/gguf/opt_export.hpp>     // opt_export
#include <zoqat/quant/scheme_registry.hpp>  // standard_schemes
#include <zoqat/text/gguf_vocabulary.hpp>   // read_vocabulary_metadata

#include <common/settings_text.hpp>  // folder_of_model
#include <zeroqat/export.hpp>
#include <zeroqat/files.hpp>  // open_trained_model, trained_scheme_of

#include <CLI/CLI.hpp>

#include <cstdint>
#include <system_error>
#include <utility>

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
  if (std::filesystem::path(s.model).extension() == ".gguf") return s.model;
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

template <class Export>
void write_file(const export_settings& s, const Export& model, gguf::tensor_type weights) {
  gguf::metadata more{{"general.file_type", file_type(weights)}, {"general.quantization_version", std::uint32_t{2}}};
  for (auto& entry : text::read_vocabulary_metadata(tokenizer_of(s), model.shape().vocabulary))
    more.push_back(std::move(entry));
  model.write(s.gguf, more);
  for (const std::string& note : model.notes()) fmt::print("{}\n", note);
  fmt::print("{}: {} tensors, weights {} ({} bits each), embeddings {}, {} bytes\n", s.gguf, model.tensors().size(),
             gguf::info_of(weights).name, gguf::info_of(weights).bits_per_weight(),
             gguf::info_of(type_named("--embeddings", s.embeddings)).name, std::filesystem::file_size(s.gguf));
}

/// The type of weights that is asked for, or `by_default`.
gguf::tensor_type weights_of(const export_settings& s, gguf::tensor_type by_default) {
  return s.type.empty() ? by_default : type_named("--type", s.type);
}

gguf::export_types types_of(const export_settings& s, gguf::tensor_type weights) {
  return {weights, type_named("--embeddings", s.embeddings), s.fill_stream};
}

template <class Scheme>
void export_scheme(const export_settings& s, const std::string& scheme) {
  if constexpr (Scheme::smooths_inputs || Scheme::quantizes_attention) {
    fail(
        "{}: was trained under {}, whose inputs are quantized token by token; engines that read GGUF do not compute "
        "that, so the file would be another model. Train under q8_0, q6_k, q5_1, q5_0, q4_1, q4_0, q3_k, q2_k, q2_0 "
        "or "
        "another weight-only scheme to export",
        s.model, scheme);
  } else {
    const io::safetensors_file file = open_trained_model(s.model);
    const auto exact = gguf::type_of<typename Scheme::weight_type>();
    const gguf::tensor_type weights = weights_of(s, exact.value_or(gguf::tensor_type::f32));
    write_file(s, gguf::export_trained<Scheme>(file, types_of(s, weights)), weights);
  }
}

}  // namespace

void add_export_options(CLI::App& command, export_settings& s) {
  command.add_option("--model", s.model, "base model, or a trained one that --output wrote")->capture_default_str();
  command.add_option(
      "--tokenizer", s.tokenizer,
      "tokenizer.json, vocab.json with merges.txt beside it, or tokenizer.bin of llama2.c; by default that "
      "beside the model");
  command.add_option("--gguf", s.gguf, "file to write")->required();
  command.add_option(
      "--type", s.type,
      "of the weights: f32, f16, bf16, q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, q3_k, q2_k or "
      "q2_0, rounded to nearest; by default f32, and of a trained model the one that holds its values");
  command.add_flag("--fill-stream", s.fill_stream,
                   "fill the residual stream up with zeros to 4, 16, ... times its width until blocks divide it, and "
                   "heads to 2, 4, ... times as many: exact, and for small models whose rows are shorter than the "
                   "blocks of q2_k to q6_k");
  command.add_option("--embeddings", s.embeddings, "of the embedding and the head, likewise")->capture_default_str();
}

void export_model(const export_settings& s) {
  const std::string scheme = trained_scheme_of(s.model);
  if (!scheme.empty())
    return quant::standard_schemes::with(scheme, [&]<class Scheme>() { export_scheme<Scheme>(s, scheme); });
  const io::model_source source = open_base_model(s.model);
  const gguf::tensor_type weights = weights_of(s, gguf::tensor_type::f32);
  if (source.shape().kind.family == model_family::opt)
    write_file(s, gguf::opt_export(source, types_of(s, weights)), weights);
  else
    write_file(s, gguf::export_base(source, types_of(s, weights)), weights);
}

}  // namespace zoqat::programs
