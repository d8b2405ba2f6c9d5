// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/embed/fine_tuner.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/failing_new.hpp>
#include <support/files.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace zoqat;
using zo::fine_tuner;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;
using zoqat::testing::temporary_folder;

namespace {

/// An engine that knows nothing of the library: two buffers of very different size, and a loss on data that follows
/// the step and its part.
struct engine {
  std::vector<float> large = std::vector<float>(200, 30.0f), small = std::vector<float>(300, 0.002f);
  std::uint32_t calls = 0;

  double loss(std::uint32_t step, std::uint32_t micro_batch) {
    ++calls;
    const double data = 0.02 * (static_cast<double>((step * 7 + micro_batch * 3) % 11) - 5);
    double total = 1;
    for (const float w : large) total += 1e-3 * std::pow(double{w} - 20 - data, 2);
    for (const float w : small) total += 2e5 * std::pow(double{w} - 0.001, 2);
    return total;
  }
  auto bound() {
    return [this](std::uint32_t step, std::uint32_t micro_batch) { return loss(step, micro_batch); };
  }
  void give_to(fine_tuner& tuner) {
    tuner.add("large", std::span(large));
    tuner.add("small", std::span(small));
  }
};

/// Some losses of a step, all finite.
zo::loss_table finite_losses(const fine_tuner& tuner) {
  zo::loss_table losses = tuner.ask(0).losses();
  for (std::size_t m = 0; m != losses.micro_batches(); ++m)
    for (std::size_t lane = 0; lane != losses.lanes(); ++lane) losses.set(lane, m, 1.0 + static_cast<double>(lane));
  return losses;
}

}  // namespace

TEST_CASE("a host's buffers are fine-tuned with no number chosen, however different their sizes are") {
  engine e;
  const double before = e.loss(0, 0);
  fine_tuner tuner;
  e.give_to(tuner);
  const auto result = tuner.run(600, e.bound());
  CHECK(result.steps == 600);
  CHECK(result.rejected == 0);
  CHECK_FALSE(result.kept_start);
  CHECK(result.loss_after < result.loss_before);
  CHECK(e.loss(0, 0) - 1 < 0.7 * (before - 1));
  CHECK(tuner.probe_line().find("2 tensors, 500 parameters") != std::string::npos);
}

TEST_CASE("a run that does not improve keeps the start, bit for bit, and says so") {
  engine e;
  const auto large = e.large, small = e.small;
  fine_tuner tuner;
  e.give_to(tuner);
  std::uint32_t calls = 0;
  // After the probe every move makes it worse, whatever the measurements say.
  const auto result = tuner.run(20, [&](std::uint32_t, std::uint32_t) {
    double total = 1 + 1e-4 * ++calls;
    for (std::size_t i = 0; i != e.large.size(); ++i) total += std::pow(double{e.large[i]} - double{large[i]}, 2);
    return total;
  });
  CHECK(result.kept_start);
  CHECK(e.large == large);
  CHECK(e.small == small);
}

TEST_CASE("what training gained is measured on data that it did not see, and a gain on its own data alone is none") {
  engine e;
  const auto large = e.large;
  fine_tuner tuner({.compared_steps = 5});
  e.give_to(tuner);
  std::uint32_t last_step = 0;
  const auto result = tuner.run(100, [&](std::uint32_t step, std::uint32_t) {
    last_step = std::max(last_step, step);
    const double wanted = step < 100 ? 20 : 30.5;
    double total = 1;
    for (const float w : e.large) total += 1e-3 * std::pow(double{w} - wanted, 2);
    return total;
  });
  CHECK(last_step == 104);
  CHECK(result.kept_start);
  CHECK(result.loss_after > result.loss_before);
  CHECK(e.large == large);
}

TEST_CASE("a run that is broken off is resumed to the bits of the unbroken one, and its log replays to them") {
  const temporary_folder folder;
  const auto options = [&](const char* name, bool resume) {
    return zo::fine_tuner_options{.seed = 4, .log = folder / name, .resume = resume, .compared_steps = 0};
  };
  engine whole;
  fine_tuner first(options("whole", false));
  whole.give_to(first);
  first.run(40, whole.bound());

  engine broken;
  {
    fine_tuner tuner(options("broken", false));
    broken.give_to(tuner);
    CHECK_THROWS_AS(tuner.run(40, broken.bound(),
                              [](const zo::fine_tuner_progress& p) {
                                if (p.step == 17) throw std::runtime_error("the machine");
                              }),
                    std::runtime_error);
  }
  engine again;
  fine_tuner resumed(options("broken", true));
  again.give_to(resumed);
  const auto result = resumed.run(40, again.bound());
  CHECK(result.steps == 22);
  CHECK(resumed.probe_line() == first.probe_line());
  CHECK(again.large == whole.large);
  CHECK(again.small == whole.small);

  engine replayed;
  fine_tuner from_log;
  replayed.give_to(from_log);
  CHECK(from_log.replay(folder / "broken") == 40);
  CHECK(replayed.large == whole.large);
  CHECK(replayed.calls == 0);

  engine other;
  other.large[0] = 1;
  fine_tuner mismatched(options("broken", true));
  other.give_to(mismatched);
  check_mentions(message_of<value_error>([&] { mismatched.run(40, other.bound()); }), "broken", "other weights");
  engine longer;
  fine_tuner differing(options("broken", true));
  longer.give_to(differing);
  check_mentions(message_of<value_error>([&] { differing.run(41, longer.bound()); }), "steps = 40", "41");
}

TEST_CASE("steps whose loss is not finite change nothing and are counted") {
  engine e;
  fine_tuner tuner({.compared_steps = 0});
  e.give_to(tuner);
  tuner.probe(e.bound());
  const auto large = e.large;
  const auto result =
      tuner.run(5, [](std::uint32_t, std::uint32_t) { return std::numeric_limits<double>::quiet_NaN(); });
  CHECK(result.rejected == 5);
  CHECK(e.large == large);
}

TEST_CASE("whatever the loss throws, the buffers are as they were") {
  engine e;
  fine_tuner tuner({.compared_steps = 0});
  e.give_to(tuner);
  tuner.probe(e.bound());
  const auto large = e.large, small = e.small;
  CHECK_THROWS_AS(tuner.run(5, [](std::uint32_t, std::uint32_t) -> double { throw std::runtime_error("engine"); }),
                  std::runtime_error);
  CHECK(e.large == large);
  CHECK(e.small == small);
}

TEST_CASE("lanes that are asked for, evaluated out of order and told, are the steps of a run") {
  engine by_run, by_hand;
  fine_tuner one({.seed = 3, .compared_steps = 0}), other({.seed = 3, .compared_steps = 0});
  by_run.give_to(one);
  by_hand.give_to(other);
  one.run(10, by_run.bound());
  other.probe(by_hand.bound());
  for (std::uint32_t step = 0; step != 10; ++step) {
    const auto asked = other.ask(step);
    auto losses = asked.losses();
    for (std::uint32_t m = asked.micro_batches; m-- > 0;)
      for (std::size_t lane = asked.size(); lane-- > 0;)
        losses.set(lane, m, other.evaluate(asked, lane, [&] { return by_hand.loss(step, m); }));
    CHECK(other.tell(step, losses, 10));
  }
  CHECK(by_run.large == by_hand.large);
  CHECK(by_run.small == by_hand.small);
}

TEST_CASE("a run that could not end well is refused before it begins") {
  engine e;
  const auto run_of = [&](fine_tuner& tuner, std::uint32_t steps = 5) {
    return message_of<value_error>([&] { tuner.run(steps, e.bound()); });
  };
  const auto refused = [&](fine_tuner&& tuner, std::uint32_t steps = 5) {
    e.give_to(tuner);
    return run_of(tuner, steps);
  };
  check_mentions(refused(fine_tuner(), static_cast<std::uint32_t>(-1)), "4294967295 steps");
  const temporary_folder folder;
  fine_tuner nowhere({.log = folder / "no" / "log"});
  e.give_to(nowhere);
  check_mentions(message_of<io_error>([&] { nowhere.run(5, e.bound()); }), "log", "No such file");
  CHECK(e.calls == 0);
  // A value that is not finite, before or after the buffer was handed over.
  fine_tuner late;
  e.give_to(late);
  e.small[17] = std::numeric_limits<float>::quiet_NaN();
  check_mentions(run_of(late), "'small'", "not finite");
  e.small[17] = 0.002f;
  CHECK(e.calls == 0);
  // Data for the comparison.
  fine_tuner compared;
  e.give_to(compared);
  check_mentions(message_of<value_error>([&] {
                   compared.run(1000, [&](std::uint32_t step, std::uint32_t m) {
                     return step < 1000 ? e.loss(step, m) : std::numeric_limits<double>::quiet_NaN();
                   });
                 }),
                 "steps 1000 to 1031", "compared_steps");
}

TEST_CASE("a log begins with the weights that the tuner was given, so one tuner writes it once") {
  const temporary_folder folder;
  engine e;
  fine_tuner tuner({.log = folder / "log", .compared_steps = 0});
  e.give_to(tuner);
  const auto stop = [](const zo::fine_tuner_progress& progress) {
    if (progress.step == 3) throw std::runtime_error("enough");
  };
  CHECK_THROWS_AS(tuner.run(10, e.bound(), stop), std::runtime_error);
  check_mentions(message_of<value_error>([&] { tuner.run(10, e.bound()); }), "has written the log", "resume");
  engine again;
  fine_tuner resumed({.log = folder / "log", .resume = true, .compared_steps = 0});
  again.give_to(resumed);
  CHECK(resumed.run(10, again.bound()).steps == 6);
}

TEST_CASE("a loss or a callback cannot start what it is called by") {
  engine e;
  fine_tuner tuner({.compared_steps = 0});
  e.give_to(tuner);
  const auto nested = [&](auto&&...) -> double { return tuner.run(1, e.bound()).loss_after; };
  check_mentions(message_of<value_error>([&] { tuner.run(5, nested); }), "going on");
  check_mentions(message_of<value_error>([&] {
                   tuner.run(5, e.bound(), [&](const zo::fine_tuner_progress&) { tuner.run(1, e.bound()); });
                 }),
                 "going on");
  CHECK_NOTHROW(tuner.run(5, e.bound()));  // and what was refused leaves no mark
  const auto asked = tuner.ask(0);
  const auto inner = [&] { return tuner.evaluate(asked, 0, [] { return 1.0; }); };
  check_mentions(message_of<value_error>([&] { (void)tuner.evaluate(asked, 0, inner); }), "going on");
  check_mentions(message_of<value_error>([&] {
                   tuner.run(5, e.bound(),
                             [&](const zo::fine_tuner_progress&) { tuner.tell(0, finite_losses(tuner), 5); });
                 }),
                 "going on");
  const temporary_folder folder;
  check_mentions(message_of<value_error>([&] {
                   tuner.run(5, e.bound(), [&](const zo::fine_tuner_progress&) { tuner.replay(folder / "log"); });
                 }),
                 "going on");
  fine_tuner fresh;
  e.give_to(fresh);
  std::vector<float> more(8, 1.0f);
  check_mentions(message_of<value_error>([&] {
                   fresh.probe([&](std::uint32_t step, std::uint32_t m) {
                     fresh.add("more", std::span(more));
                     return e.loss(step, m);
                   });
                 }),
                 "'more'", "add all buffers first");
}

TEST_CASE("a loss that is far beyond the others costs its step and nothing else") {
  engine e;
  fine_tuner tuner({.compared_steps = 0});
  e.give_to(tuner);
  tuner.probe(e.bound());
  std::uint32_t spikes = 0;
  const auto result = tuner.run(20, [&](std::uint32_t step, std::uint32_t m) {
    if (step == 4 && spikes == 0) return ++spikes, 1e20;
    return e.loss(step, m);
  });
  CHECK(result.rejected == 1);
  for (const float w : e.large) CHECK(std::isfinite(w));
  for (const double scale : {1e-20, 1e25}) {
    fine_tuner scaled;
    engine other;
    other.give_to(scaled);
    check_mentions(message_of<value_error>([&] {
                     scaled.probe([&](std::uint32_t s, std::uint32_t m) { return scale * other.loss(s, m); });
                   }),
                   "the loss is", "by a factor");
  }
}

TEST_CASE("a log is of its groups and rules too, and is read whatever the locale") {
  const temporary_folder folder;
  engine e;
  fine_tuner tuner({.log = folder / "log", .compared_steps = 0});
  e.give_to(tuner);
  tuner.run(5, e.bound());
  engine again;
  fine_tuner regrouped({.compared_steps = 0}, {{.pattern = "small", .group = parameter_group::norm}});
  again.give_to(regrouped);
  check_mentions(message_of<value_error>([&] { regrouped.replay(folder / "log"); }),
                 "other weights, groups or rules");
  fine_tuner shifted({.compared_steps = 0}, {{.pattern = "first", .trains = false}});
  std::vector<float> first(4, 1.0f);
  shifted.add("first", std::span(first));
  again.give_to(shifted);
  check_mentions(message_of<value_error>([&] { shifted.replay(folder / "log"); }), "other weights, groups or rules");
}

TEST_CASE("a loss that writes to the buffers is refused, and they are put back") {
  engine e;
  fine_tuner tuner;
  e.give_to(tuner);
  const auto large = e.large;
  check_mentions(message_of<value_error>([&] {
                   tuner.run(5, [&](std::uint32_t step, std::uint32_t m) {
                     for (float& w : e.large) w = std::round(w);
                     e.large[0] = 7;
                     return e.loss(step, m);
                   });
                 }),
                 "writes to the buffers");
  CHECK(e.large == large);
}

TEST_CASE("steps that are told are those of the run, each once") {
  engine e;
  fine_tuner tuner;
  e.give_to(tuner);
  tuner.probe(e.bound());
  CHECK(tuner.tell(3, finite_losses(tuner), 10));
  check_mentions(message_of<value_error>([&] { tuner.tell(3, finite_losses(tuner), 10); }), "step 3", "before");
  check_mentions(message_of<value_error>([&] { tuner.tell(10, finite_losses(tuner), 10); }), "step 10 of 10");
}

TEST_CASE("what cannot be tuned is an error that says what to do") {
  engine e;
  fine_tuner nothing;
  check_mentions(message_of<value_error>([&] { nothing.run(5, e.bound()); }), "nothing to train");
  fine_tuner misspelled({}, {{.pattern = "largee", .trains = false}});
  e.give_to(misspelled);
  check_mentions(message_of<value_error>([&] { misspelled.run(5, e.bound()); }), "largee");
  fine_tuner flat;
  e.give_to(flat);
  check_mentions(message_of<value_error>([&] { flat.run(5, [](std::uint32_t, std::uint32_t) { return 1.0; }); }),
                 "does it read these buffers");
  check_mentions(message_of<value_error>([] { fine_tuner({.resume = true}); }), "log");
  check_mentions(message_of<value_error>([] { fine_tuner({.micro_batches = 0}); }), "micro-batch");
  fine_tuner late;
  e.give_to(late);
  late.probe(e.bound());
  std::vector<float> more(8, 1.0f);
  check_mentions(message_of<value_error>([&] { late.add("more", std::span(more)); }), "'more'", "add all buffers");
  (void)late.tell(0, finite_losses(late), 10);
  check_mentions(message_of<value_error>([&] { late.tell(1, finite_losses(late), 11); }), "10", "11");
  const temporary_folder folder;
  fine_tuner logged({.log = folder / "log"});
  e.give_to(logged);
  logged.probe(e.bound());
  check_mentions(message_of<value_error>([&] { (void)logged.tell(0, finite_losses(logged), 10); }), "log",
                 "told are not logged");
  fine_tuner early;
  e.give_to(early);
  check_mentions(message_of<value_error>([&] { (void)early.ask(0); }), "probe");
}

TEST_CASE("a probe for which memory runs out is made again, as if nothing had been") {
  engine e, other;
  fine_tuner tuner({.threads = 1}), fresh({.threads = 1});
  e.give_to(tuner);
  other.give_to(fresh);
  fresh.probe(other.bound());
  std::size_t moved = 0;
  const std::size_t failures = zoqat::testing::fail_each_allocation(
      [&] { tuner.probe(e.bound()); }, [&] { moved += e.large != other.large || e.small != other.small; });
  CHECK(failures > 50);
  CHECK(moved == 0);
  CHECK(tuner.probe_line() == fresh.probe_line());
}

TEST_CASE("a step that could not be told was not told") {
  engine e, other;
  fine_tuner tuner({.threads = 1}), fresh({.threads = 1});
  e.give_to(tuner);
  other.give_to(fresh);
  tuner.probe(e.bound());
  fresh.probe(other.bound());
  CHECK_THROWS_AS(tuner.tell(0, tuner.ask(0).losses(), 7), value_error);  // no loss is there
  std::size_t moved = 0;
  for (const std::uint32_t step : {0u, 1u, 2u}) {
    const auto before = e.large;
    const auto losses = finite_losses(tuner);
    const std::size_t failures = zoqat::testing::fail_each_allocation([&] { tuner.tell(step, losses, 10); },
                                                                      [&] { moved += e.large != before; });
    CHECK(failures > 3);
    CHECK(fresh.tell(step, losses, 10));
  }
  CHECK(moved == 0);
  CHECK(e.large == other.large);
  CHECK(e.small == other.small);
}

TEST_CASE("a run for which memory runs out leaves the buffers after a whole step, and goes on from its log") {
  const temporary_folder folder;
  constexpr std::uint32_t steps = 3;
  const auto options = [&](bool resume) {
    return zo::fine_tuner_options{
        .threads = 1, .log = folder / "log", .resume = resume, .log_how = {.replace = true}, .compared_steps = 0};
  };
  struct trial {
    engine e;
    fine_tuner tuner;
    explicit trial(zo::fine_tuner_options how) : tuner(std::move(how)) { e.give_to(tuner); }
  };
  trial whole(options(false));
  std::vector<std::vector<float>> after_steps{whole.e.large};
  whole.tuner.run(steps, whole.e.bound(),
                  [&](const zo::fine_tuner_progress&) { after_steps.push_back(whole.e.large); });
  std::size_t within_step = 0, other_end = 0;
  const std::size_t failures = zoqat::testing::fail_each_allocation(
      [&] {
        std::filesystem::remove(folder / "log");
        auto t = std::make_unique<trial>(options(false));
        t->tuner.probe(t->e.bound());
        return t;
      },
      [](auto& t) { t->tuner.run(steps, t->e.bound()); },
      [&](auto& t) {
        within_step += std::ranges::count(after_steps, t->e.large) != 1;
        trial next(options(std::filesystem::exists(folder / "log")));
        next.tuner.run(steps, next.e.bound());
        other_end += next.e.large != whole.e.large || next.e.small != whole.e.small;
      });
  CHECK(failures > 50);
  CHECK(within_step == 0);
  CHECK(other_end == 0);
}
