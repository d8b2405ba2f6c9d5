// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/compact_storage.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

// What the tests of zeroth-order methods share: parameters, and objectives whose values and gradients are known.

namespace zoqat::zo::testing {

/// Uniform in [-1, 1); depends on nothing but `name`.
inline std::vector<float> floats(std::size_t n, std::uint32_t name) {
  std::vector<float> v(n);
  rng::engine draw({.seed = 40, .tensor = name, .use = rng::purpose::data});
  for (float& x : v) x = 2 * draw.uniform() - 1;
  return v;
}

/// The bits of floats: tells -0 from +0 and one NaN from another.
inline std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float x : values) bits.push_back(std::bit_cast<std::uint32_t>(x));
  return bits;
}

/// The first n elements of a direction, in the tensor of that id.
template <class Distribution>
std::vector<float> elements_of(const Distribution& elements, const direction& along, std::uint32_t id,
                               std::size_t n) {
  std::vector<float> u(n);
  elements.template fill<simd::default_kernels>(along.of_tensor(id), 0, u.data(), n);
  return u;
}
/// Likewise for all tensors of a store, times their units: what a perturbation moves along.
template <class Store, class Distribution>
std::vector<double> elements_of(Store& store, const Distribution& elements, const direction& along) {
  std::vector<double> joined;
  store.for_each_parameter([&](const parameter& p) {
    std::vector<float> u(p.values.size());
    fill_direction(elements, along, p, 0, u.data(), u.size());
    for (std::size_t i = 0; i != u.size(); ++i)
      joined.push_back(double{u[i]} * (p.unit.empty() ? 1.0 : double{p.unit[i / (u.size() / p.unit.size())]}));
  });
  return joined;
}

/// Floats that arithmetic does not keep: a signaling and two quiet NaN, both zeros, infinities, a subnormal.
inline std::vector<float> fragile() {
  std::vector<float> v;
  for (const std::uint32_t bits : {0x7f800001u, 0x7fc12345u, 0xffc00001u, 0x80000000u, 0x00000000u, 0x7f800000u,
                                   0xff800000u, 0x00000001u, 0x3f800000u})
    v.push_back(std::bit_cast<float>(bits));
  return v;
}

/// Owns its tensors, as an engine does. Copies own copies.
class tensors {
 public:
  tensors() = default;
  tensors(const tensors& other) {
    for (const tensor& t : other.all_) add(t.group, t.values, t.unit);
  }
  tensors& operator=(const tensors&) = delete;

  void add(parameter_group group, std::vector<float> values, std::vector<float> unit = {}) {
    all_.push_back({group, std::move(values), std::move(unit)});
  }
  [[nodiscard]] std::vector<float>& operator[](std::size_t i) { return all_[i].values; }

  template <class F>
  void for_each_parameter(F&& visit) {
    for (std::uint32_t id = 0; id != all_.size(); ++id) {
      tensor& t = all_[id];
      t.name = "tensor " + std::to_string(id);
      visit(parameter{id + 5, t.name, t.group, t.values, t.unit});
    }
  }
  /// All values, tensor after tensor.
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> joined;
    for (const tensor& t : all_) joined.insert(joined.end(), t.values.begin(), t.values.end());
    return joined;
  }

 private:
  struct tensor {
    parameter_group group;
    std::vector<float> values, unit;
    std::string name{};
  };
  std::vector<tensor> all_;
};

/// The tensors of another store with masters of fewer bits; those with units are swept.
class compact_tensors {
 public:
  compact_tensors(tensors& from, master_format format) {
    from.for_each_parameter([&](const parameter& p) {
      all_.push_back({p, std::string(p.name), {p.unit.begin(), p.unit.end()}, {format, p.values}});
    });
  }
  template <class F>
  void for_each_parameter(F&& visit) {
    for (tensor& t : all_) {
      parameter p = t.like;
      p.name = t.name, p.values = {}, p.unit = t.unit, p.compact = t.masters.view();
      if (!p.unit.empty()) p.row_size = p.size() / p.unit.size();
      visit(p);
    }
  }
  /// The same in fp32.
  [[nodiscard]] tensors widened() {
    tensors result;
    for_each_parameter([&](const parameter& p) {
      std::vector<float> values(p.size());
      read_masters<simd::default_kernels>(p, 0, values.size(), values.data());
      result.add(p.group, std::move(values), {p.unit.begin(), p.unit.end()});
    });
    return result;
  }

 private:
  struct tensor {
    parameter like;
    std::string name;
    std::vector<float> unit;
    compact_storage masters;
  };
  std::vector<tensor> all_;
};

/// A tensor per kind of case: with and without units, of one value, empty, longer than what is generated at a time.
inline tensors assorted() {
  tensors t;
  t.add(parameter_group::weight, floats(21, 1), {0.5f, 0.001f, 3.0f});  // 3 rows of 7
  t.add(parameter_group::smoothing, floats(1, 2));
  t.add(parameter_group::clipping, {});
  t.add(parameter_group::weight, floats(2500, 3));
  t.add(parameter_group::step_row, floats(1300, 4), floats(1300, 5));  // a unit for each value
  t.add(parameter_group::norm, floats(33, 6));
  return t;
}

/// The objective f(point, micro_batch), a double, over all values of a store, tensor after tensor: reads its points
/// through `lanes`.
template <class Store, class Distribution, class F>
auto objective_of(Store& store, const Distribution&, F f) {
  return [&store, f](const lane_points<Distribution>& points, std::size_t micro_batch, std::span<double> losses) {
    const lanes<Distribution> all(points);
    std::vector<std::vector<float>> read(points.size());
    store.for_each_parameter([&](const parameter& p) {
      const std::size_t n = p.values.size();
      std::vector<float> values(n * points.size());
      all.read(p, 0, n, values.data());
      for (std::size_t lane = 0; lane != points.size(); ++lane)
        read[lane].insert(read[lane].end(), values.data() + lane * n, values.data() + (lane + 1) * n);
    });
    for (std::size_t lane = 0; lane != points.size(); ++lane)
      losses[lane] = f(std::span<const float>(read[lane]), micro_batch);
  };
}

}  // namespace zoqat::zo::testing
