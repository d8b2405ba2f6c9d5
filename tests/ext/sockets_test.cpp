// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ext/sockets.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::ext;
using namespace zoqat::zo::workers;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;
using zoqat::testing::temporary_folder;

namespace {

worker_clock::time_point soon() { return worker_clock::now() + std::chrono::seconds(20); }
constexpr worker_clock::time_point now = worker_clock::time_point::min();

std::vector<std::byte> message_of_size(std::size_t size, std::uint32_t step) {
  return message_format::encode({message::kind::log, step, std::vector<std::byte>(size, std::byte{7})});
}

}  // namespace

TEST_CASE("messages of any length arrive whole and in order, both ways, over files and ports") {
  const temporary_folder folder;
  for (const std::string& endpoint : {"unix:" + (folder / "s").native(), std::string("127.0.0.1:0")}) {
    socket_hub hub(endpoint);
    socket_link one(hub.endpoint()), two(hub.endpoint());
    CHECK(!hub.receive(now));
    std::vector<std::vector<std::byte>> sent;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{500}, message_format::longest})
      sent.push_back(message_of_size(size, static_cast<std::uint32_t>(size)));
    for (const auto& bytes : sent) one.send(bytes);
    std::optional<peer> from;
    for (const auto& bytes : sent) {
      const auto heard = hub.receive(soon());
      REQUIRE(heard.has_value());
      CHECK(heard->bytes == bytes);
      CHECK(from.value_or(heard->from) == heard->from);
      from = heard->from;
    }
    for (int i = 0; i != 40; ++i)  // more than the system keeps for one that does not read
      for (const auto& bytes : sent) CHECK(hub.send(*from, bytes));
    two.send(sent[1]);
    const auto other = hub.receive(soon());
    REQUIRE(other.has_value());
    CHECK(other->from != *from);
    for (int i = 0; i != 40; ++i)
      for (const auto& bytes : sent) {
        auto heard = one.receive(now);
        while (!heard) {
          CHECK(!hub.receive(now));  // the hub sends on while it listens
          heard = one.receive(now);
        }
        CHECK(*heard == bytes);
      }
  }
  CHECK(!std::filesystem::exists(folder / "s"));
}

TEST_CASE("who is gone is noticed on either side") {
  auto hub = std::make_unique<socket_hub>("127.0.0.1:0");
  auto one = std::make_unique<socket_link>(hub->endpoint());
  one->send(message_of_size(3, 0));
  const auto first = hub->receive(soon());
  REQUIRE(first.has_value());
  one.reset();
  const auto last = hub->receive(soon());
  REQUIRE(last.has_value());
  CHECK(last->gone);
  CHECK(last->from == first->from);
  CHECK(!hub->send(first->from, message_of_size(1, 0)));
  socket_link two(hub->endpoint());
  two.send(message_of_size(3, 0));
  const auto next = hub->receive(soon());
  REQUIRE(next.has_value());
  CHECK(next->from != first->from);
  CHECK(hub->send(next->from, message_of_size(9, 0)));
  hub->drop(next->from);
  CHECK(!hub->send(next->from, message_of_size(1, 0)));
  CHECK(two.receive(soon()) == message_of_size(9, 0));  // what was sent before
  const std::string endpoint = hub->endpoint();
  hub.reset();
  check_mentions(message_of<worker_error>([&] { (void)two.receive(soon()); }), endpoint, "the coordinator is gone");
  check_mentions(message_of<worker_error>([&] { socket_link(endpoint, std::chrono::milliseconds(1)); }),
                 "cannot reach the coordinator");
}

TEST_CASE("what a coordinator that was killed has left is listened at again, what is alive or no socket is not") {
  const temporary_folder folder;
  const std::string path = (folder / "s").native(), endpoint = "unix:" + path;
  const auto leave = [&] {
    const ext::detail::socket_address address = ext::detail::addresses_of(endpoint).front();
    const file_descriptor socket = address.open();
    CHECK(::bind(socket.get(), address.get(), address.size) == 0);
  };
  leave();
  CHECK(std::filesystem::is_socket(path));
  {
    const socket_hub hub(endpoint);
    check_mentions(message_of<worker_error>([&] { socket_hub second(endpoint); }), endpoint, "bind");
    socket_link one(endpoint);
  }
  CHECK(!std::filesystem::exists(path));
  testing::write_file(path, "text");
  check_mentions(message_of<worker_error>([&] { socket_hub hub(endpoint); }), endpoint, "bind");
  CHECK(testing::read_file(path) == "text");
}

TEST_CASE("of several addresses the one that answers is taken") {
  const temporary_folder folder;
  const std::string nobody = "unix:" + (folder / "nobody").native();
  const socket_hub hub("127.0.0.1:0");
  std::vector<ext::detail::socket_address> all = ext::detail::addresses_of(nobody);
  file_descriptor socket;
  CHECK(ext::detail::connect_to(all, socket) == ENOENT);
  all.push_back(ext::detail::addresses_of(hub.endpoint()).front());
  CHECK(ext::detail::connect_to(all, socket) == 0);
  all.push_back(ext::detail::addresses_of(nobody).front());
  CHECK(ext::detail::connect_to(all, socket) == 0);
}

TEST_CASE("an endpoint that cannot be is an error that says what is wanted") {
  check_mentions(message_of<value_error>([] { socket_hub("nowhere"); }), "nowhere", "host:port or unix:path");
  check_mentions(message_of<value_error>([] { socket_hub("unix:"); }), "0 bytes");
  check_mentions(message_of<value_error>([] { socket_hub("unix:" + std::string(200, 'x')); }), "200 bytes");
  const temporary_folder folder;
  const std::string endpoint = "unix:" + (folder / "s").native();
  const socket_hub first(endpoint);
  check_mentions(message_of<worker_error>([&] { socket_hub{endpoint}; }), endpoint, "cannot bind");
}
