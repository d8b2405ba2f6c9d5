// SPDX-License-Identifier: Apache-2.0
#include <hostile/readers.hpp>

#include <support/byte_level_files.hpp>
#include <support/deployed_model.hpp>
#include <support/files.hpp>
#include <support/random_model.hpp>
#include <support/tiny_llama.hpp>
#include <support/tiny_vocabulary.hpp>
#include <support/tokenizer_json_files.hpp>
#include <zoqat/io/gguf/model_file.hpp>
#include <zoqat/io/gguf/opt_export.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/tasks/tasks.hpp>
#include <zoqat/text/chat_template.hpp>
#include <zoqat/text/gguf_vocabulary.hpp>
#include <zoqat/text/open_tokenizer.hpp>
#include <zoqat/train/start_snapshot.hpp>
#include <zoqat/zo/log/run_log.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>

namespace zoqat::testing {

namespace {

using path = std::filesystem::path;

std::string written(std::string_view name, void (*write)(const path&)) {
  const temporary_folder folder;
  write(folder / name);
  return read_file(folder / name);
}
template <class Source>
void read_tensors(const Source& source) {
  std::vector<float> values;
  for (const auto& tensor : source.tensors()) {
    values.resize(std::min<std::size_t>(io::element_count(tensor), 1 << 20));
    if (values.size() == io::element_count(tensor)) io::copy_to_f32(tensor, values);
  }
}

// --- JSON that asks for much
// -----------------------------------------------------------------------------------------

std::string repeated(std::string_view what, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + what.size());
  while (text.size() < bytes) text += what;
  return text;
}
/// `count` members "name number": value, of about so many bytes.
std::string members(std::string_view value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += fmt::format("\"{:x}\":{},", i, value);
  return text;
}
std::vector<bomb> json_values(std::size_t bytes) {
  return {{"zeros", "[" + repeated("0,", bytes) + "0]"},
          {"empty arrays", "[" + repeated("[],", bytes) + "[]]"},
          {"small objects", "[" + repeated("{\"\":[]},", bytes) + "0]"},
          {"empty texts", "[" + repeated("\"\",", bytes) + "0]"},
          {"members", "{" + members("0", bytes) + "\"last\":0}"},
          {"one text", "\"" + std::string(bytes, 'x') + "\""},
          {"one number", "1" + std::string(bytes, '0')},
          {"digits behind the point", "0." + std::string(bytes, '7')},
          {"white space", std::string(bytes, '\n') + "0"},
          {"depth", std::string(bytes, '[')},
          {"depth of objects", repeated("{\"\":", bytes)},
          {"an escape that is none", "\"" + std::string(bytes, 'x') + "\\q\""},
          {"words", "[" + repeated("null,", bytes) + "0]"}};
}
/// The values as a member of an object that begins with `{`.
std::vector<bomb> in_object(std::string_view object, std::size_t bytes) {
  std::vector<bomb> bombs = json_values(bytes);
  for (bomb& b : bombs) b.text = "{\"bomb\":" + b.text + "," + std::string(object.substr(1));
  return bombs;
}
std::vector<bomb> as_a_whole(std::size_t bytes) { return json_values(bytes); }

// --- Models
// ----------------------------------------------------------------------------------------------------------

std::string safetensors_file_of(std::string_view header, std::size_t data = 0) {
  std::string file;
  append_value(file, std::uint64_t{header.size()});
  return file + std::string(header) + std::string(data, '\0');
}
std::string safetensors_seed() {
  return written("f", [](const path& p) {
    auto tensors = tiny_tensors(tiny_shape(false));
    io::write_safetensors(p, tensors.views(), {{"format", "pt"}});
  });
}
std::vector<bomb> safetensors_bombs(std::size_t bytes) {
  std::vector<bomb> bombs;
  for (const bomb& b : in_object("{}", bytes)) bombs.push_back({b.what, safetensors_file_of(b.text)});
  for (const bomb& b : json_values(bytes))
    bombs.push_back({b.what, safetensors_file_of("{\"__metadata__\":{\"a\":" + b.text + "}}")});
  const std::string entry = R"({"dtype":"I8","shape":[0],"data_offsets":[0,0]})";
  bombs.push_back({"tensors", safetensors_file_of("{" + members(entry, bytes) + "\"last\":" + entry + "}")});
  bombs.push_back(
      {"metadata", safetensors_file_of("{\"__metadata__\":{" + members("\"\"", bytes) + "\"last\":\"\"}}")});
  bombs.push_back({"dimensions", safetensors_file_of(R"({"a":{"dtype":"I8","shape":[)" + repeated("0,", bytes) +
                                                     R"(0],"data_offsets":[0,0]}})")});
  std::string longer;
  append_value(longer, std::uint64_t{20} << 20);
  bombs.push_back({"a header that is longer than the file", longer + "{}"});
  return bombs;
}

std::string config_seed() {
  io::json config = tiny_config(tiny_shape(true));
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  return config.dump();
}
std::vector<bomb> config_bombs(std::size_t bytes) { return in_object(config_seed(), bytes); }

std::string llama2c_seed() { return tiny_llama2c(false); }
std::vector<bomb> llama2c_bombs(std::size_t) {
  std::vector<bomb> bombs;
  for (const std::array<std::int32_t, 7>& header : {std::array<std::int32_t, 7>{1, 1, 4096, 1, 1, 1, 1},
                                                    {8, 6, 3, 4, 2, 5, 1 << 24},
                                                    {1 << 24, 6, 3, 4, 2, 5, 7}}) {
    std::string file;
    append_value(file, header);
    bombs.push_back({"sizes", file});
  }
  return bombs;
}

model_shape gguf_shape() {
  model_shape shape = tiny_shape(true);
  shape.rope = rope_pairing::interleaved;
  return shape;
}
void write_gguf(const path& p) {
  const path tokenizer = p.parent_path() / "tokenizer.bin";
  write_file(tokenizer, tiny_vocabulary({}));
  model_shape shape = gguf_shape();
  shape.vocabulary = 259;
  io::gguf::metadata entries = io::gguf::llama_metadata(shape);
  for (auto& entry : text::read_vocabulary_metadata(tokenizer, shape.vocabulary)) entries.push_back(std::move(entry));
  std::vector<io::gguf::tensor_info> tensors;
  for (const io::llama_entry& entry : io::llama_tensors)
    for (std::size_t layer = 0; layer != io::count_of(entry.tensor, shape); ++layer)
      tensors.push_back({io::gguf::file_name_of(entry.tensor, layer), io::gguf::tensor_type::f32,
                         io::shape_of(entry.tensor, shape)});
  io::gguf::writer file(p, entries, tensors);
  for (const io::gguf::tensor_info& tensor : tensors)
    file.write(std::vector<std::byte>(*io::gguf::checked_bytes(tensor), std::byte{1}));
  file.commit();
}
std::string gguf_seed() { return written("f", write_gguf); }
void read_gguf(const path& folder) {
  const text::any_tokenizer tokenizer = text::open_tokenizer(folder / "model.gguf");
  static_cast<void>(tokenizer.encode("a text", true));
  const io::gguf::model_file model(folder / "model.gguf");
  std::vector<float> row(model.shape().hidden);
  model.read_f32(*model.find("model.norm.weight"), 0, row);
}
/// An OPT, whose tensors are stacked, and divide activations for a ReLU.
void write_gguf_opt(const path& p) {
  model_shape shape = tiny_shape(true);
  shape.kind = {model_family::opt, activation_function::relu};
  shape.kv_heads = shape.heads;
  shape.biases = true;
  io::gguf::opt_export(random_source(shape).source, {}).write(p, {});
}
std::string gguf_opt_seed() { return written("f", write_gguf_opt); }
void read_gguf_opt(const path& folder) {
  const io::gguf::model_file model(folder / "model.gguf");
  io::for_each_tensor(model.shape(), [&](const std::string& name, std::span<const std::size_t> extents) {
    std::vector<float> row(extents.back());
    model.read_f32(*model.find(name), 0, row);
  });
}
std::string gguf_of(std::uint64_t tensors, std::uint64_t keys, std::string_view rest) {
  std::string file = "GGUF";
  append_value(file, std::uint32_t{3});
  append_value(file, tensors);
  append_value(file, keys);
  return file + std::string(rest);
}
/// Keys or tensors, with names of `name_bytes`, of about so many bytes.
std::string gguf_with_keys(std::size_t name_bytes, std::size_t bytes) {
  std::string keys;
  std::uint64_t n = 0;
  for (; keys.size() < bytes; ++n) {
    const std::string key = fmt::format("{:0{}x}", n, name_bytes);
    append_value(keys, std::uint64_t{key.size()});
    keys += key;
    append_value(keys, static_cast<std::uint32_t>(io::gguf::value_type::boolean));
    keys += '\1';
  }
  return gguf_of(0, n, keys);
}
std::string gguf_with_tensors(std::size_t name_bytes, std::size_t bytes) {
  std::string tensors;
  std::size_t t = 0;
  for (; tensors.size() < bytes; ++t) {
    const std::string name = fmt::format("{:0{}x}", t, name_bytes);
    append_value(tensors, std::uint64_t{name.size()});
    tensors += name;
    append_value(tensors, std::uint32_t{1});
    append_value(tensors, std::uint64_t{8});
    append_value(tensors, std::uint32_t{0});
    append_value(tensors, std::uint64_t{32 * t});
  }
  tensors += std::string((32 - (24 + tensors.size()) % 32) % 32 + 32 * t, '\0');
  return gguf_of(t, 0, tensors);
}
/// A key with an array of `count` texts, all of them `text`.
std::string gguf_texts(std::string_view key, std::size_t count, const std::function<std::string(std::size_t)>& text) {
  std::string array;
  append_value(array, std::uint64_t{key.size()});
  array += key;
  append_value(array, static_cast<std::uint32_t>(io::gguf::value_type::array));
  append_value(array, static_cast<std::uint32_t>(io::gguf::value_type::string));
  append_value(array, std::uint64_t{count});
  for (std::size_t i = 0; i != count; ++i) {
    const std::string each = text(i);
    append_value(array, std::uint64_t{each.size()});
    array += each;
  }
  return array;
}
std::string gguf_text(std::string_view key, std::string_view text) {
  std::string entry;
  append_value(entry, std::uint64_t{key.size()});
  entry += key;
  append_value(entry, static_cast<std::uint32_t>(io::gguf::value_type::string));
  append_value(entry, std::uint64_t{text.size()});
  return entry + std::string(text);
}
/// A vocabulary of `count` tokens of about so many bytes in all, of one type, without a model.
std::string gguf_vocabulary(std::size_t bytes, std::int32_t type) {
  const std::size_t count = bytes / 24;
  std::string types;
  append_value(types, std::uint64_t{25});
  types += "tokenizer.ggml.token_type";
  append_value(types, static_cast<std::uint32_t>(io::gguf::value_type::array));
  append_value(types, static_cast<std::uint32_t>(io::gguf::value_type::i32));
  append_value(types, std::uint64_t{count});
  for (std::size_t i = 0; i != count; ++i) append_value(types, type);
  return gguf_of(
      0, 5,
      gguf_text("tokenizer.ggml.model", "gpt2") + gguf_text("tokenizer.ggml.pre", "gpt-2") +
          gguf_texts("tokenizer.ggml.tokens", count, [](std::size_t i) { return fmt::format("{:08x}", i); }) + types +
          gguf_texts("tokenizer.ggml.merges", 0, {}));
}
std::vector<bomb> gguf_bombs(std::size_t bytes) {
  const std::string no_texts =
      gguf_of(0, 1, gguf_texts("tokenizer.ggml.tokens", bytes / 8, [](std::size_t) { return std::string(); }));
  // Most that there may be, and more.
  const std::size_t most = bytes / io::gguf::max_keys + 1, name = most < 50 ? 6 : most - 40;
  return {{"keys", gguf_with_keys(6, bytes)},
          {"tensors", gguf_with_tensors(6, bytes)},
          {"keys as many as may be", gguf_with_keys(name, bytes)},
          {"tensors as many as may be", gguf_with_tensors(name, bytes)},
          {"an array of empty texts", no_texts},
          {"a vocabulary", gguf_vocabulary(bytes, 1)},
          {"added tokens", gguf_vocabulary(bytes, 4)},
          {"a number of keys", gguf_of(0, std::uint64_t{1} << 60, "")},
          {"a number of tensors", gguf_of(std::uint64_t{1} << 60, 0, "")}};
}

std::string index_seed() {
  io::json map = io::json::object();
  auto tensors = tiny_tensors(tiny_shape(false));
  for (const io::tensor_view& tensor : tensors.views()) map[tensor.name] = "a.safetensors";
  return io::json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump();
}
std::vector<bomb> index_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = in_object(index_seed(), bytes);
  bombs.push_back({"files", "{\"weight_map\":{" + members("\"b.safetensors\"", bytes) + "\"a\":\"b.safetensors\"}}"});
  return bombs;
}
void surround_index(const path& folder) { write_file(folder / "a.safetensors", safetensors_seed()); }

using quantized =
    nn::llama<quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::none>>>;

std::string quantized_seed() {
  return written("f", [](const path& p) {
    auto model = random_model<quantized>(tiny_shape(true), 1);
    model.deploy();
    io::save_quantized(p, model, "w4");
  });
}
/// The same tensors and metadata with checksums that agree.
std::string repaired_quantized(std::string file) {
  try {
    const auto content = io::parse_safetensors(std::as_bytes(std::span(file)), "f");
    io::safetensors_metadata metadata = content.metadata;
    std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with(io::checksum_key); });
    io::add_checksums(content.tensors, metadata);
    std::vector<const io::tensor_view*> order;
    for (const auto& tensor : content.tensors) order.push_back(&tensor);
    std::string mended = safetensors_file_of(io::detail::make_header(order, metadata, "f"));
    for (const auto& tensor : content.tensors)
      mended.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
    return mended;
  } catch (const error&) {
    return file;
  }
}

// --- Runs
// ------------------------------------------------------------------------------------------------------------

zo::planned_update update_of(std::uint32_t step, std::size_t directions) {
  zo::planned_update u{
      .seed = 1, .step = step, .gain = {}, .half_difference = {}, .signal_power = 1, .total_power = 2};
  u.half_difference.resize(directions, 0.5f);
  return u;
}
std::string log_of(std::uint32_t steps, std::size_t directions) {
  std::uint64_t chain = 0;
  std::string file;
  const auto add = [&](const std::vector<std::byte>& bytes) {
    file.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  add(zo::log_format::encode(
      {.seed = 1, .settings = "steps=3\n", .distribution = "rademacher", .inputs = {{"a", "b"}}}, chain));
  for (std::uint32_t step = 0; step != steps; ++step) add(zo::log_format::encode(update_of(step, directions), chain));
  return file;
}
std::string log_seed() { return log_of(4, 2); }
/// Mends the hash of the header: that of a record is what tells damage.
std::string repaired_log(std::string file) {
  const std::size_t lengths = 12, texts = 44;
  if (file.size() < texts) return file;
  std::array<std::uint32_t, 3> length{};
  std::memcpy(length.data(), file.data() + lengths, sizeof(length));
  std::uint64_t end = texts;
  for (const std::uint32_t n : length) end += n;
  if (end + 8 > file.size()) return file;
  const std::uint64_t hash = hash_bytes(std::as_bytes(std::span(file)).first(static_cast<std::size_t>(end)));
  std::memcpy(file.data() + end, &hash, sizeof(hash));
  return file;
}
std::vector<bomb> log_bombs(std::size_t bytes) {
  const auto records = static_cast<std::uint32_t>(bytes / zo::log_format::record_bytes(0));
  std::string inputs = log_of(0, 0);
  const std::string lines = repeated("\n", bytes);
  const auto length = static_cast<std::uint32_t>(lines.size() + 4);
  std::memcpy(inputs.data() + 20, &length, sizeof(length));
  inputs.insert(inputs.size() - 8, lines);
  std::string names = log_of(0, 0), many;
  for (std::size_t i = 0; many.size() < bytes; ++i) many += fmt::format("{:x}=\n", i);
  const auto all = static_cast<std::uint32_t>(many.size() + 4);
  std::memcpy(names.data() + 20, &all, sizeof(all));
  names.insert(names.size() - 8, many);
  return {{"records", log_of(records, 0)},
          {"inputs without a name", repaired_log(inputs)},
          {"inputs", repaired_log(names)},
          {"damage that looks like records", log_of(1, 1) + repeated(std::string("\0\0\1\0", 4), bytes)}};
}

/// Some trainable tensors.
struct small_store {
  std::vector<float> weight = std::vector<float>(24, 1.0f), norm = std::vector<float>(8, 2.0f), unit{1, 2, 3};

  template <class F>
  void for_each_parameter(F&& f) {
    f(parameter{.id = 1, .name = "weight", .values = weight, .unit = unit, .row_size = 8});
    f(parameter{.id = 2, .name = "norm", .group = parameter_group::norm, .values = norm});
  }
};
std::string start_seed() {
  return written("f", [](const path& p) {
    small_store store;
    train::save_start(p, store);
  });
}
std::string repaired_start(std::string file) {
  if (file.size() < 8) return file;
  const std::size_t end = file.size() - 8;
  std::uint64_t hash = hash_bytes({});
  for (std::size_t at = 0; at < end; at += 1 << 20)
    hash = hash_bytes(std::as_bytes(std::span(file)).subspan(at, std::min<std::size_t>(1 << 20, end - at)), hash);
  std::memcpy(file.data() + end, &hash, sizeof(hash));
  return file;
}

// --- Tokenizers
// ------------------------------------------------------------------------------------------------------

void use(const text::any_tokenizer& tokenizer) {
  try {
    static_cast<void>(tokenizer.decode(tokenizer.encode("Once upon a time,  \n\xF0\x9F\x99\x82 \xFF", true)));
  } catch (const value_error&) {  // characters without a token
  }
}
std::string vocabulary_seed() { return tiny_vocabulary({{"ab", -1}, {" a", -2}, {"abc", -3}}); }
std::vector<bomb> vocabulary_bombs(std::size_t bytes) {
  std::vector<vocabulary_entry> entries;
  for (std::size_t i = 0; 10 * i < bytes; ++i) entries.push_back({fmt::format("{:x}", i), 0});
  std::string many = tiny_vocabulary(entries), longest = tiny_vocabulary({});
  const std::int32_t largest = 0x7fffffff;
  std::memcpy(longest.data(), &largest, sizeof(largest));
  return {{"tokens", many},
          {"the longest token", longest},
          {"one token", tiny_vocabulary({{std::string(bytes, 'a'), 0}})}};
}
std::string tokenizer_json_seed() { return byte_level_json(byte_level_files(small_merges())).dump(); }
std::vector<bomb> tokenizer_json_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = in_object(tokenizer_json_seed(), bytes);
  for (bomb& b : bombs) b.text.replace(2, 4, "version");  // a member that is known
  std::string vocabulary, merges;
  for (std::size_t i = 0; vocabulary.size() < bytes; ++i) vocabulary += fmt::format("\"{0:x}\":{0},", i);
  const auto model = [](std::string_view vocab, std::string_view merge_list) {
    return fmt::format(R"({{"model":{{"type":"BPE","vocab":{{{}}},"merges":[{}]}}}})", vocab, merge_list);
  };
  bombs.push_back({"tokens", model(vocabulary.substr(0, vocabulary.size() - 1), "")});
  bombs.push_back({"an id", model("\"a\":16777215", "")});
  std::string pairs, doubled;  // tokens of two characters, each a merge
  for (std::size_t i = 0; pairs.size() + doubled.size() < bytes; ++i) {
    const auto one = [](std::size_t k) { return fmt::format("\\u{:04x}", 0x4e00 + k); };
    if (i < 512) pairs += fmt::format("\"{}\":{},", one(i), i);
    pairs += fmt::format("\"{}{}\":{},", one(i / 512 % 512), one(i % 512), 512 + i);
    doubled += fmt::format("{}\"{} {}\"", i == 0 ? "" : ",", one(i / 512 % 512), one(i % 512));
  }
  bombs.push_back({"tokens and merges", model(pairs.substr(0, pairs.size() - 1), doubled)});
  bombs.push_back({"merges", model("\"a\":0,\"b\":1,\"ab\":2", "\"a b\"" + repeated(",\"a b\"", bytes))});
  std::string added;
  for (std::size_t i = 0; added.size() < bytes; ++i)
    added += fmt::format("{}{{\"id\":{},\"content\":\"{:x}\"}}", i == 0 ? "" : ",", i + 1, i);
  bombs.push_back(
      {"added tokens", R"({"added_tokens":[)" + added + R"(],"model":{"type":"BPE","vocab":{"x":0},"merges":[]}})"});
  return bombs;
}
std::string vocab_json_seed() { return byte_level_files(small_merges()).vocab_json(); }
std::string merges_seed() { return byte_level_files(small_merges()).merges_txt(); }
void surround_vocab(const path& folder) { write_file(folder / "merges.txt", merges_seed()); }
void surround_merges(const path& folder) { write_file(folder / "vocab.json", vocab_json_seed()); }
void read_vocab(const path& folder) { use(text::open_tokenizer(folder / "vocab.json")); }
std::vector<bomb> vocab_json_bombs(std::size_t bytes) { return in_object(vocab_json_seed(), bytes); }
std::vector<bomb> merges_bombs(std::size_t bytes) {
  return {{"one merge again and again", repeated("a b\n", bytes)},
          {"one line", std::string(bytes, 'a')},
          {"spaces", std::string(bytes, ' ')},
          {"line ends", std::string(bytes, '\n')}};
}
constexpr std::string_view tokenizer_config =
    R"({"bos_token":{"content":"<s>"},"eos_token":"</s>","add_bos_token":true,"chat_template":[{"name":"default",)"
    R"("template":"<|im_start|>system\nYou help.<|im_end|>"}]})";
std::string tokenizer_config_seed() { return std::string(tokenizer_config); }
void read_tokenizer_config(const path& folder) {
  static_cast<void>(text::read_special_names(folder));
  static_cast<void>(text::read_chat_template(folder));
}
std::vector<bomb> tokenizer_config_bombs(std::size_t bytes) { return in_object(tokenizer_config, bytes); }

// --- Data sets
// -------------------------------------------------------------------------------------------------------

std::string arc_seed() {
  return "{\"question\":{\"stem\":\"Which floats?\",\"choices\":[{\"text\":\"wood\",\"label\":\"A\"},"
         "{\"text\":\"iron\",\"label\":\"B\"}]},\"answerKey\":\"A\"}\n";
}
std::string boolq_seed() {
  return "{\"question\":\"is it wet\",\"passage\":\"It rains.\",\"answer\":true}\n"
         "{\"question\":\"is it dry\",\"passage\":\"It rains.\",\"label\":\"0\"}\n";
}
std::string conversations_seed() {
  return "{\"messages\":[{\"role\":\"system\",\"content\":\"Help.\"},{\"role\":\"user\",\"content\":\"Hi\"},"
         "{\"role\":\"assistant\",\"content\":\"Hello\"}]}\n"
         "{\"system\":\"Help.\",\"conversations\":[{\"from\":\"human\",\"value\":\"Hi\"},"
         "{\"from\":\"gpt\",\"value\":\"Hello\"}]}\n";
}
std::string gsm8k_seed() { return "{\"question\":\"One and one?\",\"answer\":\"It is 2.\\n#### 2\"}\n"; }
std::string hellaswag_seed() {
  return "{\"activity_label\":\"Cooking\",\"ctx_a\":\"A man [step] cooks.\",\"ctx_b\":\"he\",\"endings\":[\"eats.\","
         "\"sits.\",\"runs [title] away.\",\"sings.\"],\"label\":\"2\"}\n";
}
std::string hellaswag_lines_seed() { return "Cooking: A man cooks. he\n1\neats.\nsits.\nruns.\nsings.\n"; }
std::string mmlu_seed() {
  return "Which is red?,a ball,\"the \"\"sea\"\",\nor\",grass,milk,A\nWhich is wet?,a,b,rain,c,2\n";
}
std::string openbookqa_seed() {
  return "{\"question_stem\":\"What is hot?\",\"choices\":{\"text\":[\"ice\",\"fire\"],\"label\":[\"A\",\"B\"]},"
         "\"answerKey\":\"B\"}\n"
         "{\"instruction\":\"Please choose. question: What is cold?\\n\\nAnswer1: ice Answer2: fire\\n\\n"
         "Answer format: answer1/answer2\",\"answer\":\"answer1\"}\n";
}
std::string piqa_seed() { return "{\"goal\":\"eat\",\"sol1\":\"Drink it.\",\"sol2\":\"Bite it.\"}\n"; }
void surround_piqa(const path& folder) { write_file(folder / "data-labels.lst", "1\n"); }
std::string rte_seed() { return "index\tsentence1\tsentence2\tlabel\n0\tIt rains.\tIt is wet.\tentailment\n"; }
std::string winogrande_seed() {
  return "{\"sentence\":\"Lily saw Tom and _ said hi.\",\"option1\":\"Lily\",\"option2\":\"it\",\"answer\":\"1\"}\n";
}
std::string alpaca_seed() {
  return R"([{"instruction":"Add.","input":"1 and 2","output":"3"},{"instruction":"Say hi.","input":"","output":"Hi"}])";
}
std::string cb_seed() { return R"([{"premise":"It rains.","hypothesis":"It is wet","label":"entailment"}])"; }
std::string choices_seed() { return R"([{"prompt":"2 + 2 =","choices":[" 4"," 5"],"correct":0}])"; }
std::string drop_seed() {
  return R"({"nfl_1":{"passage":"They scored 3.","qa_pairs":[{"question":"How many?","query_id":"q1","answer":)"
         R"({"number":"3","date":{"day":"","month":"","year":""},"spans":[]},"validated_answers":[{"number":"",)"
         R"("date":{"day":"1","month":"May","year":"1990"},"spans":[]}]}]}})";
}
std::string squad_seed() {
  return R"({"version":"v2.0","data":[{"title":"Mill","paragraphs":[{"context":"The mill is red.","qas":[)"
         R"({"question":"What colour?","id":"a1","answers":[{"text":"red","answer_start":12}]},)"
         R"({"question":"Who?","id":"a2","answers":[],"is_impossible":true}]}]}]})";
}
std::string sst2_seed() { return "sentence\tlabel\nit's a charming journey \t1\nunflinchingly bleak\t0\n"; }
std::string texts_seed() {
  return "{\"text\": \"Once upon a time.\"}\n{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n"
         "{\"instruction\": \"Add.\", \"output\": \"3\"}\n";
}
std::string text_seed() { return "Once upon a time\r\nthere was a mill.\n"; }

/// A context that many questions share: each prompt has a copy of it.
std::vector<bomb> squad_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = as_a_whole(bytes);
  const std::string question = R"({"question":"","id":"","answers":[{"text":""}]})";
  bombs.push_back({"questions on one context", R"({"data":[{"title":"","paragraphs":[{"context":")" +
                                                   std::string(bytes / 2, 'c') + R"(","qas":[)" +
                                                   repeated(question + ",", bytes / 2) + question + "]}]}]}"});
  bombs.push_back({"articles", R"({"data":[)" + repeated(squad_seed().substr(26, 149) + ",", bytes) + "0]}"});
  return bombs;
}
std::vector<bomb> drop_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = as_a_whole(bytes);
  const std::string question = R"({"question":"","query_id":"","answer":{"number":"1"}})";
  bombs.push_back({"questions on one passage", R"({"a":{"passage":")" + std::string(bytes / 2, 'c') +
                                                   R"(","qa_pairs":[)" + repeated(question + ",", bytes / 2) +
                                                   question + "]}}"});
  return bombs;
}
std::vector<bomb> lists_of(std::string_view record, std::size_t bytes) {
  std::vector<bomb> bombs = as_a_whole(bytes);
  bombs.push_back({"records", "[" + repeated(std::string(record) + ",", bytes) + std::string(record) + "]"});
  return bombs;
}
std::vector<bomb> alpaca_bombs(std::size_t bytes) { return lists_of(R"({"instruction":"","output":""})", bytes); }
std::vector<bomb> cb_bombs(std::size_t bytes) {
  return lists_of(R"({"premise":"","hypothesis":"","label":"neutral"})", bytes);
}
std::vector<bomb> choices_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = lists_of(R"({"prompt":"","choices":["a","b"],"correct":1})", bytes);
  bombs.push_back({"choices", R"([{"prompt":"","choices":[)" + repeated("\"a\",", bytes) + R"("b"],"correct":1}])"});
  return bombs;
}
std::vector<bomb> sst2_bombs(std::size_t bytes) {
  return {{"sentences", repeated("a\t1\n", bytes)},
          {"tabs", std::string(bytes, '\t')},
          {"line", std::string(bytes, 'a')}};
}
std::vector<bomb> texts_bombs(std::size_t bytes) {
  return {{"texts", repeated("{\"text\":\"\"}\n", bytes)},
          {"turns", R"({"messages":[)" + repeated(R"({"role":"user","content":""},)", bytes) +
                        R"({"role":"user","content":""}]})"},
          {"a text", R"({"text":")" + std::string(bytes, 'a') + "\"}"},
          {"depth", repeated("{\"text\":", bytes)},
          {"line ends", repeated("\r\n", bytes)}};
}
/// Lines of one record, and one record of a long text: what all files of benchmarks may be. Other JSON is the same
/// parser's.
std::vector<bomb> lines_of(std::string_view what, std::string_view record, std::string_view long_text,
                           std::size_t bytes) {
  std::string one(record);
  one.insert(one.find(long_text) + long_text.size(), std::string(bytes, 'a'));
  return {{what, repeated(record, bytes)}, {"a text of a record", one}};
}
std::vector<bomb> arc_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = lines_of("questions of ARC", arc_seed(), "Which", bytes);
  bombs.push_back({"labeled choices", R"({"question":{"stem":"","choices":[)" +
                                          repeated(R"({"text":"a","label":"A"},)", bytes) +
                                          R"({"text":"b","label":"B"}]},"answerKey":"B"})"});
  return bombs;
}
std::vector<bomb> boolq_bombs(std::size_t bytes) {
  return lines_of("questions of BoolQ", boolq_seed(), "rains", bytes);
}
/// Each turn of an assistant becomes an item, whose prompt is all that was said before.
std::vector<bomb> conversations_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = lines_of("conversations", conversations_seed(), "Hi", bytes);
  bombs.push_back({"turns of an assistant", R"({"messages":[)" +
                                                repeated(R"({"role":"assistant","content":"a"},)", bytes) +
                                                R"({"role":"assistant","content":"b"}]})"});
  return bombs;
}
std::vector<bomb> gsm8k_bombs(std::size_t bytes) {
  return lines_of("questions of GSM8K", gsm8k_seed(), "One", bytes);
}
std::vector<bomb> hellaswag_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = lines_of("contexts", hellaswag_seed(), "eats", bytes);
  for (const std::string_view what : {"[", "  ", " [title]"}) {
    bombs.push_back({what, hellaswag_seed()});
    bombs.back().text.insert(bombs.back().text.find("eats"), repeated(what, bytes));
  }
  return bombs;
}
std::vector<bomb> hellaswag_lines_bombs(std::size_t bytes) {
  return {{"contexts in lines", repeated(hellaswag_lines_seed(), bytes)}, {"lines", repeated("a\n", bytes)}};
}
std::vector<bomb> mmlu_bombs(std::size_t bytes) {
  return {{"questions of MMLU", repeated(mmlu_seed(), bytes)},
          {"commas", std::string(bytes, ',')},
          {"quotation marks", std::string(bytes, '"')},
          {"a field", "\"" + repeated("\"\"\n", bytes) + "\",a,b,c,d,A"}};
}
std::vector<bomb> openbookqa_bombs(std::size_t bytes) {
  std::vector<bomb> bombs = lines_of("questions of OpenBookQA", openbookqa_seed(), "What", bytes);
  std::string answers;
  for (std::size_t i = 1; answers.size() < bytes; ++i) answers += fmt::format("Answer{}: a ", i);
  bombs.push_back(
      {"answers", R"({"instruction":"question: a\n\n)" + answers + R"(\n\nAnswer format: a","answer":"answer1"})"});
  return bombs;
}
std::vector<bomb> piqa_bombs(std::size_t bytes) {
  return lines_of("goals", R"({"goal":"eat","sol1":"a","sol2":"b","label":1})", "eat", bytes);
}
std::vector<bomb> rte_bombs(std::size_t bytes) {
  return {{"pairs", repeated("a\tb\tentailment\n", bytes)}, {"tabs", std::string(bytes, '\t')}};
}
std::vector<bomb> winogrande_bombs(std::size_t bytes) {
  return lines_of("sentences with blanks", winogrande_seed(), "Lily", bytes);
}
std::vector<bomb> text_bombs(std::size_t bytes) {
  return {{"line ends", repeated("\r\n", bytes)}, {"carriage returns", std::string(bytes, '\r')}};
}

const std::vector<reader>& all() {
  static const std::vector<reader> list{
      {.name = "alpaca",
       .file = "data.json",
       .seed = alpaca_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_alpaca(p / "data.json")); },
       .limit = limit_of_data,
       .bombs = alpaca_bombs},
      {.name = "arc",
       .file = "data.jsonl",
       .seed = arc_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_arc(p / "data.jsonl")); },
       .limit = limit_of_data,
       .bombs = arc_bombs},
      {.name = "boolq",
       .file = "data.jsonl",
       .seed = boolq_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_boolq(p / "data.jsonl")); },
       .limit = limit_of_data,
       .bombs = boolq_bombs},
      {.name = "cb",
       .file = "data.json",
       .seed = cb_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_cb(p / "data.json")); },
       .limit = limit_of_data,
       .bombs = cb_bombs},
      {.name = "choices",
       .file = "data.json",
       .seed = choices_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_choices(p / "data.json")); },
       .limit = limit_of_data,
       .bombs = choices_bombs},
      {.name = "config",
       .file = "config.json",
       .seed = config_seed,
       .read = [](const path& p) { static_cast<void>(io::read_model_config(p / "config.json")); },
       .bombs = config_bombs},
      {.name = "conversations",
       .file = "data.jsonl",
       .seed = conversations_seed,
       .read =
           [](const path& p) {
             static_cast<void>(tasks::read_conversations(p / "data.jsonl", text::chat_template{}));
           },
       .limit = limit_of_data,
       .bombs = conversations_bombs},
      {.name = "drop",
       .file = "data.json",
       .seed = drop_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_drop(p / "data.json")); },
       .limit = limit_of_data,
       .bombs = drop_bombs},
      {.name = "gguf_model", .file = "model.gguf", .seed = gguf_seed, .read = read_gguf, .bombs = gguf_bombs},
      {.name = "gguf_opt", .file = "model.gguf", .seed = gguf_opt_seed, .read = read_gguf_opt},
      {.name = "gsm8k",
       .file = "data.jsonl",
       .seed = gsm8k_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_gsm8k(p / "data.jsonl")); },
       .limit = limit_of_data,
       .bombs = gsm8k_bombs},
      {.name = "hellaswag",
       .file = "data.jsonl",
       .seed = hellaswag_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_hellaswag(p / "data.jsonl")); },
       .limit = limit_of_data,
       .bombs = hellaswag_bombs},
      {.name = "hellaswag_lines",
       .file = "data.txt",
       .seed = hellaswag_lines_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_hellaswag(p / "data.txt")); },
       .limit = limit_of_data,
       .bombs = hellaswag_lines_bombs},
      {.name = "index",
       .file = "model.safetensors.index.json",
       .seed = index_seed,
       .read =
           [](const path& p) {
             const io::safetensors_folder folder(p);
             for (const auto& file : folder.files()) read_tensors(file);
           },
       .surround = surround_index,
       .bombs = index_bombs},
      {.name = "llama2c_model",
       .file = "model.bin",
       .seed = llama2c_seed,
       .read = [](const path& p) { read_tensors(io::llama2c_checkpoint(p / "model.bin")); },
       .bombs = llama2c_bombs},
      {.name = "log",
       .file = "run.zlog",
       .seed = log_seed,
       .read = [](const path& p) { static_cast<void>(zo::run_log::read(p / "run.zlog").updates()); },
       .repaired = repaired_log,
       .bombs = log_bombs},
      {.name = "merges",
       .file = "merges.txt",
       .seed = merges_seed,
       .read = read_vocab,
       .surround = surround_merges,
       .bombs = merges_bombs},
      {.name = "mmlu",
       .file = "data.csv",
       .seed = mmlu_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_mmlu(p / "data.csv")); },
       .limit = limit_of_data,
       .bombs = mmlu_bombs},
      {.name = "openbookqa",
       .file = "data.jsonl",
       .seed = openbookqa_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_openbookqa(p / "data.jsonl")); },
       .limit = limit_of_data,
       .bombs = openbookqa_bombs},
      {.name = "piqa",
       .file = "data.jsonl",
       .seed = piqa_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_piqa(p / "data.jsonl")); },
       .surround = surround_piqa,
       .limit = limit_of_data,
       .bombs = piqa_bombs},
      {.name = "quantized",
       .file = "q.safetensors",
       .seed = quantized_seed,
       .read =
           [](const path& p) {
             static_cast<void>(io::load_quantized<quantized>(io::safetensors_file(p / "q.safetensors")));
           },
       .repaired = repaired_quantized,
       .sealed = true,
       .bombs = safetensors_bombs},
      {.name = "rte",
       .file = "data.tsv",
       .seed = rte_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_rte(p / "data.tsv")); },
       .limit = limit_of_data,
       .bombs = rte_bombs},
      {.name = "safetensors_model",
       .file = "model.safetensors",
       .seed = safetensors_seed,
       .read = [](const path& p) { read_tensors(io::safetensors_file(p / "model.safetensors")); },
       .bombs = safetensors_bombs},
      {.name = "squad",
       .file = "data.json",
       .seed = squad_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_squad(p / "data.json")); },
       .limit = limit_of_data,
       .bombs = squad_bombs},
      {.name = "sst2",
       .file = "data.tsv",
       .seed = sst2_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_sst2(p / "data.tsv")); },
       .limit = limit_of_data,
       .bombs = sst2_bombs},
      {.name = "start",
       .file = "run.zlog.start",
       .seed = start_seed,
       .read =
           [](const path& p) {
             small_store store;
             train::restore_start(p / "run.zlog.start", store);
           },
       .repaired = repaired_start,
       .sealed = true},
      {.name = "text",
       .file = "text.txt",
       .seed = text_seed,
       .read = [](const path& p) { static_cast<void>(io::read_text(p / "text.txt")); },
       .bombs = text_bombs},
      {.name = "texts",
       .file = "data.jsonl",
       .seed = texts_seed,
       .read =
           [](const path& p) {
             static_cast<void>(tasks::read_texts(p / "data.jsonl", {.chat = text::chat_template{}}));
           },
       .limit = limit_of_data,
       .bombs = texts_bombs},
      {.name = "tokenizer_bin",
       .file = "tokenizer.bin",
       .seed = vocabulary_seed,
       .read = [](const path& p) { use(text::open_tokenizer(p / "tokenizer.bin")); },
       .bombs = vocabulary_bombs},
      {.name = "tokenizer_config",
       .file = "tokenizer_config.json",
       .seed = tokenizer_config_seed,
       .read = read_tokenizer_config,
       .bombs = tokenizer_config_bombs},
      {.name = "tokenizer_file",
       .file = "tokenizer.json",
       .seed = tokenizer_json_seed,
       .read = [](const path& p) { use(text::open_tokenizer(p / "tokenizer.json")); },
       .bombs = tokenizer_json_bombs},
      {.name = "vocab",
       .file = "vocab.json",
       .seed = vocab_json_seed,
       .read = read_vocab,
       .surround = surround_vocab,
       .bombs = vocab_json_bombs},
      {.name = "winogrande",
       .file = "data.jsonl",
       .seed = winogrande_seed,
       .read = [](const path& p) { static_cast<void>(tasks::read_winogrande(p / "data.jsonl")); },
       .limit = limit_of_data,
       .bombs = winogrande_bombs},
  };
  return list;
}

}  // namespace

std::span<const reader> readers() { return all(); }

}  // namespace zoqat::testing
