// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/load.hpp>             // load
#include <zoqat/nn/llama.hpp>            // llama<scheme>
#include <zoqat/nn/opt.hpp>              // opt<scheme, activation>
#include <zoqat/ptq/channel_ranges.hpp>  // input_ranges

#include <finetune/results.hpp>
#include <finetune/settings.hpp>
#include <finetune/workbench.hpp>

#include <span>

/// What all schemes do with models in full precision: compiled once, in full_precision.cpp.
namespace zoqat::programs {

using full_llama = nn::llama<quant::full_precision>;
template <class Activation>
using full_opt = nn::opt<quant::full_precision, Activation>;

/// Adds the rows of the model as it is, and as MeZO trains all its weights in full precision; returns the latter.
template <class Base>
Base add_full_precision_rows(workbench& bench, const settings& s, results& to);

}  // namespace zoqat::programs

namespace zoqat::inline ZOQAT_ABI {

extern template programs::full_llama io::load(const io::model_source&);
extern template programs::full_opt<nn::relu> io::load(const io::model_source&);
extern template programs::full_opt<nn::gelu_tanh> io::load(const io::model_source&);
extern template programs::full_opt<nn::gelu_erf> io::load(const io::model_source&);
extern template ptq::channel_ranges ptq::input_ranges(programs::full_llama&, std::span<const nn::token_batch>,
                                                      thread_pool&);
extern template ptq::channel_ranges ptq::input_ranges(programs::full_opt<nn::relu>&, std::span<const nn::token_batch>,
                                                      thread_pool&);
extern template ptq::channel_ranges ptq::input_ranges(programs::full_opt<nn::gelu_tanh>&,
                                                      std::span<const nn::token_batch>, thread_pool&);
extern template ptq::channel_ranges ptq::input_ranges(programs::full_opt<nn::gelu_erf>&,
                                                      std::span<const nn::token_batch>, thread_pool&);

}  // namespace zoqat
