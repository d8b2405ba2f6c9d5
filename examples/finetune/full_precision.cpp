// SPDX-License-Identifier: Apache-2.0
#include <finetune/full_precision.hpp>
#include <finetune/training.hpp>

namespace zoqat::inline ZOQAT_ABI {

template programs::full_llama io::load(const io::model_source&);
template programs::full_opt<nn::relu> io::load(const io::model_source&);
template programs::full_opt<nn::gelu_tanh> io::load(const io::model_source&);
template programs::full_opt<nn::gelu_erf> io::load(const io::model_source&);
template ptq::channel_ranges ptq::input_ranges(programs::full_llama&, std::span<const nn::token_batch>, thread_pool&);
template ptq::channel_ranges ptq::input_ranges(programs::full_opt<nn::relu>&, std::span<const nn::token_batch>,
                                               thread_pool&);
template ptq::channel_ranges ptq::input_ranges(programs::full_opt<nn::gelu_tanh>&, std::span<const nn::token_batch>,
                                               thread_pool&);
template ptq::channel_ranges ptq::input_ranges(programs::full_opt<nn::gelu_erf>&, std::span<const nn::token_batch>,
                                               thread_pool&);

}  // namespace zoqat

namespace zoqat::programs {

template <class Base>
Base add_full_precision_rows(workbench& bench, const settings& s, results& to) {
  const auto load = [&] { return io::load<Base>(bench.source); };
  {
    Base base = load();
    to.add("zero-shot", base, bench);
  }
  return tune(mezo, "*", load, bench, s, to);
}

template full_llama add_full_precision_rows(workbench&, const settings&, results&);
template full_opt<nn::relu> add_full_precision_rows(workbench&, const settings&, results&);
template full_opt<nn::gelu_tanh> add_full_precision_rows(workbench&, const settings&, results&);
template full_opt<nn::gelu_erf> add_full_precision_rows(workbench&, const settings&, results&);

}  // namespace zoqat::programs
