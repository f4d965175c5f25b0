// Precompiled header of the modules that hold torch modules. It is a second one since every source that uses it pays
// about 2.5 s for the templates that torch/nn instantiates, while tensor.h costs about 1 s.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>

#include "tensor.h"
