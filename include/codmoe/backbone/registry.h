// Backbones by name. A new one takes an options struct, a module, and a line in registry.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codmoe/backbone/backbone.h"

namespace codmoe::backbone {

/// Every name make_backbone() knows, in the order of the registry.
std::vector<std::string> backbone_names();

/// The named backbone, with its weights loaded where a file is given.
/// @throws core::UsageError for an unknown name or an option that the backbone has no use for, core::Error for a
/// weights file that doesn't fit.
std::shared_ptr<Backbone> make_backbone(const BackboneOptions& options);

}  // namespace codmoe::backbone
