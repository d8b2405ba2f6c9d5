// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>           // plural
#include <zoqat/core/version.hpp>          // ZOQAT_VERSION_MAJOR, …
#include <zoqat/io/quantized_model.hpp>    // scheme_of, shape_of_quantized
#include <zoqat/io/tensor_source.hpp>      // for_each_tensor
#include <zoqat/simd/default_kernels.hpp>  // default_kernels
#include <zoqat/zo/log/run_log.hpp>        // run_log

#include <common/exported_bytes.hpp>  // exported_bytes_of
#include <common/settings_text.hpp>   // folder_of_model
#include <zeroqat/files.hpp>          // open_base_model, open_trained_model, trained_scheme_of
#include <zeroqat/info.hpp>
#include <zeroqat/settings.hpp>  // is_gguf

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>

namespace zoqat::programs {

namespace gguf = io::gguf;

namespace {

/// A part of a model: its weights, in the bytes that its file has of them, and in those of another format.
struct part {
  std::size_t weights = 0, bytes = 0, exported = 0;
};

double bits(std::size_t bytes, std::size_t weights) {
  return 8 * static_cast<double>(bytes) / static_cast<double>(weights);
}

/// Which part a tensor belongs to, by its name in full precision.
std::string_view part_of(std::string_view name) {
  const auto holds = [&](std::string_view word) { return name.find(word) != name.npos; };
  if (holds("embed_") || name == "lm_head.weight") return "embeddings and head";
  return holds("norm") ? "norms" : holds("self_attn") ? "attention" : "MLPs";
}

std::size_t product(std::span<const std::size_t> extents) {
  return std::accumulate(extents.begin(), extents.end(), std::size_t{1}, std::multiplies<>());
}

std::string shape_text(const model_shape& s) {
  std::string text = fmt::format(
      "  family {} ({}): {} of width {}, MLPs of {}, {} of {}, {} for keys and values\n"
      "  {} tokens, {} positions, head {} the embedding\n",
      model_family_names[static_cast<std::size_t>(s.kind.family)],
      activation_function_names[static_cast<std::size_t>(s.kind.activation)], plural(s.layers, "layer"), s.hidden,
      s.intermediate, plural(s.heads, "head"), s.head_size, s.kv_heads, s.vocabulary, s.positions,
      s.tied_head ? "tied to" : "apart from");
  if (s.biases.any())
    text += fmt::format("  biases:{}{}{}\n", s.biases.query_key_value ? " queries, keys and values;" : "",
                        s.biases.attention_output ? " output of attention;" : "", s.biases.mlp ? " MLPs;" : "");
  if (s.kind.family != model_family::opt)
    text += fmt::format("  rotary theta {}{}\n", s.rope_theta,
                        s.rope_scaling == rope_scaling{} ? "" : fmt::format(", scaled by {}", s.rope_scaling.factor));
  return text;
}

/// Bits per weight of each part, with a column for what it would be exported as if `is_exported`. `bytes_of(parts)`
/// fills in the bytes.
template <class Bytes>
std::string parts_text(const model_shape& shape, bool is_exported, Bytes&& bytes_of) {
  std::map<std::string_view, part> parts;
  io::for_each_tensor(shape, [&](const std::string& name, std::span<const std::size_t> extents) {
    parts[part_of(name)].weights += product(extents);
  });
  bytes_of(parts);
  const auto line = [&](std::string_view name, const part& p) {
    const auto cell = [&](std::size_t bytes) {
      return fmt::format("  {:>12} bytes {:6.3f} bits each", bytes, bits(bytes, p.weights));
    };
    return fmt::format("  {:<20} {:>12} weights{}{}\n", name, p.weights, cell(p.bytes),
                       is_exported ? cell(p.exported) : "");
  };
  part all;
  std::string text = fmt::format("  {:<40}  {:<34}{}\n", "", "as stored in this file",
                                 is_exported ? "  as exported, see below" : "");
  for (const auto& [name, p] : parts) {
    text += line(name, p);
    all.weights += p.weights, all.bytes += p.bytes, all.exported += p.exported;
  }
  return text + line("all", all);
}

/// What the column of exported bytes is of.
std::string exported_text(const exported_bytes& exported) {
  const gguf::tensor_type_info& type = gguf::info_of(exported.type);
  return fmt::format(
      "  as exported: a .gguf file of zeroqat export --gguf, linear layers {} ({} bits per weight where blocks of {} "
      "divide the rows, else filled up with zeros or F32), all else F32\n",
      type.name, type.bits_per_weight(), type.elements);
}

std::string trained_text(const std::filesystem::path& path) {
  const io::safetensors_file file = open_trained_model(path);
  const model_shape shape = io::shape_of_quantized(file);
  const auto arithmetic = file.metadata().find("arithmetic");
  const auto exported = exported_bytes_of(file);
  const std::string parts = parts_text(shape, exported.has_value(), [&](auto& of) {
    for (const io::tensor_view& t : file.tensors()) of[part_of(t.name)].bytes += t.data.size();
    if (!exported) return;
    for (const auto& [name, bytes] : exported->bytes) of[part_of(name)].exported += bytes;
  });
  return fmt::format("{}: a trained model, scheme {}\n{}{}{}{}", path.native(), io::scheme_of(file),
                     arithmetic == file.metadata().end() ? "" : "  " + arithmetic->second + "\n", shape_text(shape),
                     parts, exported ? exported_text(*exported) : "");
}

std::string base_text(const std::filesystem::path& path) {
  const io::model_source source = open_base_model(path, true);
  return fmt::format("{}: a base model\n{}{}", path.native(), shape_text(source.shape()),
                     parts_text(source.shape(), false, [&](auto& parts) {
                       io::for_each_tensor(source.shape(), [&](const std::string& name, auto) {
                         parts[part_of(name)].bytes += source.find(name)->data.size();
                       });
                     }));
}

std::string tokenizer_text(const std::filesystem::path& path) {
  const tokenizer_file tokenizer(path);
  const auto id = [](std::optional<tokenizer_file::token> t) { return t ? std::to_string(*t) : std::string("none"); };
  return fmt::format("  tokenizer: {}, BOS {}, EOS {}\n{}", plural(tokenizer.size(), "token"), id(tokenizer.bos()),
                     id(tokenizer.eos()), tokenizer.losses().empty() ? "" : "  " + tokenizer.losses());
}

std::string log_text(const std::filesystem::path& path) {
  const zo::run_log log = zo::run_log::read_intact(path);
  std::string text = fmt::format("{}: a run log of {} of {}, seed {}, {} directions{}\n", path.native(), log.steps(),
                                 plural(log.header().steps, "step"), log.header().seed, log.header().distribution,
                                 log.damage().empty() ? "" : "; " + log.damage());
  for (const auto& [name, value] : log.header().inputs) text += fmt::format("  {}: {}\n", name, value);
  std::string settings = log.header().settings;
  for (std::size_t at = 0; (at = settings.find('\n', at)) != settings.npos; at += 3) settings.replace(at, 1, "\n  ");
  return text + "  " + settings + "\n";
}

bool is_log(const std::filesystem::path& path) {
  std::array<char, 8> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  return std::string_view(start.data(), start.size()) == "zoqatlog";
}

}  // namespace

std::string version_text() {
  return fmt::format("zoqat {}.{}.{} ({})", ZOQAT_VERSION_MAJOR, ZOQAT_VERSION_MINOR, ZOQAT_VERSION_PATCH,
                     simd::default_kernels::target());
}

std::string info_of(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored) && is_log(path)) return log_text(path);
  std::string text = trained_scheme_of(path).empty() ? base_text(path) : trained_text(path);
  const auto tokenizer = is_gguf(path) ? path : folder_of_model(path.native());
  try {
    text += tokenizer_text(tokenizer);
  } catch (const error& none) {
    text += fmt::format("  no tokenizer: {}\n", none.what());
  }
  return text;
}

}  // namespace zoqat::programs
