// Damaged copies of good files.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace codmoe::fuzz {

/// One to eight random changes of a seed: bits, bytes, numbers (binary or written), runs removed, doubled or put in
/// from another seed, the end cut off.
std::string mutate(const std::vector<std::string>& seeds, std::mt19937_64& random);

/// Makes the checksums of a PNG's chunks right again, without which libpng reads none of what was changed. Other bytes
/// are left alone.
std::string with_png_checksums(std::string bytes);

}  // namespace codmoe::fuzz
