// The whole numbers of a lane's size, for arrays that kernels load beside floats.
#pragma once

#include <cstdint>
#include <type_traits>

namespace coalign {

template <class T>
using LaneInt = std::conditional_t<std::is_same_v<T, float>, std::int32_t, std::int64_t>;

}  // namespace coalign
