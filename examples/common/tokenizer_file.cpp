// SPDX-License-Identifier: Apache-2.0
#include <common/tokenizer_file.hpp>

#include <zoqat/eval/encoded.hpp>         // tokenizer
#include <zoqat/text/open_tokenizer.hpp>  // open_tokenizer

namespace zoqat::programs {

static_assert(eval::tokenizer<tokenizer_file>);

struct tokenizer_file::format {
  text::any_tokenizer any;
};

tokenizer_file::tokenizer_file(const std::filesystem::path& path)
    : format_(std::make_shared<const format>(text::open_tokenizer(path))) {}

std::size_t tokenizer_file::size() const { return format_->any.size(); }
std::optional<tokenizer_file::token> tokenizer_file::bos() const { return format_->any.bos(); }
std::optional<tokenizer_file::token> tokenizer_file::eos() const { return format_->any.eos(); }
std::vector<tokenizer_file::token> tokenizer_file::encode(std::string_view text, bool begin) const {
  return format_->any.encode(text, begin);
}
std::string tokenizer_file::decode(std::span<const token> tokens) const { return format_->any.decode(tokens); }

}  // namespace zoqat::programs
