#include "ctc/kernels.hpp"

#include "ctc/lattice.hpp"

namespace coalign::COALIGN_SET {
namespace {

template <class T>
constexpr ctc::Kernels<T> kTable{Isa::COALIGN_SET, kWidth<T>, find_sums<T>, emit<T>, advance<T>, retreat<T>};

}  // namespace

template <>
const ctc::Kernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const ctc::Kernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
