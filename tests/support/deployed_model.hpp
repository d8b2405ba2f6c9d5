// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/tensor.hpp>
#include <zoqat/io/tensor_source.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <support/memory_source.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// Every tensor of a model with random weights, and their memory.
struct random_source {
  std::map<std::string, std::vector<float>> values;
  memory_source source;

  explicit random_source(const model_shape& s) : source{.shape_ = s, .tensors = {}} {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    io::for_each_tensor(s, [&](const std::string& name, std::span<const std::size_t> extents) {
      auto& x = values[name];
      x.resize(*io::checked_product(extents));
      for (float& v : x) v = normal(random);
      source.tensors.push_back(
          {name, io::dtype::f32, {extents.begin(), extents.end()}, std::as_bytes(std::span(x)), "the/file"});
    });
  }
};

/// What io::save_quantized wants of a tensor.
struct named_values {
  std::string name_;
  matrix<float> values_;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::size_t rows() const { return values_.rows(); }
  [[nodiscard]] std::size_t cols() const { return values_.cols(); }
  [[nodiscard]] matrix<float>& values() { return values_; }
};
struct tensor_use {
  bool in_checkpoint = true, stored = true, trains = false, vector = false;
};

/// What io::save_quantized wants of a model: the matrices of the blocks packed, ranges clipped a little.
template <class Scheme>
struct deployed_model {
  using scheme = Scheme;
  using weight = typename Scheme::weight_type;
  model_shape shape_;
  std::vector<named_values> floats;
  std::map<std::string, quant::packed_matrix<weight>> packed;

  explicit deployed_model(const random_source& from) : shape_(from.source.shape_) {
    for (const io::tensor_view& t : from.source.tensors) {
      const std::size_t rows = t.shape.size() == 1 ? 1 : t.shape[0];
      matrix<float> values(rows, t.shape.back());
      std::ranges::copy(from.values.at(t.name), values.data());
      if (t.shape.size() == 1 || !t.name.starts_with("model.layers.")) {
        floats.push_back({t.name, std::move(values)});
        continue;
      }
      std::vector<float> clipping;
      for (std::size_t r = 0; r != rows; ++r)
        quant::for_each_group<weight>(values.cols(), [&](std::size_t, std::size_t first, std::size_t n) {
          float p[4];
          weight::clipping::init(simd::default_kernels::min_max(values.row(r).data() + first, n), weight::bits,
                                 weight::zeros, 0.9f, 0.9f, p);
          clipping.insert(clipping.end(), p, p + 4);
        });
      packed.emplace(t.name.substr(0, t.name.size() - 7), quant::quantize<weight>(values.view(), clipping));
    }
  }
  [[nodiscard]] const model_shape& shape() const { return shape_; }
  template <class V>
  void visit(V&& v) {
    for (named_values& t : floats) v.tensor(t, tensor_use{});
    for (auto& [name, matrix] : packed) {
      const std::vector<std::size_t> grids{matrix.panels(), matrix.groups(), simd::panel_width};
      v.packed(name + ".codes", {matrix.panels(), matrix.panel_bytes()}, matrix.code_storage());
      v.packed(name + ".scales", grids, matrix.scales());
      if (!matrix.zero_points().empty()) v.packed(name + ".zero_points", grids, matrix.zero_points());
      if (!matrix.minima().empty()) v.packed(name + ".minima", grids, matrix.minima());
    }
  }
};

}  // namespace zoqat::testing
