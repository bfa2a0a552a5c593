// Rounding: J. Altschuler, J. Weed, P. Rigollet: Near-linear time approximation algorithms for optimal transport via
// Sinkhorn iteration. NeurIPS 2017.
#include "transport/plan.hpp"

#include <algorithm>
#include <cmath>

namespace coalign::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Half of a unit in the last place, and somewhat more.
constexpr double kRounding = 0x1p-53 * 1.01;
// Rows of the plan are made so many at a time, or fewer where they are so wide that all chunks' would fill the memory.
constexpr std::int64_t kRows = 16, kMostCells = 1 << 16;
constexpr std::int64_t rows_at_a_time(std::int64_t columns) {
    return std::clamp<std::int64_t>(kMostCells / padded(columns), 1, kRows);
}

template <class T>
Chunks chunks_of(const Plan<T>& plan) {
    return {plan.cost.rows, plan.cost.columns, kRows};
}

// Adds what each chunk has to what the first one has, in order.
void add_chunks(const Chunks& chunks, std::int64_t count, double* sums) {
    for (std::int64_t at = count; at < chunks.number * count; ++at) sums[at % count] += sums[at];
}

// What a chunk of rows adds to a bound.
struct Tally {
    double most = 0, total = 0, size = 0, missed = 0;
    bool is_forbidden = false;

    void add(const Tally& other) {
        most = std::max(most, other.most);
        total += other.total;
        size += other.size;
        missed += other.missed;
        is_forbidden |= other.is_forbidden;
    }
};

}  // namespace

// Readies the potentials, and the scratch memory of so many chunks for rows of so many columns.
template <class T>
void Planner<T>::begin(const Plan<T>& plan, std::int64_t chunks, std::int64_t some) {
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns, width = padded(columns);
    double* const f = row_potential_.reserve(rows);
    double* const g = column_potential_.reserve(width);
    for (std::int64_t i = 0; i < rows; ++i) f[i] = double{plan.f[i]};
    for (std::int64_t j = 0; j < width; ++j) g[j] = j < columns ? double{plan.g[j]} : -kInfinity;
    row_sum_.reserve(chunks * kRows);
    block_.reserve(chunks * rows_at_a_time(some) * padded(some));
    std::fill_n(column_sum_.reserve(chunks * padded(some)), chunks * padded(some), 0.0);
}

// Some rows of some columns of the plan, the first of which is a multiple of the padding: a row follows the one before
// after padded(columns). Rows without potential are 0.
template <class T>
const T* Planner<T>::make_rows(const Plan<T>& plan, std::int64_t chunk, std::int64_t first, std::int64_t count,
                               std::int64_t column, std::int64_t columns, std::int64_t most_columns) {
    const std::int64_t width = padded(most_columns);
    PlanPass<T> pass{{plan.cost.data + first * plan.cost.row_stride + column, plan.cost.row_stride, count, columns,
                      1 / plan.epsilon},
                     row_potential_.data() + first,
                     column_potential_.data() + column,
                     block_.data() + chunk * rows_at_a_time(most_columns) * width,
                     padded(columns),
                     row_sum_.data() + chunk * kRows,
                     column_sum_.data() + chunk * width,
                     0};
    kernels_.plan(pass);
    return pass.plan;
}

// Calls use(chunk, first, count, rows) for the rows of the plan, some at a time.
template <class T>
template <class Use>
bool Planner<T>::each_block(const Plan<T>& plan, const Chunks& chunks, Use&& use) {
    const std::int64_t columns = plan.cost.columns, step = rows_at_a_time(columns);
    begin(plan, chunks.number, columns);
    return over_rows(chunks, padded(columns), team_, pulse_, [&](std::int64_t c, std::int64_t from, std::int64_t to) {
        for (std::int64_t first = from; first < to; first += step) {
            const std::int64_t count = std::min(step, to - first);
            use(c, first, count, make_rows(plan, c, first, count, 0, columns, columns));
        }
    });
}

// Calls use(chunk, i, row) for each row, those of a chunk in order.
template <class T>
template <class Use>
bool Planner<T>::each_row(const Plan<T>& plan, const Chunks& chunks, Use&& use) {
    const std::int64_t stride = padded(plan.cost.columns);
    return each_block(plan, chunks, [&](std::int64_t c, std::int64_t first, std::int64_t count, const T* rows) {
        for (std::int64_t i = 0; i < count; ++i) use(c, first + i, rows + i * stride);
    });
}

template <class T>
bool Planner<T>::write(const Plan<T>& plan, T* out) {
    const std::int64_t columns = plan.cost.columns;
    return each_row(plan, chunks_of(plan),
                    [&](std::int64_t, std::int64_t i, const T* row) { std::copy_n(row, columns, out + i * columns); });
}

template <class T>
bool Planner<T>::apply(const Plan<T>& plan, const double* v, std::int64_t many, bool transposed, T* out) {
    if (transposed) return apply_transposed(plan, v, many, out);
    const std::int64_t columns = plan.cost.columns, stride = padded(columns);
    const Chunks chunks = chunks_of(plan);
    double* const scratch = scratch_.reserve(chunks.number * kRows * many);
    const bool is_finite = std::all_of(v, v + columns * many, [](double value) { return std::isfinite(value); });
    return each_block(plan, chunks, [&](std::int64_t c, std::int64_t first, std::int64_t count, const T* rows) {
        double* const sums = scratch + c * kRows * many;
        if (is_finite) {
            row_kernels_.multiply(rows, stride, count, columns, v, many, sums);
        } else {
            std::fill_n(sums, count * many, 0.0);
            for (std::int64_t i = 0; i < count; ++i)
                for (std::int64_t j = 0; j < columns; ++j)
                    for (std::int64_t k = 0; rows[i * stride + j] > T(0) && k < many; ++k)
                        sums[i * many + k] += double{rows[i * stride + j]} * v[j * many + k];
        }
        std::transform(sums, sums + count * many, out + first * many, [](double sum) { return static_cast<T>(sum); });
    });
}

// A chunk is of columns here: their sums are then those over all rows in order.
template <class T>
bool Planner<T>::apply_transposed(const Plan<T>& plan, const double* v, std::int64_t many, T* out) {
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns;
    const Chunks chunks(columns, rows, kPadding);
    const std::int64_t step = rows_at_a_time(chunks.size);
    begin(plan, chunks.number, chunks.size);
    double* const sums = scratch_.reserve(columns * many);
    std::fill_n(sums, columns * many, 0.0);
    team_.run(chunks.number, [&](std::int64_t c) {
        const std::int64_t column = chunks.begin(c), some = chunks.end(c) - column;
        for (std::int64_t first = 0; first < rows && pulse_.alive(); first += step) {
            const std::int64_t count = std::min(step, rows - first);
            const T* row = make_rows(plan, c, first, count, column, some, chunks.size);
            for (std::int64_t i = first; i < first + count; ++i, row += padded(some))
                for (std::int64_t j = 0; j < some; ++j) {
                    // A plan of 0 takes nothing, of an infinite value either.
                    if (row[j] == T(0)) continue;
                    double* const own = sums + (column + j) * many;
                    for (std::int64_t k = 0; k < many; ++k) own[k] += double{row[j]} * v[i * many + k];
                }
        }
    });
    std::transform(sums, sums + columns * many, out, [](double sum) { return static_cast<T>(sum); });
    return !pulse_.stopped();
}

template <class T>
bool Planner<T>::choose(const Plan<T>& plan, std::int64_t* column_of_row) {
    const std::int64_t columns = plan.cost.columns;
    double* const g = column_potential_.reserve(columns);
    std::transform(plan.g, plan.g + columns, g, [](T potential) { return double{potential}; });
    return over_rows(chunks_of(plan), columns, team_, pulse_, [&](std::int64_t, std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; ++i) {
            const bool has_plan = plan.f[i] > -std::numeric_limits<T>::infinity();
            const T* const cost = plan.cost.data + i * plan.cost.row_stride;
            column_of_row[i] = has_plan ? row_kernels_.choose(cost, g, columns) : -1;
        }
    });
}

// Both sides' weights in float64, those of the columns scaled to the mass of the rows, which is returned.
template <class T>
double Planner<T>::weigh(const Plan<T>& plan) {
    const auto take = [](const T* given, std::int64_t count, double* out) {
        double mass = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            out[i] = given != nullptr ? double{given[i]} : 1 / static_cast<double>(count);
            mass += out[i];
        }
        return mass;
    };
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns;
    const double mass = take(plan.row_weights, rows, row_weight_.reserve(rows));
    const double other = take(plan.column_weights, columns, column_weight_.reserve(columns));
    if (other != mass)
        for (std::int64_t j = 0; j < columns; ++j) column_weight_.data()[j] *= mass / other;
    return mass;
}

template <class T>
bool Planner<T>::round(const Plan<T>& plan, double* out, double& upper) {
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns;
    const double mass = weigh(plan);
    const double *const a = row_weight_.data(), *const b = column_weight_.data();
    Chunks chunks = chunks_of(plan);
    Tally tallies[Chunks::kMost];
    // Scales, what each side lacks, and of each chunk the sums of the rounded plan and one row of it.
    const std::int64_t all = chunks.number * columns;
    double *const x = row_scale_.reserve(2 * rows), *const lack_a = x + rows;
    double *const y = column_scale_.reserve(2 * columns + 2 * all), *const lack_b = y + columns;
    double *const sums = lack_b + columns, *const lines = sums + all;
    if (!each_row(plan, chunks, [&](std::int64_t c, std::int64_t i, const T* row) {
            const T* const cost = plan.cost.data + i * plan.cost.row_stride;
            double sum = 0;
            Tally own;
            for (std::int64_t j = 0; j < columns; ++j) {
                const double size = std::abs(double{cost[j]});
                if (size < kInfinity) own.most = std::max(own.most, size);
                else own.is_forbidden = true;
                sum += double{row[j]};
            }
            tallies[c].add(own);
            x[i] = sum;
        }))
        return false;
    for (std::int64_t c = 1; c < chunks.number; ++c) tallies[0].add(tallies[c]);
    const double most = tallies[0].most;
    const bool is_forbidden = tallies[0].is_forbidden;
    // Without forbidden pairs, rows and then columns are scaled down to their weights, and what they then lack is
    // spread in proportion.
    for (std::int64_t i = 0; i < rows; ++i) x[i] = x[i] > a[i] || (is_forbidden && x[i] > 0) ? a[i] / x[i] : 1;
    std::fill_n(sums, all, 0.0);
    if (!each_row(plan, chunks, [&](std::int64_t c, std::int64_t i, const T* row) {
            double* const own = sums + c * columns;
            for (std::int64_t j = 0; j < columns; ++j) own[j] += x[i] * double{row[j]};
        }))
        return false;
    add_chunks(chunks, columns, sums);
    double lack = 0;
    for (std::int64_t j = 0; j < columns; ++j) {
        y[j] = sums[j] > b[j] && !is_forbidden ? b[j] / sums[j] : 1;
        lack_b[j] = b[j] - y[j] * sums[j];
        if (!is_forbidden) lack_b[j] = std::max(lack_b[j], 0.0);
        lack += std::max(lack_b[j], 0.0);
    }
    if (!is_forbidden && !each_row(plan, chunks, [&](std::int64_t, std::int64_t i, const T* row) {
            double sum = 0;
            for (std::int64_t j = 0; j < columns; ++j) sum += double{row[j]} * y[j];
            lack_a[i] = std::max(a[i] - x[i] * sum, 0.0) * (lack > 0 ? 1 / lack : 0);
        }))
        return false;
    // Beside forbidden pairs, rows have their weights, and one after the other they move what columns have too much of
    // to columns that lack it.
    if (is_forbidden) chunks = Chunks::one(rows);
    const auto move = [&](double* part, const T* cost) {
        const auto is_open = [&](std::int64_t j) { return cost == nullptr || double{cost[j]} < kInfinity; };
        double over = 0, room = 0;
        for (std::int64_t j = 0; j < columns; ++j) {
            if (lack_b[j] < 0) over += std::min(part[j], -lack_b[j]);
            else if (is_open(j)) room += lack_b[j];
        }
        double to_take = std::min(over, room), to_give = to_take;
        for (std::int64_t j = 0; j < columns && to_take + to_give > 0; ++j) {
            double step = 0;
            if (lack_b[j] < 0) to_take += step = -std::min({part[j], -lack_b[j], to_take});
            else if (is_open(j)) to_give -= step = std::min(lack_b[j], to_give);
            part[j] += step;
            lack_b[j] -= step;
        }
    };
    std::fill_n(tallies, Chunks::kMost, Tally{});
    std::fill_n(sums, all, 0.0);
    if (!each_row(plan, chunks, [&](std::int64_t c, std::int64_t i, const T* row) {
            const T* const cost = plan.cost.data + i * plan.cost.row_stride;
            double* const part = out != nullptr ? out + i * columns : lines + c * columns;
            double* const columns_of_chunk = sums + c * columns;
            Tally own;
            for (std::int64_t j = 0; j < columns; ++j)
                part[j] = x[i] * double{row[j]} * y[j] + (is_forbidden ? 0 : lack_a[i] * lack_b[j]);
            if (is_forbidden) move(part, cost);
            double sum = 0;
            for (std::int64_t j = 0; j < columns; ++j) {
                sum += part[j];
                columns_of_chunk[j] += part[j];
                const double price = part[j] > 0 ? part[j] * double{cost[j]} : 0;
                own.total += price;
                own.size += std::abs(price);
            }
            own.missed = std::abs(sum - a[i]);
            tallies[c].add(own);
        }))
        return false;
    add_chunks(chunks, columns, sums);
    for (std::int64_t c = 1; c < chunks.number; ++c) tallies[0].add(tallies[c]);
    double missed = tallies[0].missed;
    for (std::int64_t j = 0; j < columns; ++j) missed += std::abs(sums[j] - b[j]);
    const double rounding = 4 * (static_cast<double>(rows + columns) + 8) * kRounding;
    // A plan whose sums are off by so much can be mended by moving twice as much, at no more than the greatest cost.
    upper = tallies[0].total + rounding * tallies[0].size + 4 * (missed + rounding * mass) * most;
    if (!(upper < kInfinity) || (is_forbidden && missed > rounding * mass)) upper = kInfinity;
    if (is_forbidden && out != nullptr && upper == kInfinity)
        for (std::int64_t i = 0; i < rows; ++i) move(out + i * columns, nullptr);
    return true;
}

template <class T>
bool Planner<T>::bound(const Plan<T>& plan, double& lower) {
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns;
    weigh(plan);
    const double *const a = row_weight_.data(), *const b = column_weight_.data();
    const Chunks chunks = chunks_of(plan);
    double* const g = column_scale_.reserve(chunks.number * columns);
    std::fill_n(g, chunks.number * columns, kInfinity);
    // Calls body(chunk, i, cost) for the rows that have weight.
    const auto each_cost = [&](auto&& body) {
        return over_rows(chunks, columns, team_, pulse_, [&](std::int64_t c, std::int64_t from, std::int64_t to) {
            for (std::int64_t i = from; i < to; ++i)
                if (a[i] > 0) body(c, i, plan.cost.data + i * plan.cost.row_stride);
        });
    };
    if (!each_cost([&](std::int64_t c, std::int64_t i, const T* cost) {
            const double f{plan.f[i]};
            double* const own = g + c * columns;
            for (std::int64_t j = 0; std::isfinite(f) && j < columns; ++j)
                own[j] = std::min(own[j], double{cost[j]} - f);
        }))
        return false;
    for (std::int64_t at = columns; at < chunks.number * columns; ++at)
        g[at % columns] = std::min(g[at % columns], g[at]);
    Tally tallies[Chunks::kMost];
    const auto add = [&](std::int64_t c, double weight, double dual) {
        if (!(weight > 0)) return;
        tallies[c].total += weight * dual;
        tallies[c].size += std::abs(weight * dual);
    };
    if (!each_cost([&](std::int64_t c, std::int64_t i, const T* cost) {
            double f = kInfinity;
            for (std::int64_t j = 0; j < columns; ++j)
                if (b[j] > 0) f = std::min(f, double{cost[j]} - g[j]);
            // Each difference is rounded by no more than this.
            add(c, a[i], f - 2 * kRounding * std::abs(f));
        }))
        return false;
    for (std::int64_t c = 1; c < chunks.number; ++c) tallies[0].add(tallies[c]);
    for (std::int64_t j = 0; j < columns; ++j) add(0, b[j], g[j]);
    lower = tallies[0].total - 4 * (static_cast<double>(rows + columns) + 8) * kRounding * tallies[0].size;
    if (!std::isfinite(lower)) lower = -kInfinity;
    return true;
}

// Soft transforms: -epsilon log of the sum of exp((g - C) / epsilon) of each row, and the same of each column.
template <class T>
bool Planner<T>::transform(const Plan<T>& plan, double* rows, double* columns) {
    const std::int64_t m = plan.cost.columns;
    const Chunks chunks = chunks_of(plan);
    const std::int64_t all = chunks.number * m;
    double *const most = scratch_.reserve(2 * all), *const sums = most + all;
    std::fill_n(most, all, -kInfinity);
    std::fill_n(sums, all, 0.0);
    const auto exponent = [&](double potential, double cost) {
        return potential > -kInfinity && cost < kInfinity ? (potential - cost) / plan.epsilon : -kInfinity;
    };
    // Calls body(chunk, i, cost).
    const auto each_cost = [&](auto&& body) {
        return over_rows(chunks, m, team_, pulse_, [&](std::int64_t c, std::int64_t from, std::int64_t to) {
            for (std::int64_t i = from; i < to; ++i) body(c, i, plan.cost.data + i * plan.cost.row_stride);
        });
    };
    if (!each_cost([&](std::int64_t c, std::int64_t i, const T* cost) {
            const double f{plan.f[i]};
            double* const own = most + c * m;
            double greatest = -kInfinity, sum = 0;
            for (std::int64_t j = 0; j < m; ++j) {
                greatest = std::max(greatest, exponent(double{plan.g[j]}, double{cost[j]}));
                own[j] = std::max(own[j], exponent(f, double{cost[j]}));
            }
            for (std::int64_t j = 0; greatest > -kInfinity && j < m; ++j)
                sum += std::exp(exponent(double{plan.g[j]}, double{cost[j]}) - greatest);
            rows[i] = -plan.epsilon * (greatest + std::log(sum));
        }))
        return false;
    for (std::int64_t at = m; at < all; ++at) most[at % m] = std::max(most[at % m], most[at]);
    if (!each_cost([&](std::int64_t c, std::int64_t i, const T* cost) {
            double* const own = sums + c * m;
            for (std::int64_t j = 0; j < m; ++j)
                if (most[j] > -kInfinity) own[j] += std::exp(exponent(double{plan.f[i]}, double{cost[j]}) - most[j]);
        }))
        return false;
    add_chunks(chunks, m, sums);
    for (std::int64_t j = 0; j < m; ++j) columns[j] = -plan.epsilon * (most[j] + std::log(sums[j]));
    return true;
}

template <class T>
bool Planner<T>::differentiate(const Plan<T>& plan, double* by_row_weight, double* by_column_weight) {
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns;
    const auto has_zero = [](const T* weights, std::int64_t count) {
        return weights != nullptr && !std::all_of(weights, weights + count, [](T weight) { return weight > T(0); });
    };
    std::fill_n(by_row_weight, rows, 0.0);
    std::fill_n(by_column_weight, columns, 0.0);
    if ((has_zero(plan.row_weights, rows) || has_zero(plan.column_weights, columns)) &&
        !transform(plan, by_row_weight, by_column_weight))
        return false;
    const auto mass_of = [](const T* weights, std::int64_t count) {
        double mass = 0;
        for (std::int64_t i = 0; weights != nullptr && i < count; ++i) mass += double{weights[i]};
        return weights != nullptr ? mass : 1;
    };
    const double row_mass = mass_of(plan.row_weights, rows), column_mass = mass_of(plan.column_weights, columns);
    const auto side = [&](std::int64_t count, const T* weights, const T* potentials, double rho, double other,
                          double* out) {
        for (std::int64_t i = 0; i < count; ++i) {
            const double weight = weights != nullptr ? double{weights[i]} : 1 / static_cast<double>(count);
            out[i] = by_weight(weight, double{potentials[i]}, out[i], rho, plan.epsilon, other);
        }
    };
    side(rows, plan.row_weights, plan.f, plan.row_penalty, column_mass, by_row_weight);
    side(columns, plan.column_weights, plan.g, plan.column_penalty, row_mass, by_column_weight);
    return pacer_.proceed(rows + columns);
}

template <class T>
bool Planner<T>::pull_back(const Plan<T>& plan, const MatrixView<T>& seed, T* out, double& residual) {
    constexpr double kAim = 1e-12;
    constexpr int kMostSteps = 1000;
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns;
    T* const P = plan_.reserve(rows * columns);
    // With the sums r and c of the plan, u and w of seed times plan, the multipliers of the rows and the columns solve
    //     r x + P y = u,   P' x + c y = w,
    // where a side that costs rho times its divergence has its sums times 1 + epsilon / rho. x is eliminated.
    double *const r = row_scale_.reserve(3 * rows), *const u = r + rows, *const x = u + rows;
    double *const c = column_scale_.reserve(7 * columns), *const w = c + columns, *const y = w + columns;
    double *const rest = y + columns, *const ahead = rest + columns, *const image = ahead + columns,
                  *const eased = image + columns;
    std::fill_n(y, columns, 0.0);
    const Chunks chunks = chunks_of(plan);
    // What the rows of each chunk add to two vectors of the columns.
    const std::int64_t all = chunks.number * columns;
    double *const part = scratch_.reserve(2 * all), *const other_part = part + all;
    std::fill_n(part, 2 * all, 0.0);
    const auto seed_at = [&](std::int64_t i, std::int64_t j) {
        return double{seed.data[i * seed.row_stride + j * seed.column_stride]};
    };
    if (!each_row(plan, chunks, [&](std::int64_t chunk, std::int64_t i, const T* row) {
            double *const own = part + chunk * columns, *const own_products = other_part + chunk * columns;
            double sum = 0, product = 0;
            for (std::int64_t j = 0; j < columns; ++j) {
                const double cell{row[j]}, value = cell > 0 ? cell * seed_at(i, j) : 0;
                P[i * columns + j] = row[j];
                sum += cell;
                product += value;
                own[j] += cell;
                own_products[j] += value;
            }
            r[i] = sum * (1 + plan.epsilon / plan.row_penalty);
            u[i] = product;
        }))
        return false;
    add_chunks(chunks, columns, part);
    add_chunks(chunks, columns, other_part);
    std::copy_n(other_part, columns, w);
    for (std::int64_t j = 0; j < columns; ++j) c[j] = part[j] * (1 + plan.epsilon / plan.column_penalty);
    // to -= P' z for z_i = scaled(i, (P from)_i), a few rows at a time; where there is no `from`, that product is 0.
    const auto reduce = [&](const double* from, double* to, auto&& scaled) {
        std::fill_n(part, all, 0.0);
        const bool is_done =
            over_rows(chunks, columns, team_, pulse_, [&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
                for (std::int64_t first = begin; first < end; first += kRows) {
                    const std::int64_t count = std::min(kRows, end - first);
                    const T* const some = P + first * columns;
                    double factors[kRows] = {};
                    if (from != nullptr) row_kernels_.multiply(some, columns, count, columns, from, 1, factors);
                    for (std::int64_t k = 0; k < count; ++k) factors[k] = -scaled(first + k, factors[k]);
                    row_kernels_.combine(some, columns, count, columns, factors, part + chunk * columns);
                }
            });
        add_chunks(chunks, columns, part);
        for (std::int64_t j = 0; j < columns; ++j) to[j] += part[j];
        return is_done;
    };
    const auto over_sum = [&](std::int64_t i, double value) { return r[i] > 0 ? value / r[i] : 0; };
    const auto dot = [&](const double* one, const double* other) {
        double sum = 0;
        for (std::int64_t j = 0; j < columns; ++j) sum += one[j] * other[j];
        return sum;
    };
    std::copy_n(w, columns, rest);
    if (!reduce(nullptr, rest, [&](std::int64_t i, double) { return over_sum(i, u[i]); })) return false;
    // Of columns without a plan nothing is asked.
    const auto ease = [&] {
        for (std::int64_t j = 0; j < columns; ++j) eased[j] = c[j] > 0 ? rest[j] / c[j] : 0;
        return dot(rest, eased);
    };
    double size = 0;
    for (std::int64_t j = 0; j < columns; ++j) size += c[j] > 0 ? w[j] * w[j] / c[j] : 0;
    double square = ease();
    const double first = std::max(size, square);
    std::copy_n(eased, columns, ahead);
    for (int step = 0; step < kMostSteps && square > kAim * kAim * first; ++step) {
        for (std::int64_t j = 0; j < columns; ++j) image[j] = c[j] * ahead[j];
        if (!reduce(ahead, image, over_sum)) return false;
        const double curve = dot(ahead, image);
        if (!(curve > 0)) break;
        const double length = square / curve;
        for (std::int64_t j = 0; j < columns; ++j) {
            y[j] += length * ahead[j];
            rest[j] -= length * image[j];
        }
        const double next = ease();
        for (std::int64_t j = 0; j < columns; ++j) ahead[j] = eased[j] + next / square * ahead[j];
        square = next;
    }
    // What is left is taken from the solution itself: the recurrence loses sight of it.
    std::copy_n(w, columns, rest);
    for (std::int64_t j = 0; j < columns; ++j) rest[j] -= c[j] * y[j];
    if (!reduce(y, rest, [&](std::int64_t i, double value) { return x[i] = over_sum(i, u[i] - value); })) return false;
    residual = first > 0 ? std::sqrt(ease() / first) : 0;
    return over_rows(chunks, columns, team_, pulse_, [&](std::int64_t, std::int64_t from, std::int64_t to) {
        for (std::int64_t i = from; i < to; ++i)
            for (std::int64_t j = 0; j < columns; ++j) {
                const double cell{P[i * columns + j]};
                out[i * columns + j] =
                    cell > 0 ? static_cast<T>(cell * (x[i] + y[j] - seed_at(i, j)) / plan.epsilon) : T(0);
            }
    });
}

template class Planner<float>;
template class Planner<double>;

}  // namespace coalign::transport
