#pragma once

namespace codmoe::engine {

/// Of state.json, as it is written and read.
constexpr int state_format = 2;

}  // namespace codmoe::engine
