// SPDX-License-Identifier: Apache-2.0
#include <common/tokenizer_file.hpp>

#include <zoqat/core/error.hpp>           // require
#include <zoqat/eval/encoded.hpp>         // tokenizer
#include <zoqat/text/open_tokenizer.hpp>  // open_tokenizer
#if ZOQAT_EXAMPLE_SENTENCEPIECE
#include <zoqat/ext/sentencepiece.hpp>  // sentencepiece_tokenizer
#endif

#include <fmt/ranges.h>

#include <system_error>
#include <utility>
#include <variant>

namespace zoqat::programs {

static_assert(eval::tokenizer<tokenizer_file>);

namespace {

#if ZOQAT_EXAMPLE_SENTENCEPIECE
using formats = std::variant<text::any_tokenizer, ext::sentencepiece_tokenizer>;

/// The sentencepiece model that a path means: the file, or that of a folder with no other tokenizer.
std::filesystem::path model_at(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path.extension() == ".model" ? path : "";
  for (const auto* other : {"tokenizer.json", "vocab.json", "tokenizer.bin"})
    if (std::filesystem::exists(path / other, ignored)) return {};
  return std::filesystem::exists(path / "tokenizer.model", ignored) ? path / "tokenizer.model" : "";
}
formats open(const std::filesystem::path& path) {
  if (const auto model = model_at(path); !model.empty()) return ext::sentencepiece_tokenizer(model);
  return text::open_tokenizer(path);
}
#else
using formats = std::variant<text::any_tokenizer>;
formats open(const std::filesystem::path& path) { return text::open_tokenizer(path); }
#endif

}  // namespace

struct tokenizer_file::format {
  formats any;

  template <class F>
  decltype(auto) visit(F&& f) const {
    return std::visit(f, any);
  }
};

tokenizer_file::tokenizer_file(const std::filesystem::path& path)
    : format_(std::make_shared<const format>(format{open(path)})) {}

std::size_t tokenizer_file::size() const {
  return format_->visit([](const auto& t) { return t.size(); });
}
std::optional<tokenizer_file::token> tokenizer_file::bos() const {
  return format_->visit([](const auto& t) { return t.bos(); });
}
std::optional<tokenizer_file::token> tokenizer_file::eos() const {
  return format_->visit([](const auto& t) { return t.eos(); });
}
std::vector<tokenizer_file::token> tokenizer_file::encode(std::string_view text, bool begin) const {
  return format_->visit([&](const auto& t) { return t.encode(text, begin); });
}
std::vector<tokenizer_file::token> tokenizer_file::encode_document(std::string_view text) const {
  std::vector<token> tokens = encode(text, true);
  if (const auto* const any = std::get_if<text::any_tokenizer>(&format_->any)) {
    const auto suffix = any->suffix();
    tokens.insert(tokens.end(), suffix.begin(), suffix.end());
  }
  return tokens;
}
std::string tokenizer_file::decode(std::span<const token> tokens) const {
  return format_->visit([&](const auto& t) { return t.decode(tokens); });
}
std::string tokenizer_file::losses() const {
  const auto* const any = std::get_if<text::any_tokenizer>(&format_->any);
  if (!any || any->dropped_bytes().empty()) return {};
  return fmt::format("the tokenizer has no tokens for the bytes {:#04x}, which texts lose\n",
                     fmt::join(any->dropped_bytes(), ", "));
}

void require_within_vocabulary(const tokenizer_file& tokenizer, const std::filesystem::path& path,
                               const std::filesystem::path& model, std::size_t vocabulary) {
  require<io_error>(tokenizer.size() <= vocabulary,
                    "{}: has {} tokens, but the model {} a vocabulary of {}: they do not belong together",
                    path.native(), tokenizer.size(), model.native(), vocabulary);
}

}  // namespace zoqat::programs
