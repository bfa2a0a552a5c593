#include "transport/tiny.hpp"

#include <algorithm>
#include <cmath>

namespace coalign::transport {
namespace {

// Iterations at a time, between looks at the pulse.
constexpr std::int64_t kCellsAtOnce = 1 << 16;
// With more iterations, a longer memory and a lower epsilon in steps pay: the general way has them. A lane is left to
// it as soon as its error does not fall fast enough. A lone problem of 4 x 4 takes 0.04 us an iteration, one of 16 x 16
// takes 0.36, and a sixteenth of that in a full batch; the general way takes 5 to 15 us. Where costs of a row are far
// apart, what is flushed is needed or it is not, which shows soon. It is the same for all shapes that share a group.
struct Patience {
    struct Limit {
        std::int64_t first_look, most;
    };
    Patience(std::int64_t rows, std::int64_t columns) {
        const std::int64_t most = 48 + 3328 / ((rows + 3) / 4 * ((columns + 3) / 4) * 16);
        const bool is_least = most > 128;
        near = {is_least ? 32 : 16, most};
        far = {is_least ? 16 : 4, is_least ? 96 : 48};
    }
    Limit near, far;
};
// What rounding adds to the error that the scalings have.
constexpr double kAim = 0.75;
constexpr double kMostError = 2;
constexpr double kMostEpsilon = 1e30, kMostMass = 1e30;

template <class T>
constexpr double kLeastTolerance = sizeof(T) == sizeof(float) ? 1e-5 : 1e-11;
// Scalings of lighter rows may leave the range of the dtype.
template <class T>
constexpr double kLeastWeight = sizeof(T) == sizeof(float) ? 1e-6 : 1e-60;

}  // namespace

template <class T>
TinySolver<T>::TinySolver(Isa isa, const Options& options, Pulse& pulse)
    : kernels_(table_for<TinyKernels<T>>(isa)), options_(options), pulse_(pulse), lanes_(kernels_.lanes) {}

template <class T>
bool TinySolver<T>::fits(const Batch& batch, std::int64_t p) const {
    const std::int64_t rows = batch.costs.rows_of(p), columns = batch.costs.columns_of(p);
    return rows > 0 && columns > 0 && rows <= kMostTiny && columns <= kMostTiny &&
           batch.column_potentials.of<T>(p) == nullptr;
}

template <class T>
std::int64_t TinySolver<T>::solve(const Batch& batch, std::int64_t p, std::int64_t end, Results<T>& results,
                                  unsigned& left) {
    left = 0;
    const double tolerance = options_.tolerance;
    if (!options_.is_balanced() || (tolerance != 0 && tolerance < kLeastTolerance<T>) || options_.most_iterations < 1)
        return p;
    // Problems of about the same shape go together.
    const auto steps = [](std::int64_t count) { return (count + 3) / 4; };
    // Of problems that differ in their costs alone, one tells all, and what lanes hold of the rest stays there.
    const bool are_alike = batch.costs.row_lengths == nullptr && batch.costs.column_lengths == nullptr &&
                           !batch.row_weights.are_given() && !batch.column_weights.are_given() &&
                           !batch.column_potentials.are_given() && batch.epsilon_stride == 0;
    std::int64_t rows = 0, columns = 0, next = p;
    end = std::min(end, p + lanes_);
    for (; next < end && fits(batch, next); ++next) {
        const std::int64_t own_rows = batch.costs.rows_of(next), own_columns = batch.costs.columns_of(next);
        if (next > p && (steps(own_rows) != steps(rows) || steps(own_columns) != steps(columns))) break;
        rows = std::max(rows, own_rows);
        columns = std::max(columns, own_columns);
        if (are_alike) next = end - 1;
    }
    if (next == p) return p;
    reserve(static_cast<int>(rows), static_cast<int>(columns));
    const int count = static_cast<int>(next - p);
    const unsigned all = (1u << count) - 1;
    load_costs(batch, p, count);
    unsigned held = alike_;
    // Lanes that nobody needs hold the first problem again.
    for (int l = 0; alike_ == 0 && l < lanes_; ++l) {
        const std::int64_t at = l < count ? p + l : p;
        const bool is_right = load_epsilon(batch, at, l);
        const bool have_rows =
            load_side(rows_, batch.row_weights.of<T>(at), static_cast<int>(batch.costs.rows_of(at)), l);
        const bool have_columns =
            load_side(columns_, batch.column_weights.of<T>(at), static_cast<int>(batch.costs.columns_of(at)), l);
        if (is_right && have_rows && have_columns) held |= 1u << l;
    }
    if (are_alike) alike_ = held;
    std::copy_n(group_.column_goal, columns * lanes_, group_.column);
    unsigned near = 0;
    held &= all & kernels_.prepare(group_, near);
    left = all & ~held;
    if (held == 0) return next;
    unsigned unsolved = held;
    if (!iterate(unsolved, near)) {
        left = all;
        return next;
    }
    left |= unsolved;
    kernels_.prove(group_);
    for (int l = 0; l < count; ++l) {
        if ((left >> l & 1) != 0) continue;
        const double error = group_.error[l];
        if (!(error <= (tolerance > 0 ? tolerance : kMostError)) || !std::isfinite(group_.value[l]) ||
            !std::isfinite(group_.cost_sum[l])) {
            left |= 1u << l;
            continue;
        }
        T *const f = results.f_of(p + l), *const g = results.g_of(p + l);
        const T *own_f = group_.f + l, *own_g = group_.g + l;
        const std::int64_t own_rows = batch.costs.rows_of(p + l), own_columns = batch.costs.columns_of(p + l);
        for (std::int64_t i = 0; i < own_rows; ++i, own_f += lanes_) f[i] = *own_f;
        for (std::int64_t j = 0; j < own_columns; ++j, own_g += lanes_) g[j] = *own_g;
        results.put(p + l, group_.cost_sum[l], group_.value[l], error, run_.reached[l]);
    }
    return next;
}

// Leaves in `open` the lanes whose error is still too large. False when the call is to stop.
template <class T>
bool TinySolver<T>::iterate(unsigned& open, unsigned near) {
    const std::int64_t cells = std::int64_t{group_.rows} * group_.columns, at_once = kCellsAtOnce / cells;
    if (options_.tolerance == 0) {
        const std::int64_t all = options_.most_iterations;
        for (std::int64_t done = 0; done < all - 1; done += at_once) {
            kernels_.run_plain(group_, std::min(at_once, all - 1 - done));
            if (!pulse_.alive()) return false;
        }
        kernels_.finish(group_);
        std::fill_n(run_.reached, kMostLanes, all);
        open = 0;
        return true;
    }
    run_.tolerance = kAim * options_.tolerance;
    run_.open = open;
    run_.done = 0;
    const Patience patience(group_.rows, group_.columns);
    const std::int64_t all = std::min(options_.most_iterations, patience.near.most);
    unsigned hopeless = 0;
    double before[kMostLanes];
    std::fill_n(before, kMostLanes, kMostError);
    std::int64_t look = 4, looked = 0;
    while (run_.done < all && run_.open != 0) {
        run_.most = std::min({at_once, all - run_.done, look - run_.done});
        kernels_.run(group_, run_);
        if (!pulse_.alive()) return false;
        if (run_.done < look) continue;
        for (int l = 0; l < lanes_; ++l) {
            const double error = run_.error[l], fall = std::log(before[l] / error);
            before[l] = error;
            const Patience::Limit& limit = (near >> l & 1) != 0 ? patience.near : patience.far;
            if ((run_.open >> l & 1) == 0 || look < limit.first_look) continue;
            const double left = std::log(error / run_.tolerance) / fall * static_cast<double>(look - looked);
            if (fall > 0 && left <= static_cast<double>(limit.most - look)) continue;
            hopeless |= 1u << l;
            run_.open &= ~(1u << l);
        }
        looked = look;
        look *= 2;
    }
    open = run_.open | hopeless;
    return true;
}

template <class T>
void TinySolver<T>::reserve(int rows, int columns) {
    if (rows == group_.rows && columns == group_.columns) return;
    const std::int64_t row = std::int64_t{rows} * lanes_, column = std::int64_t{columns} * lanes_,
                       cells = row * columns;
    T* at = values_.reserve(2 * cells + 5 * row + 6 * column);
    const auto take = [&](std::int64_t count) {
        T* const begin = at;
        at += count;
        return begin;
    };
    alike_ = 0;
    group_.rows = rows;
    group_.columns = columns;
    cost_ = take(cells);
    group_.cost = cost_;
    group_.kernel = take(cells);
    for (T** part : {&group_.least, &group_.row_goal, &group_.row, &group_.last_row, &group_.f}) *part = take(row);
    for (T** part : {&group_.column_goal, &group_.column, &group_.sum, &group_.last_column, &group_.before, &group_.g})
        *part = take(column);
    double* wide = wide_.reserve(2 * row + 3 * column + 3 * lanes_);
    rows_ = {rows, wide, wide + row, row_mass_, group_.row_goal, uniform_rows_};
    columns_ = {columns, wide + 2 * row, wide + 2 * row + column, column_mass_, group_.column_goal, uniform_columns_};
    std::fill_n(uniform_rows_, kMostLanes, 0);
    std::fill_n(uniform_columns_, kMostLanes, 0);
    group_.column_sum = columns_.log + column;
    group_.cost_sum = group_.column_sum + column;
    group_.error = group_.cost_sum + lanes_;
    group_.value = group_.error + lanes_;
    group_.row_weight = rows_.weight;
    group_.row_log = rows_.log;
    group_.column_weight = columns_.weight;
    group_.column_log = columns_.log;
    group_.epsilon = epsilon_;
    group_.row_mass = row_mass_;
    group_.column_mass = column_mass_;
}

template <class T>
void TinySolver<T>::load_costs(const Batch& batch, std::int64_t p, int count) {
    const T* problems[kMostLanes];
    bool is_dense = true;
    for (int l = 0; l < lanes_; ++l) {
        const MatrixView<T> cost = batch.costs.at<T>(l < count ? p + l : p);
        problems[l] = cost.data;
        is_dense &= cost.rows == group_.rows && cost.columns == group_.columns && cost.row_stride == cost.columns;
    }
    if (is_dense) {
        kernels_.gather(problems, std::int64_t{group_.rows} * group_.columns, cost_);
        return;
    }
    for (int l = 0; l < lanes_; ++l) {
        const MatrixView<T> cost = batch.costs.at<T>(l < count ? p + l : p);
        T* out = cost_ + l;
        for (int i = 0; i < group_.rows; ++i) {
            const T* const row = cost.data + std::min<std::int64_t>(i, cost.rows - 1) * cost.row_stride;
            for (int j = 0; j < group_.columns; ++j, out += lanes_) *out = row[j < cost.columns ? j : 0];
        }
    }
}

// This and the next: false where a problem is not for lanes, or is wrong; the general way says what.
template <class T>
bool TinySolver<T>::load_epsilon(const Batch& batch, std::int64_t p, int lane) {
    const double epsilon = batch.epsilon[p * batch.epsilon_stride];
    const bool is_right = epsilon > 0 && epsilon < kMostEpsilon;
    epsilon_[lane] = is_right ? epsilon : 1;
    return is_right;
}

template <class T>
bool TinySolver<T>::load_side(const Side& side, const T* given, int count, int lane) {
    // Most batches have uniform weights, which stay where they are.
    if (given == nullptr && side.uniform[lane] == count) return true;
    side.uniform[lane] = given == nullptr ? count : 0;
    const std::int64_t width = lanes_;
    double *const weight = side.weight + lane, *const log = side.log + lane, &mass = side.mass[lane];
    T* const goal = side.goal + lane;
    mass = 1;
    for (int i = count; i < side.padded; ++i) {
        weight[i * width] = log[i * width] = 0;
        goal[i * width] = 0;
    }
    if (given == nullptr) {
        if (log_of_[count] == 0) log_of_[count] = std::log(static_cast<double>(count));
        const double own = 1 / static_cast<double>(count), own_log = -log_of_[count];
        for (int i = 0; i < count; ++i) {
            weight[i * width] = own;
            log[i * width] = own_log;
            goal[i * width] = T(own);
        }
        return true;
    }
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += double{given[i]};
    const bool is_right = sum > 0 && sum < kMostMass && sum > 1 / kMostMass;
    if (is_right) mass = sum;
    bool counts = is_right;
    for (int i = 0; i < count; ++i) {
        const double own = double{given[i]} / mass;
        counts &= own == 0 || own >= kLeastWeight<T>;
        weight[i * width] = own;
        log[i * width] = own > 0 ? std::log(own) : 0;
        goal[i * width] = T(own);
    }
    return counts;
}

template class TinySolver<float>;
template class TinySolver<double>;

}  // namespace coalign::transport
