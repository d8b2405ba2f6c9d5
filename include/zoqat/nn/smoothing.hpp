// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <string>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The smoothing of one input, eq. 4: X̃ = (X − δ) / s, W̃ = s ⊙ W, B̃ = B + δW. One s (and δ) per input channel of
/// the linear layers that read it; s = exp(log_scale) is positive by construction. It is an identity in full
/// precision and moves outliers from activations into weights under quantization.
///
/// Channels may share a value: with grouped-query attention the input of o_proj repeats each value head `repeat`
/// times, and s can only be folded into v_proj if the repeats agree. Channel j reads parameter
/// (j / (block * repeat)) * block + j % block.
class smoothing {
 public:
  smoothing() = default;
  /// `width` channels, none shared. `shifts`: δ is there too.
  smoothing(parameter_ids& ids, const std::string& name, std::size_t width, bool shifts = false)
      : smoothing(ids, name, width, width, 1, shifts) {}
  /// Channels in blocks of `block`, each block repeated `repeat` times; `width` is their product times the blocks.
  smoothing(parameter_ids& ids, const std::string& name, std::size_t width, std::size_t block, std::size_t repeat,
            bool shifts = false)
      : block_(block), repeat_(repeat), width_(width) {
    log_scale_ = {ids, name + ".log_scale", parameter_group::smoothing, 1, width / repeat};
    if (shifts) shift_ = {ids, name + ".shift", parameter_group::smoothing, 1, width / repeat};
  }

  /// A default-constructed one does nothing.
  [[nodiscard]] bool active() const noexcept { return width_ != 0; }
  [[nodiscard]] bool shifts() const noexcept { return !shift_.empty(); }
  [[nodiscard]] std::size_t width() const noexcept { return width_; }
  /// The parameter that channel `j` reads.
  [[nodiscard]] std::size_t source(std::size_t j) const noexcept {
    return j / (block_ * repeat_) * block_ + j % block_;
  }
  [[nodiscard]] trainable& log_scale() noexcept { return log_scale_; }
  [[nodiscard]] const trainable& log_scale() const noexcept { return log_scale_; }
  [[nodiscard]] trainable& shift() noexcept { return shift_; }

  /// s of every lane: [lanes, width]. Empty if inactive.
  template <lane_reader Lanes>
  void scales(const Lanes& lanes, matrix<float>& out) const {
    expand_channels(lanes, log_scale_, active(), out);
    for (float& s : out.flat()) s = std::exp(s);
  }
  /// δ of every lane: [lanes, width]. Empty if there is none.
  template <lane_reader Lanes>
  void shifts(const Lanes& lanes, matrix<float>& out) const {
    expand_channels(lanes, shift_, shifts(), out);
  }

  /// No lane moves s and δ any more: codes of a layer that reads the input were made with them.
  void freeze() noexcept {
    log_scale_.freeze();
    shift_.freeze();
  }

  template <class V>
  void visit(V&& v) {
    if (active()) v.tensor(log_scale_, use::added);
    if (shifts()) v.tensor(shift_, use::added);
  }

 private:
  template <lane_reader Lanes>
  void expand_channels(const Lanes& lanes, const trainable& t, bool present, matrix<float>& out) const {
    if (!present) return out.reshape(0, 0);
    matrix<float> read;
    read_all(lanes, t, read);
    out.reshape(lanes.count(), width_);
    for (std::size_t lane = 0; lane != lanes.count(); ++lane)
      for (std::size_t j = 0; j != width_; ++j) out(lane, j) = read(lane, source(j));
  }

  std::size_t block_ = 1, repeat_ = 1, width_ = 0;
  trainable log_scale_, shift_;
};

}  // namespace zoqat::nn
