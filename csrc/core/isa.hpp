// The instruction sets the kernels are compiled for, and the choice among them at run time.
#pragma once

#include <string_view>
#include <vector>

namespace coalign {

enum class Isa { v2, v3, v4, neon };

std::string_view name(Isa isa);

// The sets that this build holds and this CPU can run, from the narrowest to the widest.
std::vector<Isa> available_isas();

// The set called `wanted`, or the widest available one when `wanted` is empty.
// Throws std::invalid_argument, listing the available ones, when it cannot be had.
Isa choose_isa(std::string_view wanted);

}  // namespace coalign
