#include "common/test_time.h"

namespace codmoe::apps {

void TestTimeArguments::declare(CLI::App& app) {
  app.add_option("--tta", tta, "flip: the mean with the mirror image")
      ->check(CLI::IsMember({"none", "flip"}))
      ->default_str("none");
  app.add_option("--scales", scales, "the mean over these scales of the model's input, such as 0.75,1,1.25")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->default_str("1");
}

void TestTimeArguments::override_options(engine::TestTimeOptions& options) const {
  if (!tta.empty()) options.tta = tta == "flip" ? engine::TestTimeViews::flip : engine::TestTimeViews::none;
  if (!scales.empty()) options.scales = scales;
}

}  // namespace codmoe::apps
