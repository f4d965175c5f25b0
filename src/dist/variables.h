// Reading a launcher's variables, with errors that name them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "codmoe/core/options.h"
#include "codmoe/dist/place.h"

namespace codmoe::dist {

/// The value of a variable that is set and not empty.
std::optional<std::string> text_of(const Variables& variables, const std::string& name);
/// The first of `names` that is set and not empty.
std::optional<std::string> first_of(const Variables& variables, std::initializer_list<const char*> names);
/// A whole number in `range`. @throws core::UsageError where the variable is missing or anything else
int64_t number_of(const Variables& variables, const std::string& name, const core::Range& range);
/// As number_of(); nothing where the variable is missing.
std::optional<int64_t> optional_number_of(const Variables& variables, const std::string& name,
                                          const core::Range& range);

}  // namespace codmoe::dist
