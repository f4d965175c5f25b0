// --tta and --scales, of the programs that predict.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "codmoe/engine/test_time.h"

namespace codmoe::apps {

struct TestTimeArguments {
  std::string tta;             ///< empty: not given
  std::vector<double> scales;  ///< the same

  void declare(CLI::App& app);
  /// Sets what was given. The caller checks the options.
  void override_options(engine::TestTimeOptions& options) const;
};

}  // namespace codmoe::apps
