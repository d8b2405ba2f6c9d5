// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: the reader of run logs either reads what is whole of a log or throws io_error; what it reads is what it
// was made of, byte for byte.
#include <zoqat/core/error.hpp>
#include <zoqat/zo/log/log_format.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

namespace {

using namespace zoqat;

void require_same_after_writing(const zo::log_format::content& log, std::span<const std::byte> bytes) {
  std::uint64_t chain = 0;
  std::vector<std::byte> again = zo::log_format::encode(log.header, chain, log.version);
  for (const zo::planned_update& u : log.updates) {
    const auto record = zo::log_format::encode(u, chain);
    again.insert(again.end(), record.begin(), record.end());
  }
  const bool same = log.intact <= bytes.size() && std::ranges::equal(again, bytes.first(log.intact));
  if (!same || chain != log.chain || log.damage.empty() != (log.intact == bytes.size())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  static_cast<void>(zo::log_format::begins_like_a_log(bytes) && zo::log_format::ends_within_header(bytes));
  try {
    const auto log = zo::log_format::parse(bytes, "input");
    // A hash that a fuzzer hits by chance may stand over inputs that are not written as this writer writes them.
    if (log.header.inputs.empty()) require_same_after_writing(log, bytes);
  } catch (const io_error&) {
  }
  return 0;
}
