// SPDX-License-Identifier: Apache-2.0

// The layers that engines embed, compiled with -fno-exceptions: core, random, simd, params, quant and zo. An error
// goes to the handler of the host. A program of its own, because of the flag, so that it may have an operator new of
// its own too, and count the memory that embedding takes. It returns 0 where all is well.

#include <zoqat/core/core.hpp>
#include <zoqat/params/params.hpp>
#include <zoqat/quant/quant.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/simd.hpp>
#include <zoqat/zo/zo.hpp>

#include <malloc.h>
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <vector>

namespace {

/// Bytes that operator new has given out, now and at most.
std::atomic<std::size_t> allocated{0}, most_allocated{0};

void* allocate(std::size_t size, std::size_t alignment) {
  void* const memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (!memory) std::abort();
  const std::size_t now = allocated += malloc_usable_size(memory);
  for (std::size_t most = most_allocated; most < now && !most_allocated.compare_exchange_weak(most, now);) {
  }
  return memory;
}
void release(void* memory) noexcept {
  allocated -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace {

/// What a fine-tuner allocates at most, in bytes of the host's buffers.
double memory_of_fine_tuning(std::uint32_t compared_steps) {
  constexpr std::size_t tensors = 5, size = 1 << 17;
  std::vector<float> weights(tensors * size, 1.0f);
  const std::size_t before = most_allocated = allocated.load();
  zoqat::zo::fine_tuner tuner({.compared_steps = compared_steps});
  for (std::size_t i = 0; i != tensors; ++i) tuner.add("tensor", std::span(weights).subspan(i * size, size));
  tuner.run(3, [&](std::uint32_t, std::uint32_t) {
    double sum = 1;
    for (const float w : weights) sum += double{w} * double{w};
    return sum;
  });
  return static_cast<double>(most_allocated - before) / static_cast<double>(weights.size() * sizeof(float));
}
/// One copy of what trains, and one more where the start is kept to go back to, as the guide says.
bool takes_the_memory_it_says() {
  const double alone = memory_of_fine_tuning(0), compared = memory_of_fine_tuning(2);
  std::printf("memory beside the buffers: %.3f of them; to compare with the start: %.3f\n", alone, compared);
  return alone > 1 && alone < 1.02 && compared > 2 && compared < 2.02;
}

bool trains() {
  namespace zo = zoqat::zo;
  std::vector<float> weights(64);
  const auto loss = [&] {
    double sum = 0;
    for (const float w : weights) sum += double{w - 1} * double{w - 1};
    return sum;
  };
  zo::parameter_list parameters;
  parameters.add("weights", weights);
  const zo::estimator<zo::central, zo::gaussian> estimator{.directions = 4};
  const zo::sgd<> optimizer{.learning_rate = {.weight = 0.01f}};
  const double before = loss();
  auto objective = zo::in_place(parameters, loss);
  for (std::uint32_t step = 0; step != 200; ++step) zo::step(parameters, objective, estimator, optimizer, step);
  return loss() < before / 10;
}

bool quantizes() {
  using weight = zoqat::quant::weight<4>;
  const float row[] = {-1.0f, -0.5f, 0.0f, 0.25f, 0.75f, 2.0f};
  std::uint8_t codes[6];
  zoqat::simd::grid grid;
  zoqat::quant::quantize_row<weight>(row, nullptr, codes, &grid);
  return codes[0] == 0 && codes[5] == 15;
}

bool runs_tasks() {
  std::vector<int> done(100);
  zoqat::thread_pool pool(2);
  pool.parallel_for(done.size(), [&](std::size_t i) { done[i] = 1; });
  return done == std::vector<int>(100, 1);
}

/// A handler may not return: this one ends the program as it should end.
void end_well(const char* message) {
  std::exit(std::strcmp(message, "group_size is 0, but must be positive") == 0 ? 0 : 1);
}

bool check(const char* what, bool right) {
  std::printf("%s: %s\n", what, right ? "right" : "WRONG");
  return right;
}

}  // namespace

int main() {
  const bool right[] = {check("training in place", trains()), check("quantizing a row", quantizes()),
                        check("a pool of threads", runs_tasks()),
                        check("the memory of a fine-tuner", takes_the_memory_it_says())};
  for (const bool each : right)
    if (!each) return 1;

  const zoqat::error_handler first = zoqat::set_error_handler(end_well);
  if (zoqat::set_error_handler(nullptr) != end_well || zoqat::set_error_handler(end_well) != first) return 1;
  zoqat::require(true, "not {}", "this");
  zoqat::require(false, "group_size is {}, but must be positive", 0);
  return 1;
}
