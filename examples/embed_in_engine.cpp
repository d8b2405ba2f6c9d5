// SPDX-License-Identifier: Apache-2.0
//
// An inference engine that exists already, fine-tuned under quantization with nothing but zoqat/zo and zoqat/quant.
// The engine has its own buffers, its own forward pass and its own loss; it knows no type of the library. What was
// added to it stands between the two rulers below: fewer than forty lines.
//
//   embed_in_engine [steps]

#include <zoqat/quant/packed_matrix.hpp>      // quantize, dequantize
#include <zoqat/zo/embed/in_place.hpp>        // in_place: perturbs buffers, and puts them back bit by bit
#include <zoqat/zo/embed/parameter_list.hpp>  // parameter_list: names the engine's buffers
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd, linear_decay
#include <zoqat/zo/step.hpp>                  // step: perturb, two losses, estimate, update

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

// --- The engine: predicts a letter from the three before it
// -----------------------------------------------------------

struct engine {
  static constexpr std::size_t letters = 28, context = 3, inputs = letters * context, hidden = 48;

  std::vector<float> w_in = std::vector<float>(hidden * inputs), w_out = std::vector<float>(letters * hidden);
  std::vector<float> w_in_used, w_out_used;  // what the forward pass reads: the weights as they are deployed

  engine() {
    unsigned state = 1;
    for (std::vector<float>* w : {&w_in, &w_out})
      for (float& x : *w)
        x = static_cast<float>(static_cast<int>((state = state * 1664525u + 1013904223u) >> 8) - (1 << 23)) *
            0x1p-24f;
  }
  static std::size_t letter(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<std::size_t>(c - 'a') : c == ' ' ? 26 : 27;
  }

  void forward(std::string_view before, std::array<float, letters>& logits) const {
    std::array<float, hidden> h{};
    for (std::size_t j = 0; j != hidden; ++j) {
      for (std::size_t p = 0; p != context; ++p) h[j] += w_in_used[j * inputs + p * letters + letter(before[p])];
      h[j] = std::tanh(h[j]);
    }
    for (std::size_t o = 0; o != letters; ++o) {
      logits[o] = 0;
      for (std::size_t j = 0; j != hidden; ++j) logits[o] += w_out_used[o * hidden + j] * h[j];
    }
  }
  double loss(std::string_view text) const {
    double total = 0;
    std::array<float, letters> logits;
    for (std::size_t i = context; i != text.size(); ++i) {
      forward(text.substr(i - context, context), logits);
      double sum = 0;
      for (const float x : logits) sum += std::exp(static_cast<double>(x));
      total += std::log(sum) - static_cast<double>(logits[letter(text[i])]);
    }
    return total / static_cast<double>(text.size() - context);
  }
};

constexpr std::string_view text =
    "the cat sat on the mat and the dog sat on the log. the cat saw the dog and the dog saw the cat. then the cat "
    "ran to "
    "the mat and the dog ran to the log. the sun was hot and the cat was hot and the dog was hot. so the cat and the "
    "dog "
    "sat in the shade of the tree and had a nap. when the sun had set they ran home and that was the end of the day.";

// --- What was added
// ---------------------------------------------------------------------------------------------------

using deployed = zoqat::quant::weight<3, zoqat::quant::group<16>>;

std::vector<float> as_deployed(const std::vector<float>& w, std::size_t rows) {
  const auto packed = zoqat::quant::quantize<deployed>({w.data(), rows, w.size() / rows});
  const auto values = zoqat::quant::dequantize(packed);
  return {values.flat().begin(), values.flat().end()};
}

double deployed_loss(engine& e) {
  e.w_in_used = as_deployed(e.w_in, engine::hidden);
  e.w_out_used = as_deployed(e.w_out, engine::letters);
  return e.loss(text);
}

void fine_tune(engine& e, std::uint32_t steps) {
  using namespace zoqat;
  zo::parameter_list parameters;
  parameters.add("w_in", e.w_in);
  parameters.add("w_out", e.w_out);
  const zo::estimator<zo::central, zo::gaussian> estimator{.epsilon = per_group<float>::all(0.02f), .directions = 4};
  const zo::sgd<zo::linear_decay> optimizer{.learning_rate = {.weight = 0.01f}, .schedule = {steps}};
  auto loss = zo::in_place(parameters, [&] { return deployed_loss(e); });
  for (std::uint32_t step = 0; step != steps; ++step) {
    const auto estimate = zo::step(parameters, loss, estimator, optimizer, step);
    if ((step + 1) % (steps / 5) == 0) std::printf("step %u: loss %.4f\n", step + 1, estimate.loss);
  }
}

// ----------------------------------------------------------------------------------------------------------------------

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;
  if (steps < 5) return std::fprintf(stderr, "usage: embed_in_engine [steps, at least 5]\n"), 1;
  engine e;
  std::printf("3-bit weights in groups of 16, loss before: %.4f\n", deployed_loss(e));
  fine_tune(e, static_cast<std::uint32_t>(steps));
  std::printf("after: %.4f\n", deployed_loss(e));
}
