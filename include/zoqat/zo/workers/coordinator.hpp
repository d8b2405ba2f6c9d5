// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/log/log_format.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/workers/link.hpp>
#include <zoqat/zo/workers/member_objective.hpp>
#include <zoqat/zo/workers/message.hpp>
#include <zoqat/zo/workers/share.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo::workers {

/// What becomes of a step to which a worker does not send its share: it died, was too late, or was put out.
enum class missing_share {
  take_over,  ///< the coordinator evaluates it too: the run and its log are those of a single worker, bit for bit
  leave_out,  ///< the step goes on with what arrived (see estimator::tell_arrived), and its record says without what
  stop,       ///< the run ends with an error that names the worker; its log can be gone on with
};

struct coordinator_options {
  missing_share missing = missing_share::take_over;
  std::uint32_t wait_for = 0;  ///< workers that the first step waits for, beside the coordinator
  /// How long the first step waits for them; then it goes on with those that came, or the run ends, as `missing`
  /// says.
  std::chrono::milliseconds start_patience{60000};
  std::chrono::milliseconds patience{30000};    ///< how long a step waits once the coordinator's own share is done
  std::uint32_t fingerprint_every = 100;        ///< steps between comparisons of everybody's weights; 0: never
  std::function<void(std::string_view)> say{};  ///< is told who comes and who goes, in whole sentences
};

/// Bytes of messages, without what a transport adds.
struct traffic {
  std::uint64_t received = 0, sent = 0;
};

/// The worker that keeps the log, evaluates a share like the others, gathers all losses and says what they come to.
/// An objective that `train::run` and `estimator` take in the place of the one it shares:
///
///   coordinator shared(hub, loss, model, log, terms_of(estimator, "data and rates"), {.wait_for = 3});
///   train::run(model, shared, estimator, optimizer, {log.steps(), steps}, threads, train::write_log{&log});
///
/// All workers hold the same weights, which nobody sends. A step's losses are put in their places by lane and
/// micro-batch, and only then summed, so that the estimate, the update and the log have the same bits for any number
/// of workers and any split, also while workers come and go (but for `missing_share::leave_out`). Who joins late, or
/// comes back, is sent the log so far and makes its steps again; until it has, it takes no share. The split of a step
/// is decided when the step before it ends.
///
/// Throws worker_error as `missing_share::stop` says, and where more than half of all workers have other weights than
/// the coordinator; value_error before the first step where one has more losses than a message holds (some 8,000
/// pairs). Links carry neither passwords nor encryption: they are for networks whose machines trust each
/// other.
template <hub Hub, class Objective, parameter_store Store>
class coordinator : public member_objective<Objective, Store> {
  using base = member_objective<Objective, Store>;

 public:
  /// All that is given must outlive this. `terms`: see `terms_of`.
  coordinator(Hub& hub, Objective& loss, Store& parameters, const run_log& log, std::uint64_t terms,
              coordinator_options how = {})
      : base(loss, parameters), hub_(hub), log_(log), terms_(terms), how_(std::move(how)) {}
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;
  /// Tells whoever still waits that the run is over.
  ~coordinator() {
    const auto end = message_format::encode(message_format::text(
        message::kind::leave, 0, "the coordinator has ended the run; its log can be gone on with"));
    for (const member& m : members_) static_cast<void>(hub_.send(m.id, end));
  }

  template <class Difference, distribution Distribution, class Shaping>
    requires objective<Objective, Distribution>
  [[nodiscard]] estimate<Distribution> measure(const estimator<Difference, Distribution, Shaping>& estimator,
                                               std::uint32_t step) {
    const asked_lanes<Distribution> asked = estimator.ask(step);
    const split cut{asked.size(), asked.micro_batches, joined_lanes<Difference>};
    const bool leaves_out = how_.missing == missing_share::leave_out;
    if (!begun_) {
      message_format::require_messages_fit(estimator, leaves_out);
      begin(step, cut);
    }
    loss_table table = asked.losses();
    set_share(table, own_, evaluate_share(base::loss(), asked, own_));
    collect(step);
    compare_weights(step);
    fill_in(step, asked, table);
    const estimate<Distribution> result =
        leaves_out ? estimator.tell_arrived(step, table) : estimator.tell(step, table);
    finish(step, cut, result);
    return result;
  }

  /// Workers that share the next step, with the coordinator.
  [[nodiscard]] std::size_t workers() const noexcept { return sharing() + 1; }
  /// What was sent and received so far.
  [[nodiscard]] const traffic& bytes() const noexcept { return bytes_; }

 private:
  struct member {
    peer id = 0;
    std::string name{};
    bool ready = false;           ///< it can take a share
    std::optional<share> part{};  ///< that it has been told
    bool is_new = false;          ///< it has never sent losses, so they come with a fingerprint
    bool told = false;            ///< its losses of the step are there
    std::vector<double> losses{};
    std::optional<std::uint64_t> weights{};
  };
  /// A share of the step, whoever is left of those who took them.
  struct dealt_share {
    peer to;
    std::string name;
    share part;
  };
  struct split {
    std::size_t lanes, micro_batches, joined;
  };

  void say(std::string_view sentence) const {
    if (how_.say) how_.say(sentence);
  }
  [[nodiscard]] member* find(peer id) {
    const auto at = std::ranges::find(members_, id, &member::id);
    return at == members_.end() ? nullptr : &*at;
  }
  [[nodiscard]] std::size_t sharing() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(members_, [](const member& m) { return m.part.has_value(); }));
  }
  [[nodiscard]] bool compares(std::uint32_t step) const noexcept {
    return how_.fingerprint_every != 0 && step % how_.fingerprint_every == 0;
  }
  [[nodiscard]] bool compares(const member& m, std::uint32_t step) const noexcept {
    return how_.fingerprint_every != 0 && (m.is_new || compares(step));
  }

  bool send(peer to, const message& m) {
    const std::vector<std::byte> bytes = message_format::encode(m);
    bytes_.sent += bytes.size();
    return hub_.send(to, bytes);
  }
  /// Puts a worker out: it is told why, and so is the host.
  void put_out(peer id, const std::string& name, std::uint32_t step, const std::string& why) {
    send(id, message_format::text(message::kind::leave, step, why));
    forget(id);
    say(fmt::format("step {}: {} is put out: {}.", step, name, why));
  }
  void forget(peer id) {
    hub_.drop(id);
    std::erase_if(members_, [&](const member& m) { return m.id == id; });
  }

  // --- Before the first step
  // -----------------------------------------------------------------------------------------

  void begin(std::uint32_t step, const split& cut) {
    const auto until = worker_clock::now() + how_.start_patience;
    const auto ready = [&] {
      return static_cast<std::size_t>(std::ranges::count_if(members_, [](const member& m) { return m.ready; }));
    };
    while (ready() < how_.wait_for)
      if (!hear(step, until)) break;
    if (ready() < how_.wait_for) {
      const std::string what = fmt::format("{} of {} came within {} ms", ready(), plural(how_.wait_for, "worker"),
                                           how_.start_patience.count());
      require<worker_error>(how_.missing != missing_share::stop,
                            "step {}: {}, and the run does not begin without them", step, what);
      say(fmt::format("step {}: {}; the run begins without the others.", step, what));
    }
    begun_ = true;
    deal(step, cut);
  }

  // --- What arrives
  // --------------------------------------------------------------------------------------------------

  /// Takes in one message, waiting for it until then; false where there was none.
  bool hear(std::uint32_t step, worker_clock::time_point until) {
    const std::optional<arrival> heard = hub_.receive(until);
    if (!heard) return false;
    bytes_.received += heard->bytes.size();
    member* const from = find(heard->from);
    if (heard->gone) {
      if (from) say(fmt::format("step {}: {} is gone.", step, from->name));
      forget(heard->from);
      return true;
    }
    const std::optional<message> m = message_format::decode(heard->bytes);
    const std::string name = from ? from->name : fmt::format("worker {}", heard->from);
    if (!m || !(from ? take(*m, *from, step) : greet(*m, heard->from, step)))
      put_out(heard->from, name, step, "it sent what is no message of a worker of this run and version");
    return true;
  }
  /// A message of a member; false where it makes no sense.
  bool take(const message& m, member& from, std::uint32_t step) {
    if (m.what == message::kind::ready) {
      from.ready = true;
      return true;
    }
    if (m.what != message::kind::losses) return false;
    if (!m.is_of(step) || !from.part) return true;  // too late: the step went on without them
    std::span<const std::byte> rest = m.content;
    std::vector<double> losses(from.part->size());
    std::uint64_t weights = 0;
    const bool compared = compares(from, step);
    if (from.told || rest.size() != losses.size() * sizeof(double) + (compared ? sizeof(weights) : 0)) return false;
    for (double& loss : losses) message_format::take(rest, loss);
    if (compared && message_format::take(rest, weights)) from.weights = weights;
    from.losses = std::move(losses);
    from.told = true;
    return true;
  }
  /// The first message of a worker: it is let in, and told what was done so far, or why not. False where it is none.
  bool greet(const message& m, peer id, std::uint32_t step) {
    std::span<const std::byte> rest = m.content;
    std::uint32_t protocol = 0;
    std::uint64_t start = 0, terms = 0;
    const bool whole = message_format::take(rest, protocol) && message_format::take(rest, start) &&
                       message_format::take(rest, terms);
    if (m.what != message::kind::hello || !whole || protocol != message_format::protocol) return false;
    member next{.id = id, .name = std::string(m.text().substr(m.content.size() - rest.size()))};
    if (start != log_.header().start) {
      put_out(id, next.name, step,
              fmt::format("it starts from weights of fingerprint {:016x}, but the run from {:016x}; give it the same "
                          "model and preparation, or the start that was kept",
                          start, log_.header().start));
      return true;
    }
    if (terms != terms_) {
      put_out(id, next.name, step, "its settings or data are not those of the run; start it with the same ones");
      return true;
    }
    send_log(id, step);
    say(fmt::format("step {}: {} has come.", step, next.name));
    members_.push_back(std::move(next));
    return true;
  }
  /// All steps so far, as they lie in the log.
  void send_log(peer to, std::uint32_t step) {
    constexpr std::size_t piece = message_format::longest;
    std::uint64_t chain = 0;
    std::vector<std::byte> bytes = log_format::encode(log_.header(), chain);
    for (const planned_update& u : log_.updates()) {
      const std::vector<std::byte> record = log_format::encode(u, chain);
      bytes.insert(bytes.end(), record.begin(), record.end());
    }
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const auto next = rest.first(std::min(piece, rest.size()));
      send(to, {message::kind::log, step, {next.begin(), next.end()}});
      rest = rest.subspan(next.size());
    }
    message end{message::kind::log_end, step, {}};
    message_format::put(end.content, how_.fingerprint_every);
    send(to, end);
  }

  // --- A step
  // --------------------------------------------------------------------------------------------------------

  /// Waits for the losses of all who share the step.
  void collect(std::uint32_t step) {
    const auto until = worker_clock::now() + how_.patience;
    const auto waits = [&] {
      return std::ranges::any_of(members_, [](const member& m) { return m.part && !m.told; });
    };
    while (waits() && hear(step, until)) {
    }
    for (member& m : members_) {
      if (!m.part || m.told) continue;
      say(fmt::format("step {}: {} was not heard from for {} ms.", step, m.name, how_.patience.count()));
      m.part.reset();  // it is told so with what the step came to
      m.ready = false;
      demoted_.push_back(m.id);
    }
  }
  /// Puts out who has other weights.
  void compare_weights(std::uint32_t step) {
    std::vector<std::pair<peer, std::uint64_t>> theirs;
    for (const member& m : members_)
      if (m.told && m.weights) theirs.emplace_back(m.id, *m.weights);
    if (theirs.empty()) return;
    const std::uint64_t own = base::fingerprint_now();
    for (const auto& [id, weights] : theirs) {
      if (weights == own) continue;
      const auto alike = std::ranges::count(theirs, weights, &std::pair<peer, std::uint64_t>::second);
      require<worker_error>(
          2 * static_cast<std::size_t>(alike) <= theirs.size() + 1,
          "step {}: the coordinator's weights have the fingerprint {:016x}, but those of {} of {} {:016x}: it is the "
          "coordinator that differs; go on with the log on another machine",
          step, own, alike, plural(theirs.size() + 1, "worker"), weights);
      const std::string name = find(id)->name;
      put_out(id, name, step,
              fmt::format("its weights have the fingerprint {:016x}, but those of the run {:016x}; a worker that "
                          "starts anew catches up from the log",
                          weights, own));
    }
  }
  /// Puts the losses of all in their places, and deals with those that did not come.
  template <distribution Distribution>
  void fill_in(std::uint32_t step, const asked_lanes<Distribution>& asked, loss_table& table) {
    for (const member& m : members_)
      if (m.told) set_share(table, *m.part, m.losses);
    std::string names;
    for (const auto& [id, name, part] : dealt_) {
      const member* const from = find(id);
      if (from && from->told) continue;
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
      if (how_.missing != missing_share::take_over) continue;
      say(fmt::format("step {}: the coordinator takes over the share of {}.", step, name));
      set_share(table, part, evaluate_share(base::loss(), asked, part));
    }
    require<worker_error>(names.empty() || how_.missing != missing_share::stop,
                          "step {}: the losses of {} did not come, and the run ends as was asked for; {} has the {} "
                          "before it and can be gone on with",
                          step, names, log_.path().native(), plural(step, "step"));
    if (!names.empty() && how_.missing == missing_share::leave_out)
      say(fmt::format("step {}: goes on without the losses of {}.", step, names));
  }
  /// Decides who does what next, and tells everybody what the step came to.
  void finish(std::uint32_t step, const split& cut, const measurement& of) {
    while (hear(step, worker_clock::time_point::min())) {
    }
    for (member& m : members_) {
      m.is_new = m.is_new && !m.told;
      m.told = false;
      m.weights.reset();
    }
    deal(step + 1, cut);
    const message outcome = message_format::outcome(of);
    std::vector<member> lost;
    for (const member& m : members_)
      if (!send(m.id, outcome)) lost.push_back(m);
    for (const member& m : lost) {  // its share of the next step is missing then
      say(fmt::format("step {}: {} is gone.", step, m.name));
      forget(m.id);
    }
  }
  /// Cuts the next step, and tells those whose share is another one then. Where there are more workers than parts,
  /// some have none: they follow what the others do, and nobody waits for them.
  void deal(std::uint32_t step, const split& cut) {
    const auto with = static_cast<std::size_t>(std::ranges::count_if(members_, &member::ready)) + 1;
    const auto part_of = [&](std::size_t i) { return share_of(cut.lanes, cut.micro_batches, cut.joined, i, with); };
    own_ = part_of(0);
    dealt_.clear();
    std::size_t index = 1;
    for (member& m : members_) {
      if (std::ranges::count(demoted_, m.id) != 0) send(m.id, {message::kind::share, step, {}});
      if (!m.ready) continue;
      const share cut_out = part_of(index++);
      const std::optional<share> next = cut_out.size() == 0 ? std::nullopt : std::optional(cut_out);
      if (m.part != next) {
        message told{message::kind::share, step, {}};
        if (next) {
          message_format::put(told.content, next->begin);
          message_format::put(told.content, next->end);
          message_format::put(told.content, step);
          m.is_new = m.is_new || !m.part;
        }
        send(m.id, told);
        m.part = next;
      }
      if (next) dealt_.push_back({m.id, m.name, *next});
    }
    demoted_.clear();
  }

  Hub& hub_;
  const run_log& log_;
  std::uint64_t terms_;
  coordinator_options how_;
  bool begun_ = false;
  share own_;
  std::vector<member> members_;     // in the order in which they came
  std::vector<dealt_share> dealt_;  // of the step: also to those who are gone since
  std::vector<peer> demoted_;       // of the step: had a share, and were too late
  traffic bytes_;
};

}  // namespace zoqat::zo::workers
