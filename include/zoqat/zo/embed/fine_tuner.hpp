// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/hash.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/params/stored_masters.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/optimizer.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/scales/balance.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// What a fine-tuner can be told. Nothing has to be: scales and steps are measured.
struct fine_tuner_options {
  std::uint64_t seed = 0;  ///< of the directions
  std::uint32_t directions = 1;
  std::uint32_t micro_batches = 2;       ///< parts of a step's data; how far they agree decides how far a step goes
  double relative_loss_increase = 0.05;  ///< what a perturbation of everything adds to the loss, relative to it
  std::size_t threads = 0;               ///< that perturb and update the buffers; 0: one for each core
  std::filesystem::path log = {};        ///< the run as a file; none where it is empty
  bool resume = false;                   ///< go on with the run in `log`
  log_options log_how = {};              ///< whether it may replace another log, and how often the disk is waited for
  /// Compare the loss before and after on the data of so many steps beyond the run's, or as many as the run has where
  /// that is less, and go back to the start where it is not less. Costs 2 · micro_batches losses for each, and one
  /// more copy of what trains; 0 for neither.
  std::uint32_t compared_steps = 32;
};

/// What a fine-tuner sees after a step.
struct fine_tuner_progress {
  std::uint32_t step = 0;   ///< that was made, from 0
  std::uint32_t steps = 0;  ///< of the whole run
  double loss = 0;          ///< mean over the lanes; NaN where the step was rejected
  std::uint32_t rejected = 0;
};

/// How a run ended.
struct fine_tuner_result {
  std::uint32_t steps = 0;                 ///< made by this call
  std::uint32_t rejected = 0;              ///< of them, whose loss was not finite: they changed nothing
  double loss_before = 0, loss_after = 0;  ///< on data beyond the run's; NaN where nothing was compared
  bool kept_start = false;                 ///< the loss did not fall, so the weights are those of the start
  std::size_t cut_bytes = 0;               ///< of an incomplete record at the end of the log that was resumed
};

namespace detail {

template <class O>
concept owns_parameters =
    requires(O& owner, parameter_list& list, const std::string& name) { owner.add_to(list, name); };

}  // namespace detail

/// Fine-tunes the buffers of an engine that exists already, with nothing but its loss:
///
///   zo::fine_tuner tuner;
///   for (auto& m : engine.matrices()) tuner.add(m.name, m.values);
///   tuner.run(600, [&](std::uint32_t step, std::uint32_t micro_batch) { return engine.loss(step, micro_batch); });
///
/// The loss is called for one point at a time, with the point in the buffers. Where it throws, the masters are put
/// back bit by bit as they were after the last whole step; a log goes on from there, by another tuner with the start
/// weights and `resume`. It must be the same number for the same weights, step and micro-batch, and have data for
/// steps beyond those of the run: what training gained is measured there, since on the data that was trained on it
/// may be none. Directions, estimator, optimizer and scales are this object's, so there is no second place to name
/// them in; a perturbation of weights is measured in the root mean square of their tensor where `add` is given no
/// unit.
///
/// Memory beside the buffers: the bytes of what trains once (its masters while a point lies in the buffers), and once
/// more where `compared_steps` is not 0. Cost of a step: 2 · directions · micro_batches calls of the loss.
template <distribution Distribution = rademacher>
class basic_fine_tuner {
 public:
  using progress_callback = std::function<void(const fine_tuner_progress&)>;

  /// `rules` say by patterns of names what trains, in which group, with which unit (see `parameter_list`).
  explicit basic_fine_tuner(fine_tuner_options options = {}, std::vector<tensor_rule> rules = {})
      : options_(std::move(options)), parameters_(std::move(rules)), threads_(options_.threads) {
    require(options_.directions > 0 && options_.micro_batches > 0, "fine_tuner: {} on {}; both must be at least 1",
            plural(options_.directions, "direction"), plural(options_.micro_batches, "micro-batch"));
    require(options_.relative_loss_increase > 0 && std::isfinite(options_.relative_loss_increase),
            "fine_tuner: a relative loss increase of {}; it must be a positive number",
            options_.relative_loss_increase);
    require(!options_.resume || !options_.log.empty(), "fine_tuner: there is no log to resume; give its path");
  }

  /// Hands a buffer over; see `parameter_list::add` for the formats, and for what is refused.
  template <class Masters>
    requires(!detail::owns_parameters<std::remove_cvref_t<Masters>>)
  void add(std::string_view name, Masters&& masters, parameter_list::group_choice group = {},
           std::span<const float> unit = {}) {
    require_open(name);
    parameters_.add(name, std::forward<Masters>(masters), group, unit);
  }
  /// Hands over something that knows its own parameters, such as `quant::host_matrix` with its step sizes.
  template <class Owner>
    requires detail::owns_parameters<Owner>
  void add(std::string_view name, Owner& owner) {
    require_open(name);
    parameters_.all_or_none([&] { owner.add_to(parameters_, std::string(name)); });
  }
  /// A buffer that may only be read: trains a copy and returns it, for the engine to read.
  [[nodiscard]] std::span<float> add_copy(std::string_view name, std::span<const float> values,
                                          parameter_list::group_choice group = {}, std::span<const float> unit = {}) {
    require_open(name);
    return parameters_.add_copy(name, values, group, unit);
  }
  [[nodiscard]] const parameter_list& parameters() const noexcept { return parameters_; }

  /// Measures the scales, unless that was done before, and says what they are; `run` does it by itself. Throws
  /// value_error where nothing trains, where a rule matches no tensor, where a buffer holds what is not finite, where
  /// no perturbation changes the loss, and inside a loss of this tuner.
  template <class Loss>
  const balanced_scales& probe(Loss&& loss) {
    const busy_guard here(busy_);
    return measure(loss);
  }
  /// One line about the probe: what trains, how far it is moved, and what that does. Empty before there was one.
  [[nodiscard]] std::string probe_line() const {
    if (!scales_) return {};
    double count = 0;
    std::string moved;
    for (const parameter_group group : all_parameter_groups) {
      if (scales_->epsilon[group] == 0) continue;
      count += scales_->count[group];
      moved += fmt::format("{}{} by {:.3g}{}", moved.empty() ? "" : ", ",
                           parameter_group_names[static_cast<std::size_t>(group)], scales_->epsilon[group],
                           scales_->at_bound[group] ? " (as far as it may)" : "");
    }
    return fmt::format(
        "{}, {:.0f} parameters; moving {} of its size takes the loss of {:.4f} up by {:.2g} ({:.2g} "
        "was aimed at)",
        plural(parameters_.size(), "tensor"), count, moved, scales_->loss, scales_->loss_increase,
        scales_->aimed_increase);
  }

  /// Makes a run of `steps` steps with `loss(step, micro_batch)`: the loss of the weights as they lie in the buffers,
  /// on a part of the data of a step. With a log, the run can be broken off at any time and resumed with the same
  /// start weights; it ends in the bits of the unbroken one. `after_step(progress)` is told of every step. A log
  /// holds the steps that were made, whether or not the start was kept in the end. Throws as `probe` does, for a loss
  /// that is not finite on the steps that are compared, and, before any loss is evaluated, where the log cannot be
  /// written or this tuner wrote it before: it begins with the weights that the tuner was given.
  template <class Loss>
    requires std::is_invocable_r_v<double, Loss&, std::uint32_t, std::uint32_t>
  fine_tuner_result run(std::uint32_t steps, Loss&& loss, const progress_callback& after_step = {}) {
    require(steps > 0 && steps <= most_steps, "fine_tuner: a run of {} steps; it takes 1 to {}", steps, most_steps);
    require(!logged_,
            "{}: this tuner has written the log before; resume it with another one that has the start weights",
            options_.log.native());
    const busy_guard here(busy_);
    begin();
    std::optional<run_log> log;
    if (options_.resume)
      log.emplace(resume_log(steps));
    else if (!options_.log.empty())
      run_log::require_creatable(options_.log, options_.log_how);
    measure(loss);
    parabolic<> optimizer{.scales = *scales_, .schedule = {.steps = steps}};
    const auto estimator = make_estimator();
    const std::vector<std::byte> start = options_.compared_steps > 0 ? copy_of_masters() : std::vector<std::byte>();
    fine_tuner_result result;
    if (options_.compared_steps > 0) {
      const std::uint64_t given = start_of_run();
      result.loss_before = mean_loss(loss, steps);
      if (start_of_run() != given) {
        restore_masters(start);
        fail("fine_tuner: the loss writes to the buffers; let it quantize into others");
      }
      require(
          std::isfinite(result.loss_before),
          "fine_tuner: the loss on steps {} to {}, which are compared before and after, is {}; have data for them, "
          "or set compared_steps to 0",
          steps, steps + std::min(steps, options_.compared_steps) - 1, result.loss_before);
    }
    std::uint32_t first = 0;
    if (log) {
      result.cut_bytes = log->cut_bytes();
      for (const planned_update& u : log->updates()) {
        apply(update{u, estimator.distribution}, tensors_, threads_);
        optimizer.replay(u);
        first = u.step + 1;
      }
    } else if (!options_.log.empty()) {
      log.emplace(run_log::create(
          options_.log, {options_.seed, start_of_run(), settings_of(steps), Distribution::name(), steps, {}},
          options_.log_how));
    }
    logged_ = log.has_value();
    host_objective objective{in_place(tensors_, bound_loss<Loss>{loss, step_}, threads_), step_};
    for (std::uint32_t step = first; step < steps; ++step) {
      objective.select(step);
      const auto estimate = estimator(step, objective);
      const auto next = plan(optimizer, estimate);
      if (log) log->append(next);  // first: a log that is a step behind its weights could not be resumed
      apply(next, tensors_, threads_);
      result.rejected += estimate.rejected();
      ++result.steps;
      if (after_step) after_step({step, steps, estimate.loss, result.rejected});
    }
    if (log) log->sync();
    if (options_.compared_steps > 0) {
      result.loss_after = mean_loss(loss, steps);
      result.kept_start = !(result.loss_after < result.loss_before);
      if (result.kept_start) restore_masters(start);
    } else {
      result.loss_before = result.loss_after = std::numeric_limits<double>::quiet_NaN();
    }
    return result;
  }

  /// Makes the steps of a log again, from the weights it started from: no loss is evaluated. Returns how many there
  /// were. Throws value_error for other start weights, and io_error for a log that is not whole.
  std::uint32_t replay(const std::filesystem::path& path) {
    const busy_guard here(busy_);
    begin();
    const run_log log = run_log::read(path);
    require_same_run(log);
    for (const planned_update& u : log.updates()) apply(update{u, Distribution{}}, tensors_, threads_);
    return static_cast<std::uint32_t>(log.updates().size());
  }

  /// The lanes of a step, for a host that evaluates them in an order of its own or on other machines; after `probe`.
  /// Fill in `losses()` of what is returned and tell it to `tell`.
  [[nodiscard]] asked_lanes<Distribution> ask(std::uint32_t step) const {
    require(scales_.has_value(), "fine_tuner: ask needs scales; call probe(loss) first");
    return make_estimator().ask(step);
  }
  /// The loss at one of the lanes that were asked for: puts its point into the buffers, calls `loss()`, puts the
  /// masters back.
  template <class Loss>
  [[nodiscard]] double evaluate(const asked_lanes<Distribution>& asked, std::size_t lane, Loss&& loss) {
    require(lane < asked.size(), "fine_tuner: there is no lane {}; the step has {}", lane, asked.size());
    const busy_guard here(busy_);
    double result = 0;
    in_place(tensors_, std::ref(loss), threads_)(asked.lanes().part(lane, 1), 0, std::span(&result, 1));
    return result;
  }
  /// Makes the step that the losses lead to, of `steps` in all; false where it was rejected. Losses may come in any
  /// order and late, but all machines must tell the same steps in the same order. Where it throws, nothing was told.
  bool tell(std::uint32_t step, const loss_table& losses, std::uint32_t steps) {
    require(scales_.has_value(), "fine_tuner: tell needs scales; call probe(loss) first");
    require(step < steps, "fine_tuner: step {} of {} was told; steps count from 0", step, steps);
    const busy_guard here(busy_);
    require(options_.log.empty(), "{}: steps that are told are not logged; use run, or a run_log of your own",
            options_.log.native());
    require(!told_ || told_->schedule.steps == steps,
            "fine_tuner: step {} was told as one of {}, but those before as {}", step, steps,
            told_ ? told_->schedule.steps : 0);
    require(!std::ranges::binary_search(told_steps_, step), "fine_tuner: step {} was told before", step);
    const auto estimate = make_estimator().tell(step, losses);
    parabolic<> ahead = told_.value_or(parabolic<>{.scales = *scales_, .schedule = {.steps = steps}});
    const auto next = plan(ahead, estimate);
    if (told_steps_.size() == told_steps_.capacity()) told_steps_.reserve(2 * told_steps_.size() + 1);
    apply(next, tensors_, threads_);
    told_ = ahead;  // from here on nothing fails
    told_steps_.insert(std::ranges::lower_bound(told_steps_, step), step);
    return !estimate.rejected();
  }

 private:
  /// What ε may be; all weights have units, so that these hold for every group.
  static constexpr float smallest_epsilon = 1e-6f, largest_epsilon = 1;
  static constexpr std::uint32_t most_steps = 1u << 30;  ///< those that are compared are counted from there

  /// Keeps a loss or a callback from starting what it is called by: the points in the buffers would be mixed up.
  class busy_guard {
   public:
    explicit busy_guard(bool& busy) : busy_(busy) {
      require(!busy, "fine_tuner: a run of this tuner is going on; a loss or callback cannot start another one");
      busy_ = true;
    }
    busy_guard(const busy_guard&) = delete;
    busy_guard& operator=(const busy_guard&) = delete;
    ~busy_guard() { busy_ = false; }

   private:
    bool& busy_;
  };

  /// Scales are of the tensors that were there when they were measured.
  void require_open(std::string_view name) const {
    require(!busy_, "fine_tuner: '{}' is added while the tuner measures; add all buffers first", name);
    require(!scales_, "fine_tuner: '{}' comes after the scales were measured; add all buffers first", name);
  }
  /// The list with a unit for every tensor.
  struct measured_tensors {
    std::vector<parameter> all;
    template <class F>
    void for_each_parameter(F&& visit) const {
      for (const parameter& p : all) visit(p);
    }
  };
  template <class Loss>
  struct bound_loss {
    std::remove_reference_t<Loss>& loss;
    const std::uint32_t& step;
    double operator()(std::size_t micro_batch) { return loss(step, static_cast<std::uint32_t>(micro_batch)); }
  };
  template <class Inner>
  struct host_objective {
    Inner inner;
    std::uint32_t& step;
    void select(std::uint32_t next) { step = next; }
    void operator()(const lane_points<Distribution>& at, std::size_t micro_batch, std::span<double> losses) {
      inner(at, micro_batch, losses);
    }
  };
  template <class Inner>
  host_objective(Inner, std::uint32_t&) -> host_objective<Inner>;

  template <class Loss>
  const balanced_scales& measure(Loss& loss) {
    if (scales_) return *scales_;
    begin();
    host_objective objective{in_place(tensors_, bound_loss<Loss>{loss, step_}, threads_), step_};
    balance_options how{.relative_loss_increase = options_.relative_loss_increase, .seed = ~options_.seed};
    how.smallest_epsilon = smallest_epsilon;
    how.largest_epsilon = largest_epsilon;
    balanced_scales found = balance(tensors_, objective, Distribution{}, how);
    constexpr double smallest = 1e-15, largest = 1e15;  // squares of differences must be floats
    require(found.aimed_increase > smallest && found.aimed_increase < largest,
            "fine_tuner: the loss is {}; bring it between {} and {}, as by a factor", found.loss, smallest, largest);
    require(
        found.loss_increase != 0,
        "fine_tuner: moving everything by {} of its size leaves the loss at {} to the last bit: does it read these "
        "buffers?",
        fmt::join(nonzero(found.epsilon), ", "), found.loss);
    scales_ = found;
    return *scales_;
  }

  [[nodiscard]] estimator<central, Distribution> make_estimator() const {
    return {.epsilon = scales_->epsilon,
            .directions = options_.directions,
            .micro_batches = options_.micro_batches,
            .seed = options_.seed};
  }

  /// Takes the tensors as they are now. A tensor without a unit gets its root mean square; one of zeros alone that of
  /// the others, since it is to be as large as they are.
  void begin() {
    require_finite();
    if (tensors_.all.size() == parameters_.size() && !tensors_.all.empty()) return;
    require(parameters_.size() > 0,
            "fine_tuner: there is nothing to train; add buffers, and see that a rule leaves some");
    const auto unmatched = parameters_.unmatched_patterns();
    require(unmatched.empty(),
            "fine_tuner: the rule '{}' holds for no tensor: is it misspelled, or do rules before it hold for all it "
            "names?",
            unmatched.empty() ? "" : unmatched.front());
    std::vector<parameter> tensors;
    std::deque<float> units;
    double squares = 0, count = 0;
    std::vector<std::pair<std::size_t, double>> without;
    parameters_.for_each_parameter([&](const parameter& p) {
      tensors.push_back(p);
      if (!p.unit.empty() || p.group != parameter_group::weight) return;  // logarithms and gains are near 0 and 1
      const double of_tensor = detail::sum_of_squares(p);
      squares += of_tensor, count += static_cast<double>(p.size());
      without.emplace_back(tensors.size() - 1, of_tensor / static_cast<double>(p.size()));
    });
    for (const auto& [index, mean] : without) {
      const double size = std::sqrt(mean > 0 ? mean : squares > 0 ? squares / count : 1.0);
      tensors[index].unit = {&units.emplace_back(static_cast<float>(size)), 1};
    }
    tensors_.all.swap(tensors);
    units_.swap(units);
  }
  void require_finite() const {
    parameters_.for_each_parameter([&](const parameter& p) {
      require(std::isfinite(detail::sum_of_squares(p)), "fine_tuner: '{}' holds a value that is not finite", p.name);
    });
  }
  static std::vector<float> nonzero(const per_group<float>& epsilon) {
    std::vector<float> values;
    for (const parameter_group group : all_parameter_groups)
      if (epsilon[group] != 0) values.push_back(epsilon[group]);
    return values;
  }

  /// On data that a run of `steps` steps does not see.
  template <class Loss>
  double mean_loss(Loss& loss, std::uint32_t steps) {
    const std::uint32_t compared = std::min(steps, options_.compared_steps);
    double sum = 0;
    for (std::uint32_t step = steps; step != steps + compared; ++step)
      for (std::uint32_t m = 0; m != options_.micro_batches; ++m) sum += static_cast<double>(loss(step, m));
    return sum / (static_cast<double>(compared) * options_.micro_batches);
  }
  std::vector<std::byte> copy_of_masters() const {
    std::size_t bytes = 0;
    for (const parameter& p : tensors_.all) bytes += stored_bytes(p);
    std::vector<std::byte> copy;
    copy.reserve(bytes);
    for (const parameter& p : tensors_.all)
      for_each_stored_run(p,
                          [&](std::span<const std::byte> run) { copy.insert(copy.end(), run.begin(), run.end()); });
    return copy;
  }
  void restore_masters(std::span<const std::byte> copy) {
    for (const parameter& p : tensors_.all)
      for_each_stored_run(p, [&](std::span<const std::byte> run) {
        std::ranges::copy(copy.first(run.size()), const_cast<std::byte*>(run.data()));
        copy = copy.subspan(run.size());
      });
  }

  /// Hash of what a log goes on from: weights, and which of them move together along which directions.
  [[nodiscard]] std::uint64_t start_of_run() {
    std::uint64_t hash = fingerprint(tensors_);
    for (const parameter& p : tensors_.all) {
      const std::array<std::uint32_t, 2> place{p.id, static_cast<std::uint32_t>(p.group)};
      hash = hash_bytes(std::as_bytes(std::span(place)), hash);
    }
    return hash;
  }

  // --- The log: its settings are the numbers that were measured, so that a resumed run need not measure again ---
  [[nodiscard]] std::string settings_of(std::uint32_t steps) const {
    std::string text = fmt::format(
        "fine_tuner steps={} directions={} micro_batches={} loss={:a} loss_increase={:a} aimed_increase={:a}", steps,
        options_.directions, options_.micro_batches, scales_->loss, scales_->loss_increase, scales_->aimed_increase);
    for (const parameter_group group : all_parameter_groups)
      text +=
          fmt::format(" {}={:a}", parameter_group_names[static_cast<std::size_t>(group)], scales_->epsilon[group]);
    return text;
  }
  void require_same_run(const run_log& log) {
    require(log.header().distribution == Distribution::name(), "{}: the log's directions are {}, but this tuner's {}",
            log.path().native(), log.header().distribution, Distribution::name());
    require(log.header().start == start_of_run(),
            "{}: the log started from other weights, groups or rules (fingerprint {:016x}, here {:016x}); give the "
            "tuner those, in the same order",
            log.path().native(), log.header().start, start_of_run());
  }
  run_log resume_log(std::uint32_t steps) {
    run_log log = run_log::resume(options_.log, options_.log_how);
    require_same_run(log);
    balanced_scales found;
    const auto number = [&](std::string_view name) {
      const std::string key = fmt::format(" {}=", name);
      const std::size_t at = log.header().settings.find(key);
      require<io_error>(at != std::string::npos, "{}: the log's settings lack '{}'", log.path().native(), name);
      const std::string& text = log.header().settings;
      const char* const end = text.data() + text.size();
      double value = 0;  // read as it was written, whatever the locale says of decimal points
      const char* first = text.data() + at + key.size();
      const bool negative = first != end && *first == '-';
      first += negative ? 1 : 0;
      const bool hexadecimal = end - first > 2 && first[0] == '0' && first[1] == 'x';
      first += hexadecimal ? 2 : 0;
      const auto [stopped, error] =
          std::from_chars(first, end, value, hexadecimal ? std::chars_format::hex : std::chars_format::general);
      require<io_error>(error == std::errc(), "{}: the log's setting '{}' is no number", log.path().native(), name);
      return negative ? -value : value;
    };
    const auto require_equal = [&](std::string_view name, double here) {
      require(number(name) == here, "{}: the run in the log has {} = {}, but this one {}", log.path().native(), name,
              number(name), here);
    };
    require_equal("steps", steps);
    require_equal("directions", options_.directions);
    require_equal("micro_batches", options_.micro_batches);
    require(log.header().seed == options_.seed, "{}: the run in the log has seed {}, but this one {}",
            log.path().native(), log.header().seed, options_.seed);
    found.loss = number("loss");
    found.loss_increase = number("loss_increase");
    found.aimed_increase = number("aimed_increase");
    for (const parameter_group group : all_parameter_groups) {
      const float epsilon = static_cast<float>(number(parameter_group_names[static_cast<std::size_t>(group)]));
      found.epsilon[group] = epsilon;
      found.at_bound[group] = epsilon != 0 && (epsilon <= smallest_epsilon || epsilon >= largest_epsilon);
    }
    for (const parameter& p : tensors_.all) found.count[p.group] += static_cast<double>(p.size());
    scales_ = found;
    return log;
  }

  fine_tuner_options options_;
  parameter_list parameters_;
  thread_pool threads_;
  measured_tensors tensors_;
  std::deque<float> units_;
  std::optional<balanced_scales> scales_;
  std::optional<parabolic<>> told_;
  buffer<std::uint32_t> told_steps_;  ///< in their order
  std::uint32_t step_ = 0;
  bool busy_ = false, logged_ = false;
};

using fine_tuner = basic_fine_tuner<>;

}  // namespace zoqat::zo
