// SPDX-License-Identifier: Apache-2.0
//
// The one source file of c_quantize.h, beside c_api.cpp.

#include <zoqat/ext/c_handles.hpp>

#include <zoqat/ext/c_quantize.h>

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/ptq/input_moments.hpp>
#include <zoqat/ptq/reconstruct_matrix.hpp>
#include <zoqat/quant/host_matrix.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

using namespace zoqat;
using namespace zoqat::ext;

namespace {

/// A host's matrix whose format is known when it runs.
class any_matrix {
 public:
  virtual ~any_matrix() = default;
  virtual void add_to(zo::parameter_list& list, const std::string& name) = 0;
  virtual void values(float* out, std::size_t stride) const = 0;
  virtual void round(const float* weights, std::size_t stride, float* out, std::size_t out_stride) = 0;
  virtual void codes(std::uint8_t* codes, float* scales, std::uint8_t* zero_points) const = 0;
  [[nodiscard]] virtual std::size_t groups() const noexcept = 0;
};

template <class Weight>
class matrix_of final : public any_matrix {
 public:
  explicit matrix_of(quant::packed_matrix<Weight> found) : groups_(found.groups()), matrix_(std::move(found)) {}

  void add_to(zo::parameter_list& list, const std::string& name) override { matrix_.add_to(list, name); }
  void values(float* out, std::size_t stride) const override { matrix_.materialize(view_of(out, stride)); }
  void round(const float* weights, std::size_t stride, float* out, std::size_t out_stride) override {
    matrix_.materialize(view_of(weights, stride), view_of(out, out_stride));
  }
  void codes(std::uint8_t* codes, float* scales, std::uint8_t* zero_points) const override {
    require(codes && scales && zero_points, "zoqat_matrix_codes: codes, scales or zero points are NULL");
    const auto deployed = matrix_.deployed();
    deployed.read_rows(0, matrix_view<std::uint8_t>(codes, matrix_.rows(), matrix_.cols()));
    for (std::size_t row = 0; row != matrix_.rows(); ++row)
      for (std::size_t group = 0; group != groups_; ++group) {
        const simd::grid g = deployed.grid(row, group);
        *scales++ = g.scale;
        *zero_points++ = static_cast<std::uint8_t>(g.zero_point);
      }
  }
  [[nodiscard]] std::size_t groups() const noexcept override { return groups_; }

 private:
  template <class T>
  [[nodiscard]] matrix_view<T> view_of(T* values, std::size_t stride) const {
    return view("zoqat_matrix", values, matrix_.rows(), matrix_.cols(), stride);
  }

  std::size_t groups_;
  quant::host_matrix<Weight> matrix_;
};

using weights_view = matrix_view<const float>;

template <class Weight>
std::unique_ptr<any_matrix> quantized(weights_view weights, const ptq::input_moments* inputs, thread_pool& threads) {
  if (!inputs) return std::make_unique<matrix_of<Weight>>(quant::quantize<Weight>(weights));
  return std::make_unique<matrix_of<Weight>>(ptq::reconstruct_matrix<Weight>(weights, *inputs, threads).packed);
}
template <int Bits>
std::unique_ptr<any_matrix> quantized(weights_view weights, std::size_t group_size, const ptq::input_moments* inputs,
                                      thread_pool& threads) {
  switch (group_size) {
    case 0:
      return quantized<quant::weight<Bits>>(weights, inputs, threads);
    case 32:
      return quantized<quant::weight<Bits, quant::group<32>>>(weights, inputs, threads);
    case 64:
      return quantized<quant::weight<Bits, quant::group<64>>>(weights, inputs, threads);
    case 128:
      return quantized<quant::weight<Bits, quant::group<128>>>(weights, inputs, threads);
    default:
      fail<value_error>("zoqat_matrix: a group size of {}; it takes 0 (a row), 32, 64 or 128", group_size);
  }
}
std::unique_ptr<any_matrix> quantized(weights_view weights, int bits, std::size_t group_size,
                                      const ptq::input_moments* inputs, thread_pool& threads) {
  switch (bits) {
    case 2:
      return quantized<2>(weights, group_size, inputs, threads);
    case 3:
      return quantized<3>(weights, group_size, inputs, threads);
    case 4:
      return quantized<4>(weights, group_size, inputs, threads);
    case 8:
      return quantized<8>(weights, group_size, inputs, threads);
    default:
      fail<value_error>("zoqat_matrix: weights of {} bits; it takes 2, 3, 4 or 8", bits);
  }
}

}  // namespace

struct zoqat_moments {
  std::unique_ptr<ptq::input_moments> made;
  std::string message;
};
struct zoqat_matrix {
  std::unique_ptr<any_matrix> made;
  std::string message;
};

extern "C" {

zoqat_status zoqat_moments_create(size_t in_features, zoqat_moments** moments) {
  return create(moments, [&] { return std::make_unique<ptq::input_moments>(in_features); });
}
void zoqat_moments_destroy(zoqat_moments* moments) { delete moments; }
const char* zoqat_moments_message(const zoqat_moments* moments) { return moments ? moments->message.c_str() : ""; }
zoqat_status zoqat_moments_add(zoqat_moments* moments, const float* inputs, size_t rows) {
  return with(moments, [&](ptq::input_moments& m) {
    m.add(view("zoqat_moments", inputs, rows, m.in_features(), m.in_features()));
  });
}

zoqat_status zoqat_matrix_create(const float* weights, size_t rows, size_t cols, size_t stride, int bits,
                                 size_t group_size, zoqat_moments* inputs, uint32_t threads, zoqat_matrix** matrix) {
  return create(matrix, [&] {
    require(!inputs || inputs->made, "zoqat_matrix: creating the moments failed; leave them out with NULL");
    thread_pool pool(threads);
    return quantized(view("zoqat_matrix", weights, rows, cols, stride), bits, group_size,
                     inputs ? inputs->made.get() : nullptr, pool);
  });
}
void zoqat_matrix_destroy(zoqat_matrix* matrix) { delete matrix; }
const char* zoqat_matrix_message(const zoqat_matrix* matrix) { return matrix ? matrix->message.c_str() : ""; }

zoqat_status zoqat_tuner_add_matrix(zoqat_tuner* tuner, const char* name, zoqat_matrix* matrix) {
  return with(tuner, [&](zo::fine_tuner& t) {
    require(name && matrix && matrix->made,
            "zoqat_tuner_add_matrix: the name or the matrix is NULL, or was not made");
    t.add(name, *matrix->made);
  });
}
zoqat_status zoqat_matrix_values(zoqat_matrix* matrix, float* out, size_t stride) {
  return with(matrix, [&](any_matrix& m) { m.values(out, stride); });
}
zoqat_status zoqat_matrix_round(zoqat_matrix* matrix, const float* weights, size_t stride, float* out,
                                size_t out_stride) {
  return with(matrix, [&](any_matrix& m) { m.round(weights, stride, out, out_stride); });
}
size_t zoqat_matrix_groups(const zoqat_matrix* matrix) { return matrix && matrix->made ? matrix->made->groups() : 0; }
zoqat_status zoqat_matrix_codes(zoqat_matrix* matrix, uint8_t* codes, float* scales, uint8_t* zero_points) {
  return with(matrix, [&](any_matrix& m) { m.codes(codes, scales, zero_points); });
}

}  // extern "C"
