// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "child_process.hpp"
#include "shapes.hpp"

#include <unistd.h>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#if defined(ZOQAT_BENCH_OPENBLAS)
#include <cblas.h>
#endif
#if defined(ZOQAT_BENCH_ONEDNN)
#include <omp.h>
#include <dnnl.hpp>
#endif

// What others reach in the same process. Each is used as its own manual says it is fastest.

namespace zoqat::bench {

/// A build for AVX2 stands for a machine that has no more, so others get no more either.
#if defined(__AVX2__) && !defined(__AVX512F__)
inline constexpr bool peers_stay_with_avx2 = true;
#else
inline constexpr bool peers_stay_with_avx2 = false;
#endif

#if defined(ZOQAT_BENCH_OPENBLAS)

/// OpenBLAS sgemm, weights as they are stored: row after row.
class openblas_product {
 public:
  explicit openblas_product(product_shape s)
      : shape_(s), inputs_(s.tokens * s.in, 0.5f), weights_(s.out * s.in, 0.25f), out_(s.tokens * s.out) {}
  void operator()(int threads) {
    openblas_set_num_threads(threads);
    const auto m = static_cast<blasint>(shape_.tokens), n = static_cast<blasint>(shape_.out),
               k = static_cast<blasint>(shape_.in);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, inputs_.data(), k, weights_.data(), k, 0,
                out_.data(), n);
  }

 private:
  product_shape shape_;
  std::vector<float> inputs_, weights_, out_;
};

/// OpenBLAS chooses its kernels by the names of processors it knew when it was released, or by a variable, and may
/// take slow ones for a newer processor. So those that run here are tried, each in a process of its own since the
/// choice is made when the library is loaded, and this program starts again with the fastest. Returns when it has.
inline void choose_openblas_core(char** arguments) {
  constexpr const char *core_variable = "OPENBLAS_CORETYPE", *chosen = "ZOQAT_OPENBLAS_CHOSEN";
  if (std::getenv(chosen)) return;
  std::vector<std::string> cores{openblas_get_corename()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) cores.assign({"Haswell", "Zen"});
  if (__builtin_cpu_supports("avx512bw") && !peers_stay_with_avx2)
    cores.insert(cores.end(), {"SkylakeX", "Cooperlake"});
#endif
  std::string best = cores.front();
  double least = std::numeric_limits<double>::infinity();
  for (const std::string& core : cores) {
    setenv(core_variable, core.c_str(), 1);
    const auto lines = output_of({"/proc/self/exe", "--openblas-seconds"});
    const double seconds = lines.empty() ? least : std::strtod(lines.front().c_str(), nullptr);
    if (seconds < least) best = core, least = seconds;
  }
  setenv(core_variable, best.c_str(), 1);
  setenv(chosen, "1", 1);
  execv("/proc/self/exe", arguments);
}

#endif

#if defined(ZOQAT_BENCH_ONEDNN)

/// To be called before anything else of oneDNN's.
inline void prepare_onednn() {
  if (peers_stay_with_avx2) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  omp_set_num_threads(1);
}

/// oneDNN's matmul of unsigned and signed bytes into 32-bit integers, one thread. The primitive is made and the
/// weights are laid out as it likes them beforehand.
class onednn_product {
 public:
  explicit onednn_product(product_shape s)
      : source_(description(s.tokens, s.in, type::u8, tag::ab), engine_),
        out_(description(s.tokens, s.out, type::s32, tag::ab), engine_) {
    const auto weights = description(s.in, s.out, type::s8, tag::any);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc chosen(engine_, source_.get_desc(), weights, out_.get_desc());
#else
    const dnnl::matmul::primitive_desc chosen({source_.get_desc(), weights, out_.get_desc()}, engine_);
#endif
    weights_ = dnnl::memory(chosen.weights_desc(), engine_);
    matmul_ = dnnl::matmul(chosen);
    implementation_ = chosen.impl_info_str();
    dnnl::memory plain(description(s.in, s.out, type::s8, tag::ab), engine_);
    std::fill_n(static_cast<std::uint8_t*>(source_.get_data_handle()), s.tokens * s.in, std::uint8_t{7});
    std::fill_n(static_cast<std::int8_t*>(plain.get_data_handle()), s.in * s.out, std::int8_t{3});
    dnnl::reorder(plain, weights_).execute(stream_, plain, weights_);
    stream_.wait();
  }
  void operator()() {
    matmul_.execute(stream_, {{DNNL_ARG_SRC, source_}, {DNNL_ARG_WEIGHTS, weights_}, {DNNL_ARG_DST, out_}});
    stream_.wait();
  }
  [[nodiscard]] const std::string& implementation() const noexcept { return implementation_; }

 private:
  using type = dnnl::memory::data_type;
  using tag = dnnl::memory::format_tag;
  static dnnl::memory::desc description(std::size_t rows, std::size_t cols, type t, tag layout) {
    return {{static_cast<dnnl::memory::dim>(rows), static_cast<dnnl::memory::dim>(cols)}, t, layout};
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::memory source_, weights_, out_;
  dnnl::matmul matmul_;
  std::string implementation_;
};

#endif

/// Directions as the standard library makes them.
class standard_directions {
 public:
  void gaussian(std::span<float> out) {
    for (float& x : out) x = normal_(engine_);
  }
  void rademacher(std::span<float> out) {
    for (float& x : out) x = coin_(engine_) ? 1.0f : -1.0f;
  }

 private:
  std::mt19937 engine_{1};
  std::normal_distribution<float> normal_;
  std::bernoulli_distribution coin_{0.5};
};

}  // namespace zoqat::bench
