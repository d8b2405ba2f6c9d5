// SPDX-License-Identifier: Apache-2.0
//
// What loading a model for fine-tuning takes: a checkpoint of OPT's layout in fp16 is made in a new folder, loaded
// tensor by tensor, and the most memory on the way is compared with what stays and the largest tensor.

#include "child_process.hpp"  // memory of this process
#include "products.hpp"       // random weights
#include "shapes.hpp"         // OPT's sizes

#include <zoqat/core/error.hpp>       // require
#include <zoqat/core/numeric.hpp>     // fp16
#include <zoqat/io/atomic_file.hpp>   // config.json
#include <zoqat/io/load.hpp>          // the loading
#include <zoqat/io/model_source.hpp>  // the folder
#include <zoqat/io/opt_name_map.hpp>  // names and shapes of OPT's tensors
#include <zoqat/io/safetensors.hpp>   // the file
#include <zoqat/nn/opt.hpp>           // the model
#include <zoqat/nn/storage_plan.hpp>  // what trains, and how it is stored

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <malloc.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace zoqat;
using namespace zoqat::bench;

using w4a4 = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric>, quant::activation<4>>;

/// A new folder within another, removed with what is in it.
class new_folder {
 public:
  explicit new_folder(const std::filesystem::path& parent) {
    std::filesystem::create_directories(parent);
    std::string name = (parent / "zoqat-load-memory-XXXXXX").native();
    require<io_error>(mkdtemp(name.data()) != nullptr, "{}: cannot make a folder in it: {}", parent.native(),
                      std::strerror(errno));
    path_ = name;
  }
  new_folder(const new_folder&) = delete;
  new_folder& operator=(const new_folder&) = delete;
  ~new_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// Writes a checkpoint of that shape. All tensors are parts of one buffer of random numbers.
void write_checkpoint(const std::filesystem::path& folder, const model_shape& shape) {
  std::vector<io::tensor_view> tensors;
  std::size_t largest = 0;
  for (const io::opt_entry& entry : io::opt_tensors) {
    if (!io::is_present(entry, shape)) continue;
    for (std::size_t layer = 0; layer != (io::is_per_layer(entry) ? shape.layers : 1); ++layer) {
      tensors.push_back(
          {fmt::format(fmt::runtime(entry.stored), layer), io::dtype::f16, io::shape_of(entry, shape), {}, {}});
      largest = std::max(largest, *io::checked_product(tensors.back().shape));
    }
  }
  std::vector<fp16> values(largest);
  buffer<float> some(std::size_t{1} << 20);
  fill_normal(some, 1, 0.02f);
  for (std::size_t i = 0; i != largest; ++i) values[i] = fp16(some[i % some.size()]);
  for (io::tensor_view& t : tensors)
    t.data = std::as_bytes(std::span(values)).first(*io::checked_bytes(t.shape, t.type));
  io::write_safetensors(folder / "model.safetensors", tensors);
  io::atomic_file file(folder / "config.json");
  file.write(io::to_opt_config(shape).dump());
  file.commit();
}

double resident(const char* which) { return resident_megabytes(which) * 1.048576; }

void load(const std::filesystem::path& folder, master_format masters) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts anew
  const double before = resident("VmRSS");
  const auto source = io::open_model(folder);
  const nn::storage_plan plan{.masters = masters, .embeddings = masters};
  auto model = io::load<nn::opt<w4a4>>(source, plan);
  malloc_trim(0);
  const double peak = resident("VmHWM") - before, stays = resident("VmRSS") - before;
  double largest = 0, whole = 0;
  io::for_each_tensor(source.shape(), [&](const std::string&, const auto& extents) {
    const double megabytes = static_cast<double>(*io::checked_product(extents)) * 4e-6;
    largest = std::max(largest, megabytes);
    whole += megabytes;
  });
  fmt::print(
      "masters {}: full precision {:.0f} MB; stays {:.0f} MB; largest tensor in fp32 {:.0f} MB; peak of loading "
      "{:.0f} MB, {:.0f} MB above what stays\n",
      master_format_names[static_cast<std::size_t>(masters)], whole, stays, largest, peak, peak - stays);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Memory of loading an OPT checkpoint for lightweight fine-tuning, W4A4");
  std::size_t hidden = 1024, layers = 24, heads = 16;
  std::string folder = std::filesystem::temp_directory_path().string();
  app.add_option("--hidden", hidden)->capture_default_str();
  app.add_option("--layers", layers)->capture_default_str();
  app.add_option("--heads", heads)->capture_default_str();
  app.add_option("--folder", folder, "where a folder is made for the checkpoint")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    const new_folder checkpoint(folder);
    write_checkpoint(checkpoint.path(), opt_shape(hidden, layers, heads));
    for (const master_format masters : {master_format::fp32, master_format::bf16, master_format::int8})
      load(checkpoint.path(), masters);
  } catch (const std::exception& e) {
    fmt::print(stderr, "load_memory: {}\n", e.what());
    return 1;
  }
}
