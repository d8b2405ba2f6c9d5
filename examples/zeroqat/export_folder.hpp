// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zeroqat/export.hpp>

namespace zoqat::programs {

/// Throws io_error for a folder that is there already and not empty, and for a tokenizer or a configuration that is
/// named and not there.
void require_folder(const export_settings& s);

/// Writes a base model, or a trained one, as a Hugging Face folder, its weights as values or packed, with the
/// configuration and the tokenizer of the base model, and says what rounding cost.
void export_folder(const export_settings& s);

}  // namespace zoqat::programs
