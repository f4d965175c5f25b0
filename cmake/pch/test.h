// Precompiled header of the tests.
#pragma once

#include <gtest/gtest.h>

#include "nn.h"
