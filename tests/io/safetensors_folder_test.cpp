// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/safetensors_folder.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_llama.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

void write_one(const std::filesystem::path& path, const std::string& name, float first) {
  tensor_collection tensors;
  tensors.add(name, {2}, first);
  tensors.add("extra of " + name, {1}, first);
  io::write_safetensors(path, tensors.views());
}

float first_value(const io::tensor_view* tensor) {
  REQUIRE(tensor != nullptr);
  std::vector<float> values(io::element_count(*tensor));
  io::copy_to_f32(*tensor, values);
  return values.front();
}

void write_index(const temporary_folder& folder, const std::string& weight_map) {
  write_file(folder / "model.safetensors.index.json", "{\"metadata\":{},\"weight_map\":" + weight_map + "}");
}

std::string failure(const std::filesystem::path& path) {
  return message_of<io_error>([&] { io::safetensors_folder tensors(path); });
}

}  // namespace

TEST_CASE("a single file is found by its own path or in its folder") {
  const temporary_folder folder;
  write_one(folder / "model.safetensors", "a", 5);
  const io::safetensors_folder by_folder(folder.path()), by_file(folder / "model.safetensors");
  CHECK(first_value(by_folder.find("a")) == 5);
  CHECK(first_value(by_file.find("a")) == 5);
  CHECK(by_folder.path() == folder.path());
  CHECK(by_folder.find("b") == nullptr);
  CHECK(by_folder.files().size() == 1);
}

TEST_CASE("an index spreads tensors over files, which are opened once") {
  const temporary_folder folder;
  write_one(folder / "model-1.safetensors", "a", 1);
  write_one(folder / "model-2.safetensors", "b", 2);
  write_one(folder / "model-3.safetensors", "c", 3);
  write_index(folder, R"({"a":"model-1.safetensors","b":"model-2.safetensors","extra of a":"model-1.safetensors",
                          "c":"model-3.safetensors"})");
  io::safetensors_folder tensors(folder.path());
  CHECK(tensors.files().size() == 3);
  const io::safetensors_folder moved(std::move(tensors));
  CHECK(first_value(moved.find("a")) == 1);
  CHECK(first_value(moved.find("b")) == 2);
  CHECK(first_value(moved.find("c")) == 3);
  CHECK(moved.find("extra of a") != nullptr);
  CHECK(moved.find("extra of b") == nullptr);  // stored, but not listed
}

TEST_CASE("a single file is preferred to an index") {
  const temporary_folder folder;
  write_one(folder / "model.safetensors", "a", 1);
  write_index(folder, R"({"a":"absent.safetensors"})");
  CHECK(first_value(io::safetensors_folder(folder.path()).find("a")) == 1);
}

TEST_CASE("what is missing or malformed is named") {
  const temporary_folder folder;
  check_mentions(failure(folder / "absent"), "absent", "No such file");
  check_mentions(failure(folder.path()), folder.path().string(), "model.safetensors", "index.json");
  write_one(folder / "model-1.safetensors", "a", 1);
  write_index(folder, "[]");
  check_mentions(failure(folder.path()), "model.safetensors.index.json", "\"weight_map\" must be an object");
  write_index(folder, R"({"a":3})");
  check_mentions(failure(folder.path()), "index.json", "\"a\" must be a string");
  write_index(folder, R"({"b":"model-1.safetensors"})");
  check_mentions(failure(folder.path()), "model-1.safetensors", "no tensor 'b'");
  write_index(folder, R"({"a":"model-2.safetensors"})");
  check_mentions(failure(folder.path()), "model-2.safetensors", "No such file");
  write_file(folder / "model-2.safetensors", "garbage");
  check_mentions(failure(folder.path()), "model-2.safetensors", "too short");
}

TEST_CASE("an index does not reach out of its folder") {
  const temporary_folder folder;
  std::filesystem::create_directory(folder / "inner");
  write_one(folder / "secret.safetensors", "a", 1);
  write_one(folder / "inner/other", "a", 1);
  const std::vector<std::string> names{"../secret.safetensors",      "./other", "other", "", "..", ".safetensors/..",
                                       folder / "secret.safetensors"};
  for (const auto& name : names) {
    CAPTURE(name);
    write_file(folder / "inner/model.safetensors.index.json", io::json{{"weight_map", {{"a", name}}}}.dump());
    check_mentions(failure(folder / "inner"), "index.json", "is not the name of a safetensors file");
  }
}
