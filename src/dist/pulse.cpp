#include "codmoe/dist/pulse.h"

#include <nlohmann/json.hpp>

#include "codmoe/core/error.h"

namespace codmoe::dist {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Pulse, beat, progress, stage, doing, where, host, process, message, speaker)

std::string write_pulse(const Pulse& pulse) {
  // Messages may hold file names in any encoding.
  return nlohmann::json(pulse).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Pulse read_pulse(const std::string& text) {
  try {
    return nlohmann::json::parse(text).get<Pulse>();
  } catch (const nlohmann::json::exception& error) {
    throw core::Error(std::string("no state of a rank: ") + error.what());
  }
}

}  // namespace codmoe::dist
