// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>         // plural
#include <zoqat/io/json.hpp>             // is_json
#include <zoqat/io/quantized_model.hpp>  // is_quantized_model, scheme_of, shape_of_quantized
#include <zoqat/io/text_file.hpp>        // read_text
#include <zoqat/tasks/texts.hpp>         // read_texts

#include <common/chat_choice.hpp>  // chat_choice
#include <zeroqat/files.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace zoqat::programs {

io::safetensors_file open_trained_model(const std::filesystem::path& path) { return io::safetensors_file(path); }

std::string trained_scheme_of(const std::filesystem::path& path) {
  if (path.extension() != ".safetensors") return {};
  const io::safetensors_file file(path);
  return io::is_quantized_model(file) ? io::scheme_of(file) : std::string();
}

model_kind kind_of(const std::filesystem::path& path, bool ignore_unused) {
  if (!trained_scheme_of(path).empty()) return io::shape_of_quantized(io::safetensors_file(path)).kind;
  return open_base_model(path, ignore_unused).shape().kind;
}

void require_teacher_of(const model_shape& teacher, const model_shape& model, const settings& s) {
  require(teacher.vocabulary == model.vocabulary,
          "--teacher {}: knows {} tokens, but the model {} knows {}; it must be of the same kind", s.teacher,
          teacher.vocabulary, s.model, model.vocabulary);
}

tokenizer_file open_tokenizer(const settings& s, std::size_t vocabulary) {
  const auto path = s.tokenizer_path();
  tokenizer_file tokenizer(path);
  require_within_vocabulary(tokenizer, path, s.model, vocabulary);
  fmt::print(stderr, "{}", tokenizer.losses());
  return tokenizer;
}

bool holds_records(const std::filesystem::path& text) {
  return text.extension() == ".jsonl" || text.extension() == ".json";
}

eval::chunks read_corpus(const std::string& path, const settings& s, const tokenizer_file& tokenizer,
                         std::size_t length) {
  const auto chunks_of = [&](const std::vector<std::string_view>& documents) {
    return eval::chunk_documents(documents, length, [&](auto text) { return tokenizer.encode_document(text); });
  };
  if (holds_records(path)) {
    const std::vector<std::string> texts =
        tasks::read_texts(path, {s.text_field, chat_choice(s.chat, s.tokenizer_path())});
    return chunks_of({texts.begin(), texts.end()});
  }
  const std::string text = io::read_text(path);
  if (const std::string_view line = std::string_view(text).substr(0, text.find('\n'));
      line.starts_with('{') && io::is_json(line))
    fmt::print(stderr,
               "{}: begins with a line of JSON, but is read as plain text, as which its name has it; if these are "
               "records, give it a name that ends in .jsonl\n",
               path);
  std::size_t left_out = 0;
  const auto documents = eval::split_documents(text, {.min_characters = s.min_characters}, &left_out);
  if (left_out > 0)
    fmt::print(stderr, "{}: {} of at most {} characters, out of {}, left out; --min-characters 0 keeps them\n", path,
               plural(left_out, "document"), s.min_characters, documents.size() + left_out);
  return chunks_of(documents);
}

}  // namespace zoqat::programs
