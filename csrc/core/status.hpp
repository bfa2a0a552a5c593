// What became of one problem. The values are those of coalign.Status in Python.
#pragma once

#include <cstdint>

namespace coalign {

enum class Status : std::int32_t { ok, nan, infeasible, not_converged, precision_limit, invalid };

}  // namespace coalign
