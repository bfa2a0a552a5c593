// Anti-diagonals of the lattice of a query and a long series, a vector of rows each step.
#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "warping/lattice.hpp"
#include "warping/subsequence.hpp"

namespace coalign::COALIGN_SET {
namespace {

using warping::DiagonalKernels;
using warping::DiagonalPass;
using warping::kDiagonalVectors;

// Local costs of `kCount` vectors of rows, rounded as the other engines round them: a match costs what `dtw` says of
// it.
template <class T, Local kLocal, int kCount>
struct DiagonalCosts {
    Vec<T> cost[kCount];

    [[gnu::always_inline]] DiagonalCosts(const DiagonalPass<T>& pass, const T* x, const T* y, const T* y_square) {
        constexpr int width = kWidth<T>;
        if constexpr (is_univariate(kLocal)) {
#pragma GCC unroll 4
            for (int c = 0; c < kCount; ++c) cost[c] = load(x + c * width) - load(y + c * width);
        } else {
            Vec<T> sum[kCount];
#pragma GCC unroll 4
            for (int c = 0; c < kCount; ++c) sum[c] = Vec<T>{};
            for (std::int64_t d = 0; d < pass.dim; ++d) {
#pragma GCC unroll 4
                for (int c = 0; c < kCount; ++c)
                    sum[c] = accumulate(sum[c], load(x + d * pass.x_stride + c * width),
                                        load(y + d * pass.y_stride + c * width));
            }
#pragma GCC unroll 4
            for (int c = 0; c < kCount; ++c) {
                if constexpr (is_expanded(kLocal)) {
                    const Vec<T> squares = load(pass.x_square + (x - pass.x) + c * width) + load(y_square + c * width);
                    sum[c] = fused(splat<T>(-2), sum[c], squares);
                    const IntVec<T> safe = fused(splat<T>(-kSafe<T>), squares, sum[c]) >= Vec<T>{};
                    if (any(~safe)) [[unlikely]]
                        sum[c] = select(safe, sum[c], differences(pass, x + c * width, y + c * width));
                }
                cost[c] = finish(sum[c]);
            }
        }
    }

    // Adds the local costs to the best predecessors.
    [[gnu::always_inline]] Vec<T> add(int c, Vec<T> best) const {
        if constexpr (kLocal == Local::square) return fused(cost[c], cost[c], best);
        else if constexpr (kLocal == Local::magnitude) return best + absolute(cost[c]);
        else return best + cost[c];
    }

   private:
    [[gnu::always_inline]] static Vec<T> accumulate(Vec<T> sum, Vec<T> x, Vec<T> y) {
        if constexpr (kLocal == Local::cosine || is_expanded(kLocal)) {
            return fused(x, y, sum);
        } else if constexpr (kLocal == Local::magnitude_sum) {
            return sum + absolute(x - y);
        } else {
            const Vec<T> difference = x - y;
            return fused(difference, difference, sum);
        }
    }
    [[gnu::always_inline]] static Vec<T> finish(Vec<T> sum) {
        if constexpr (kLocal == Local::root_square_sum || kLocal == Local::expanded_root_square_sum) {
            return square_root(sum);
        } else if constexpr (kLocal == Local::cosine) {
            const Vec<T> distance = splat<T>(1) - sum;
            return select(distance > Vec<T>{}, distance, Vec<T>{});
        } else {
            return sum;
        }
    }
    [[gnu::noinline]] static Vec<T> differences(const DiagonalPass<T>& pass, const T* x, const T* y) {
        Vec<T> sum{};
        for (std::int64_t d = 0; d < pass.dim; ++d) {
            const Vec<T> difference = load(x + d * pass.x_stride) - load(y + d * pass.y_stride);
            sum = fused(difference, difference, sum);
        }
        return sum;
    }
};

template <class T>
void square(const T* frames, std::int64_t dim, std::int64_t count, T* out) {
    for (std::int64_t i = 0; i < count; i += kWidth<T>) {
        Vec<T> sum{};
        for (std::int64_t d = 0; d < dim; ++d) {
            const Vec<T> value = load(frames + d * count + i);
            sum = fused(value, value, sum);
        }
        store(out + i, sum);
    }
}

template <class V, int... I>
[[gnu::always_inline]] inline V shift_up(V before, V v, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(before, v, (I + static_cast<int>(sizeof...(I)) - 1)...);
}

// A diagonal that was computed before, read a vector of rows at a time. Each row's upper neighbour is taken out of two
// vectors: a load that spans two stores of the diagonal before would wait until both have left for the cache, which
// took short queries six times as long.
template <class T>
class Rows {
   public:
    using Int = typename LaneTypes<T>::Int;

    // cost, start: what is above row 0, where `first` is that; else it is read.
    [[gnu::always_inline]] Rows(const T* costs, const Int* starts, std::int64_t first, T cost, Int start)
        : costs_(costs),
          starts_(starts),
          cost_(first > 0 ? load(costs + first - kWidth<T>) : splat<T>(cost)),
          start_(first > 0 ? load_int<T>(starts + first - kWidth<T>) : IntVec<T>{} + start) {}

    // Goes on to row i. Rows are visited in order.
    [[gnu::always_inline]] void advance(std::int64_t i) {
        constexpr auto lanes = std::make_integer_sequence<int, kWidth<T>>{};
        const Vec<T> cost = load(costs_ + i);
        const IntVec<T> start = load_int<T>(starts_ + i);
        cost_above = shift_up(cost_, cost, lanes);
        start_above = shift_up(start_, start, lanes);
        cost_ = cost;
        start_ = start;
    }
    [[gnu::always_inline]] Vec<T> cost() const { return cost_; }
    [[gnu::always_inline]] IntVec<T> start() const { return start_; }

    Vec<T> cost_above;
    IntVec<T> start_above;

   private:
    const T* costs_;
    const Int* starts_;
    Vec<T> cost_;
    IntVec<T> start_;
};

template <class T, Local kLocal>
void advance_diagonals(const DiagonalPass<T>& pass) {
    using Int = typename LaneTypes<T>::Int;
    constexpr int width = kWidth<T>;
    constexpr T inf = std::numeric_limits<T>::infinity();
    for (std::int64_t t = pass.begin; t < pass.end; ++t) {
        T* const cost = pass.cost[t % 3];
        Int* const start = pass.start[t % 3];
        // Rows whose column lies past the last are computed in vain: nothing flows back from there. Those whose column
        // lies before the first see only such rows, which begin as infinity.
        const std::int64_t first = std::max<std::int64_t>(0, t - pass.columns + 1) / width * width;
        const std::int64_t stop = std::min(t, pass.rows - 1) + 1;
        // A path may begin at any column, at no cost; nothing else comes from above the first row.
        Rows<T> before(pass.cost[(t + 2) % 3], pass.start[(t + 2) % 3], first, inf, 0);
        Rows<T> corner(pass.cost[(t + 1) % 3], pass.start[(t + 1) % 3], first, T(0), static_cast<Int>(t));
        const T* const y = pass.y + (pass.latest - t);
        const T* const y_square = is_expanded(kLocal) ? pass.y_square + (pass.latest - t) : nullptr;
        const auto advance = [&]<int kCount>(std::int64_t i, std::integral_constant<int, kCount>)
                                 __attribute__((always_inline)) {
                                     const DiagonalCosts<T, kLocal, kCount> local(
                                         pass, pass.x + i, y + i, is_expanded(kLocal) ? y_square + i : nullptr);
#pragma GCC unroll 4
                                     for (int c = 0; c < kCount; ++c) {
                                         const std::int64_t at = i + c * width;
                                         before.advance(at);
                                         corner.advance(at);
                                         // Of equals the diagonal comes first, then the step in the query: the order of
                                         // the paths of `dtw`.
                                         const IntVec<T> rises = before.cost_above < corner.cost_above;
                                         Vec<T> best = select(rises, before.cost_above, corner.cost_above);
                                         IntVec<T> from = rises ? before.start_above : corner.start_above;
                                         const IntVec<T> stays = before.cost() < best;
                                         best = select(stays, before.cost(), best);
                                         from = stays ? before.start() : from;
                                         store(cost + at, local.add(c, best));
                                         *reinterpret_cast<typename LaneTypes<T>::LooseInt*>(start + at) = from;
                                     }
                                 };
        std::int64_t i = first;
        for (; i + (kDiagonalVectors - 1) * width < stop; i += kDiagonalVectors * width)
            advance(i, std::integral_constant<int, kDiagonalVectors>{});
        for (; i < stop; i += width) advance(i, std::integral_constant<int, 1>{});
        if (const std::int64_t column = t - (pass.rows - 1); column >= 0) {
            pass.last_cost[column] = cost[pass.rows - 1];
            pass.last_start[column] = start[pass.rows - 1];
        }
    }
}

// In the order of Local.
template <class T>
inline constexpr DiagonalKernels<T> kTable{
    kWidth<T>,
    square<T>,
    {advance_diagonals<T, Local::square>, advance_diagonals<T, Local::magnitude>,
     advance_diagonals<T, Local::square_sum>, advance_diagonals<T, Local::root_square_sum>,
     advance_diagonals<T, Local::expanded_square_sum>, advance_diagonals<T, Local::expanded_root_square_sum>,
     advance_diagonals<T, Local::magnitude_sum>, advance_diagonals<T, Local::cosine>, nullptr}};

}  // namespace

template <>
const DiagonalKernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const DiagonalKernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
