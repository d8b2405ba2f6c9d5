// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/train/trainer.hpp>  // step_report

#include <csignal>
#include <cstdint>

namespace zoqat::programs {

/// A run ended early, and what the program is to return.
struct ended_by_signal {
  int status;
};

/// While one lives, SIGINT and SIGTERM ask a run to end after the step that it makes; a second one ends the program
/// as usual. A callback of train::run. One at a time.
class stop_signal {
 public:
  /// For a run that goes on after `made` steps.
  explicit stop_signal(std::uint32_t made = 0) : made_(made) {
    received = 0;
    struct sigaction action {};
    action.sa_handler = [](int number) { received = number; };
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    ::sigaction(SIGINT, &action, &interrupt_);
    ::sigaction(SIGTERM, &action, &terminate_);
  }
  stop_signal(const stop_signal&) = delete;
  stop_signal& operator=(const stop_signal&) = delete;
  ~stop_signal() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGTERM, &terminate_, nullptr);
  }

  void after_step(const train::step_report& report) noexcept { made_ = report.step + 1; }
  [[nodiscard]] static bool stop() noexcept { return received != 0; }
  static constexpr bool reads_parameters(const train::step_report&) noexcept { return false; }
  /// Steps that the run has made so far, those before it went on included.
  [[nodiscard]] std::uint32_t made() const noexcept { return made_; }
  /// What a shell expects of a program that a signal ended; 0 where there was none.
  [[nodiscard]] static int exit_status() noexcept { return received == 0 ? 0 : 128 + received; }

 private:
  static inline volatile std::sig_atomic_t received = 0;

  struct sigaction interrupt_ {
  }, terminate_{};
  std::uint32_t made_;
};

}  // namespace zoqat::programs
