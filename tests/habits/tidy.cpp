// SPDX-License-Identifier: Apache-2.0
//
// What clang-tidy reads: the headers that an engine includes.

#include <zoqat/quant/quant.hpp>
#include <zoqat/zo/zo.hpp>
