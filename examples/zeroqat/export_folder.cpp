// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/atomic_file.hpp>               // atomic_file
#include <zoqat/io/compressed_tensors.hpp>        // export_pack_quantized
#include <zoqat/io/hugging_face_export.hpp>       // export_folder, export_trained_folder
#include <zoqat/io/mapped_file.hpp>               // mapped_file
#include <zoqat/quant/scheme_registry.hpp>        // standard_schemes
#include <zoqat/text/hugging_face_tokenizer.hpp>  // to_hugging_face_tokenizer

#include <common/plan.hpp>           // require_space
#include <common/settings_text.hpp>  // folder_of_model
#include <common/whole_folder.hpp>   // whole_folder
#include <zeroqat/export_folder.hpp>
#include <zeroqat/files.hpp>     // open_trained_model, trained_scheme_of
#include <zeroqat/settings.hpp>  // is_gguf

#include <fmt/ranges.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace zoqat::programs {

namespace fs = std::filesystem;

namespace {

/// What belongs to a tokenizer, and to how text is generated.
constexpr std::array<const char*, 11> files_beside{"tokenizer.json",
                                                   "tokenizer_config.json",
                                                   "special_tokens_map.json",
                                                   "added_tokens.json",
                                                   "vocab.json",
                                                   "merges.txt",
                                                   "tokenizer.model",
                                                   "tokenizer.bin",
                                                   "chat_template.json",
                                                   "chat_template.jinja",
                                                   "generation_config.json"};
/// Any of these is a tokenizer that readers of such folders know.
constexpr std::array<const char*, 3> known_tokenizers{"tokenizer.json", "tokenizer.model", "vocab.json"};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::optional<io::dtype> values_of(const export_settings& s) {
  if (s.values.empty()) return std::nullopt;
  return s.values == "f32" ? io::dtype::f32 : s.values == "f16" ? io::dtype::f16 : io::dtype::bf16;
}

/// config.json of the base model, where it is given or lies beside the model; "" where there is none.
fs::path config_of(const export_settings& s) {
  if (s.config.empty()) {
    const fs::path beside = folder_of_model(s.model) / "config.json";
    return is_there(beside) ? beside : fs::path();
  }
  const fs::path given = s.config;
  return fs::is_directory(given) ? given / "config.json" : given;
}

/// Where the tokenizer comes from: a folder, or a file.
fs::path tokenizer_of(const export_settings& s, const fs::path& config) {
  if (!s.tokenizer.empty()) return s.tokenizer;
  if (s.config.empty() && is_gguf(s.model)) return s.model;
  return folder_of_model(config.empty() ? fs::path(s.model) : config);
}

/// The tokenizer of a GGUF file as Hugging Face's libraries read it; nothing where it comes from elsewhere.
std::optional<text::hugging_face_tokenizer> converted_tokenizer(const fs::path& from) {
  if (!is_gguf(from.native())) return std::nullopt;
  const io::gguf::file file(from);
  if (!file.find_value("tokenizer.ggml.model")) return std::nullopt;
  return text::to_hugging_face_tokenizer(file);
}

void write_json(const fs::path& path, const io::json& value) {
  io::atomic_file file(path);
  file.write(value.dump(2) + "\n");
  file.commit();
}

/// As fs::copy_file, which signals interrupt, and durably.
void copy_durably(const fs::path& from, const fs::path& to) {
  const io::mapped_file file(from);
  io::atomic_file copy(to);
  copy.write(file.bytes());
  copy.commit();
}

/// Copies the tokenizer to the folder `to`, and says so where there is none.
void copy_tokenizer(const export_settings& s, const fs::path& from, const fs::path& to) {
  if (fs::is_directory(from)) {
    for (const char* const name : files_beside)
      if (is_there(from / name)) copy_durably(from / name, to / name);
  } else if (!is_gguf(from.native())) {
    copy_durably(from, to / from.filename());
  }
  for (const char* const name : known_tokenizers)
    if (is_there(to / name)) return;
  fmt::print("{}: no {} in {}, one of which readers of the folder want; copy it there, or give --tokenizer\n",
             s.destination(), fmt::join(known_tokenizers, ", "), from.native());
}

std::string_view option_of(const export_settings& s) { return s.hf.empty() ? "--pack-quantized" : "--hf"; }

void write_folder(const export_settings& s, io::hugging_face_export model) {
  const fs::path config = config_of(s), tokenizer = tokenizer_of(s, config);
  const auto converted = converted_tokenizer(tokenizer);  // which may be refused, before anything is written
  whole_folder folder(option_of(s), s.destination());
  std::uintmax_t bytes = 0;
  for (const io::streamed_tensor& tensor : model.tensors())
    bytes += *io::checked_product(tensor.shape) * io::dtype_size(tensor.type);
  require_space(
      std::array<output_size, 1>{{{std::string(option_of(s)), folder.made() / "model.safetensors", bytes}}});
  model.write(folder.made(), config.empty() ? io::json() : io::read_json(config), config.native());
  if (config.empty())
    fmt::print(
        "{}: no config.json beside the model, so that of the folder is made of its sizes, without the ids of tokens "
        "that begin and end texts; give --config\n",
        s.model);
  if (converted) {
    write_json(folder.made() / "tokenizer.json", converted->tokenizer);
    write_json(folder.made() / "tokenizer_config.json", converted->config);
    fmt::print("{}: tokenizer.json and tokenizer_config.json are made of the vocabulary in {}\n", s.destination(),
               tokenizer.native());
  } else {
    copy_tokenizer(s, tokenizer, folder.made());
  }
  folder.commit();
  const io::rounding_cost& cost = model.cost();
  const auto type = io::dtype_name(model.values());
  if (cost.changed == 0)
    fmt::print("all {} values are exact as {}\n", cost.values, type);
  else
    fmt::print("rounding to {} changed {} of {} values, by {:.3g} % of their size (root of the mean squares)\n", type,
               cost.changed, cost.values, 100 * cost.relative());
  const fs::path to = s.destination();
  fmt::print("{}: {} tensors, values {}{}, {} bytes\n", to.native(), model.tensors().size(), type,
             s.hf.empty() ? ", linear layers packed as they were trained" : "",
             fs::file_size(to / "model.safetensors"));
}

template <class Scheme>
void export_scheme(const export_settings& s, const std::string& scheme) {
  if constexpr (Scheme::smooths_inputs || Scheme::quantizes_attention) {
    fail_for_quantized_inputs(s.model, scheme, "readers of Hugging Face folders");
  } else {
    const io::safetensors_file file = open_trained_model(s.model);
    if constexpr (Scheme::quantizes_activations)
      fmt::print(
          "{}: was trained under {} with inputs in blocks of 8 bits, as engines that read GGUF compute; readers of "
          "the "
          "folder take them as they are, so their results differ a little\n",
          s.model, scheme);
    if (!s.hf.empty())
      return write_folder(s, io::export_trained_folder<Scheme>(file, values_of(s).value_or(io::dtype::bf16)));
    if constexpr (io::is_pack_quantized<typename Scheme::weight_type>)
      write_folder(s, io::export_pack_quantized<Scheme>(
                          file, values_of(s).value_or(io::exact_scale_type<typename Scheme::weight_type>)));
    else
      fail(
          "{}: was trained under {}, whose weights pack-quantized cannot hold: it has 4 or 8 bits and a scale for "
          "each row or group. Train under w4a16, w4a16g32, w4a16g128, q4_0 or q8_0, or write --hf or --gguf",
          s.model, scheme);
  }
}

}  // namespace

void require_folder(const export_settings& s) {
  whole_folder::require_new(option_of(s), s.destination());
  for (const auto& [option, path] : {std::pair("--tokenizer", s.tokenizer), std::pair("--config", s.config)})
    require<io_error>(path.empty() || is_there(path), "{} {}: is not there", option, path);
}

void export_folder(const export_settings& s) {
  const std::string scheme = trained_scheme_of(s.model);
  if (!scheme.empty())
    return quant::standard_schemes::with(scheme, [&]<class Scheme>() { export_scheme<Scheme>(s, scheme); });
  require(s.pack_quantized.empty(),
          "{}: is a base model, without codes to pack; train it under w4a16, w4a16g32, w4a16g128, q4_0 or q8_0, "
          "or write --hf",
          s.model);
  const io::model_source source = open_base_model(s.model);
  write_folder(s, io::export_folder(source, values_of(s).value_or(io::dtype::bf16)));
}

}  // namespace zoqat::programs
