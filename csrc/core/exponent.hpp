// The type of an exponent that is kept beside a mantissa: whole numbers of the mantissa's size.
#pragma once

#include <cstdint>

namespace coalign {

template <class T>
struct ExponentType;
template <>
struct ExponentType<float> {
    using type = std::int32_t;
};
// AVX2 has no maximum of int64. Whole numbers up to 2^53 are exact.
template <>
struct ExponentType<double> {
    using type = double;
};
template <class T>
using Exponent = typename ExponentType<T>::type;

}  // namespace coalign
