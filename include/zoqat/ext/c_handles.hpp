// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the source files of the interface for C share: how a call turns what is thrown into a status and a message.

#include <zoqat/core/config.hpp>

#include <zoqat/ext/c_api.h>

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/zo/embed/fine_tuner.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

struct zoqat_tuner {
  std::unique_ptr<zoqat::zo::fine_tuner> made;
  std::string message, line;
};

namespace zoqat::inline ZOQAT_ABI::ext {

/// A callback asked for the end of a run.
struct stopped {};

/// Runs f(), and turns what it throws into a status and into the message of a handle.
template <class Handle, class F>
zoqat_status guarded(Handle& handle, F&& f) noexcept {
  const auto say = [&](zoqat_status status, const char* what) {
    try {
      handle.message = what;
    } catch (...) {
      handle.message.clear();
    }
    return status;
  };
  try {
    f();
    return ZOQAT_OK;
  } catch (const stopped&) {
    return say(ZOQAT_STOPPED, "the loss callback ended the run");
  } catch (const io_error& e) {
    return say(ZOQAT_IO, e.what());
  } catch (const error& e) {
    return say(ZOQAT_INVALID, e.what());
  } catch (const std::bad_alloc&) {
    return say(ZOQAT_MEMORY, "there is not enough memory");
  } catch (const std::exception& e) {
    return say(ZOQAT_FAILED, e.what());
  } catch (...) {
    return say(ZOQAT_FAILED, "something unknown was thrown");
  }
}

/// Makes a handle, whose `made` is what `make()` returns. Where that fails, the handle is left with the message
/// alone.
template <class Handle, class F>
zoqat_status create(Handle** handle, F&& make) noexcept {
  if (!handle) return ZOQAT_INVALID;
  *handle = new (std::nothrow) Handle();
  if (!*handle) return ZOQAT_MEMORY;
  return guarded(**handle, [&] { (*handle)->made = make(); });
}

/// Runs f(*handle->made) for a handle that could be made.
template <class Handle, class F>
zoqat_status with(Handle* handle, F&& f) noexcept {
  if (!handle) return ZOQAT_INVALID;
  return guarded(*handle, [&] {
    require(handle->made != nullptr, "zoqat: creating this object failed, so it can do nothing");
    f(*handle->made);
  });
}

/// The caller's matrix, whose rows begin every `stride` elements.
template <class T>
matrix_view<T> view(const char* what, T* values, std::size_t rows, std::size_t cols, std::size_t stride) {
  require(what && values, "zoqat: a matrix needs a name and values, but one of the two is NULL");
  require(stride >= cols, "'{}': its rows of {} begin every {} elements, so they overlap", what, cols, stride);
  return {values, rows, cols, stride};
}

}  // namespace zoqat::ext
