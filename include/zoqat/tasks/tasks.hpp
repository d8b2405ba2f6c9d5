// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Data sets as items to answer or to choose from.

// The order is for reading.
// clang-format off

// What an item is, and how files become items.
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/lines.hpp>
#include <zoqat/tasks/records.hpp>
#include <zoqat/tasks/split.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>
#include <zoqat/tasks/texts.hpp>

// Data sets.
#include <zoqat/tasks/alpaca.hpp>
#include <zoqat/tasks/cb.hpp>
#include <zoqat/tasks/choices.hpp>
#include <zoqat/tasks/drop.hpp>
#include <zoqat/tasks/squad.hpp>
#include <zoqat/tasks/sst2.hpp>

// clang-format on
