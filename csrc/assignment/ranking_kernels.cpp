// One step of a search for the next matching, once per instruction set, into the namespace COALIGN_SET.
#include "assignment/ranking_kernels.hpp"

#include <bit>
#include <cstring>

#include "core/lanes.hpp"

namespace coalign::COALIGN_SET {
namespace {

using assignment::Near;
using assignment::RankingSearch;

static_assert(assignment::kRankingPad % kWidth<double> == 0);

Near relax(const double* costs, const double* v, std::int64_t columns, double near, double dual, std::int64_t from,
           const RankingSearch& search) {
    using Lanes = Vec<double>;
    using Ints = IntVec<double>;
    Lanes least = infinity<double>();
    Ints at{}, j{};
    for (int lane = 0; lane < kWidth<double>; ++lane) j[lane] = lane;
    for (std::int64_t k = 0; k < columns; k += kWidth<double>) {
        const Lanes x = splat(near) + maximum(load(costs + k) - load(v + k) - splat(dual), Lanes{});
        Lanes d = load(search.distance + k);
        const auto nearer = x < d;
        if (any(nearer)) {
            d = minimum(d, x);
            store(search.distance + k, d);
            Ints before = load_int<double>(search.before + k);
            before = nearer ? Ints{} + from : before;
            std::memcpy(search.before + k, &before, sizeof before);
        }
        const Lanes open = select(d >= Lanes{}, d, infinity<double>());
        at = open < least ? j : at;
        least = minimum(least, open);
        j += static_cast<std::int64_t>(kWidth<double>);
    }
    const Lanes nearest = least_lane<double>(least);
    std::int64_t column = columns;
    for (unsigned set = bits(Ints(least == nearest)); set != 0; set &= set - 1) {
        const std::int64_t other = at[std::countr_zero(set)];
        if (other < column) column = other;
    }
    return {nearest[0], column};
}

constexpr assignment::RankingKernels kTable{relax};

}  // namespace

template <>
const assignment::RankingKernels& kernel_table() {
    return kTable;
}

}  // namespace coalign::COALIGN_SET
