// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/model_source.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_llama.hpp>

#include <string>
#include <variant>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::string failure(const std::filesystem::path& path) {
  return message_of<io_error>([&] { static_cast<void>(io::open_model(path)); });
}

}  // namespace

TEST_CASE("a model is opened by what its path is") {
  const temporary_folder folder;
  auto tensors = tiny_tensors(tiny_shape(false));
  write_hugging_face(folder / "model.bin", tiny_shape(false), tensors.views());  // a folder, whatever its name
  write_file(folder / "tiny.bin", tiny_llama2c(true));

  const auto hugging_face = io::open_model(folder / "model.bin");
  CHECK(std::holds_alternative<io::hugging_face_folder>(hugging_face.format()));
  CHECK(hugging_face.shape() == tiny_shape(false));
  CHECK(hugging_face.path() == folder / "model.bin");
  CHECK(hugging_face.find("model.norm.weight") != nullptr);
  CHECK(std::holds_alternative<io::hugging_face_folder>(
      io::open_model(folder / "model.bin/model.safetensors").format()));

  const auto llama2c = io::open_model(folder / "tiny.bin");
  CHECK(std::holds_alternative<io::llama2c_checkpoint>(llama2c.format()));
  CHECK(llama2c.shape().rope == rope_pairing::interleaved);
  CHECK(llama2c.find("lm_head.weight") == llama2c.find("model.embed_tokens.weight"));
}

TEST_CASE("what is no model is refused with the reason") {
  const temporary_folder folder;
  check_mentions(failure(folder / "absent.bin"), "absent.bin", "No such file");
  check_mentions(failure(folder / "absent"), "absent", "No such file");
  check_mentions(failure(folder.path()), "config.json", "No such file");
  write_file(folder / "model.ggml", "GGUF");
  check_mentions(failure(folder / "model.ggml"), "model.ggml", "not a model");
  write_file(folder / "model.bin", "\1\2\3");
  check_mentions(failure(folder / "model.bin"), "model.bin", "too short");
  write_file(folder / "model.bin", "GGUF");
  check_mentions(failure(folder / "model.bin"), "model.bin", "is a GGUF file", "a llama2.c checkpoint is wanted");
}
