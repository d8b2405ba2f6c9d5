// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>  // plural
#include <zoqat/tasks/tasks.hpp>  // read_sst2, …, split

#include <common/chat_choice.hpp>  // chat_choice
#include <common/model_files.hpp>  // open_base_model
#include <finetune/workbench.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <type_traits>

namespace zoqat::programs {

namespace {

std::vector<tasks::answer_item> read_drop(const std::filesystem::path& file) {
  std::size_t left_out = 0;
  auto items = tasks::read_drop(file, {}, &left_out);
  if (left_out > 0) fmt::print("{}: {} questions without a clear answer are left out\n", file.native(), left_out);
  return items;
}

/// Tokens that a text may have. Those of a prefix take positions, whatever trains beside it: all rows read the same.
std::size_t positions_for(const settings& s, std::size_t of_model) {
  if (!s.trains_prefix()) return std::min(s.length, of_model);
  require(s.prefix_tokens + 1 < of_model, "--prefix-tokens {}: the model has {} positions for them and a text",
          s.prefix_tokens, of_model);
  return std::min(s.length, of_model - s.prefix_tokens);
}

}  // namespace

workbench::workbench(const settings& s, std::uint64_t run_seed)
    : threads(s.threads),
      inputs(inputs_of_run(s.model, s.tokenizer_path(),
                           std::array<named_file, 2>{{{"--train", s.train}, {"--test", s.test}}})),
      source(open_base_model(s.model)),
      tokenizer(s.tokenizer_path()),
      seed(run_seed),
      part_tokens(s.part_tokens),
      instructions(s.task == "alpaca" || s.task == "chat"),
      how{.positions = positions_for(s, source.shape().positions), .bos = tokenizer.bos().has_value()} {
  require_within_vocabulary(tokenizer, s.tokenizer_path(), s.model, source.shape().vocabulary);
  fmt::print("{}", tokenizer.losses());
  read_task(s);
}

void workbench::read_task(const settings& s) {
  const auto from_files = [&](auto read) { encode(read(s.train), read(s.test), s); };
  if (s.task == "sst2")
    from_files([](const auto& file) { return tasks::read_sst2(file); });
  else if (s.task == "cb")
    from_files([](const auto& file) { return tasks::read_cb(file); });
  else if (s.task == "choices")
    from_files([](const auto& file) { return tasks::read_choices(file); });
  else if (s.task == "squad")
    from_files([](const auto& file) { return tasks::read_squad(file); });
  else if (s.task == "drop")
    from_files(read_drop);
  else {
    how.end = tokenizer.eos();
    end.texts = {};  // an output may have several lines
    if (s.task == "alpaca") return from_files([](const auto& file) { return tasks::read_alpaca(file); });
    const auto chat = chat_choice(s.chat, s.tokenizer_path());
    require(chat.has_value(),
            "{}: the model has no chat template; name the format of conversations, as --chat chatml",
            s.tokenizer_path().native());
    from_files([&](const auto& file) { return tasks::read_conversations(file, *chat); });
  }
}

/// Draws the parts of the task from its items, and makes tokens of them.
template <class Item>
void workbench::encode(const std::vector<Item>& training, const std::vector<Item>& evaluation, const settings& s) {
  if (const auto eos = tokenizer.eos()) end.tokens = {*eos};
  const auto parts =
      tasks::split(training, evaluation,
                   {.train = s.train_items, .validation = s.validation_items, .test = s.test_items, .seed = seed});
  std::size_t cut = 0;
  const auto part = [&](const std::vector<Item>& items) {
    task_part encoded{eval::encode(tokenizer, items, how), {}};
    cut += cut_items(items, encoded.items);
    if constexpr (std::is_same_v<Item, tasks::answer_item>) encoded.questions = items;
    return encoded;
  };
  train = part(parts.train), validation = part(parts.validation), test = part(parts.test);
  fmt::print(
      "seed {}: {} items to train with, {} to validate with, {} to test with; {} are longer than {} tokens "
      "and were cut\n",
      seed, train.items.size(), validation.items.size(), test.items.size(), cut, how.positions);
  require(s.batch <= train.items.size(),
          "--batch {}: there are only {} to train with; give more --train-items or a smaller batch", s.batch,
          plural(train.items.size(), "item"));
  for (std::size_t i = 0; i < std::min(s.calibration, train.items.size()); ++i) {
    if (i % 16 == 0) calibration.emplace_back();
    calibration.back().add(train.items[i].right().read());
  }
}

/// How many items are longer than what `encoded` holds of them.
template <class Item>
std::size_t workbench::cut_items(const std::vector<Item>& items,
                                 const std::vector<eval::encoded_item>& encoded) const {
  eval::encoding uncut = how;
  uncut.positions = std::numeric_limits<std::size_t>::max();
  std::size_t cut = 0;
  for (std::size_t i = 0; i != items.size(); ++i) cut += eval::encode(tokenizer, items[i], uncut) != encoded[i];
  return cut;
}

}  // namespace zoqat::programs
