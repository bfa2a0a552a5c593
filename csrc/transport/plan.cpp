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
constexpr std::int64_t kRows = 16;

}  // namespace

// Calls use(first, count, rows, stride) for the rows of the plan, some at a time; rows without potential are 0.
template <class T>
template <class Use>
bool Planner<T>::each_block(const Plan<T>& plan, Use&& use) {
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns, width = padded(columns);
    double* const f = row_potential_.reserve(rows);
    double* const g = column_potential_.reserve(width);
    for (std::int64_t i = 0; i < rows; ++i) f[i] = double{plan.f[i]};
    for (std::int64_t j = 0; j < width; ++j) g[j] = j < columns ? double{plan.g[j]} : -kInfinity;
    PlanPass<T> pass{};
    pass.column_potential = g;
    pass.plan = block_.reserve(kRows * width);
    pass.plan_stride = width;
    pass.row_sum = row_sum_.reserve(rows);
    pass.column_sum = column_sum_.reserve(width);
    std::fill_n(pass.column_sum, width, 0.0);
    for (std::int64_t begin = 0; begin < rows; begin += kRows) {
        const std::int64_t count = std::min(kRows, rows - begin);
        pass.rows = {plan.cost.data + begin * plan.cost.row_stride, plan.cost.row_stride, count, columns,
                     1 / plan.epsilon};
        pass.row_potential = f + begin;
        pass.row_sum = row_sum_.data() + begin;
        kernels_.plan(pass);
        use(begin, count, pass.plan, width);
        if (!pacer_.proceed(count * width / 2)) return false;
    }
    return true;
}

// Calls use(i, row) for each row, in order.
template <class T>
template <class Use>
bool Planner<T>::each_row(const Plan<T>& plan, Use&& use) {
    return each_block(plan, [&](std::int64_t begin, std::int64_t count, const T* rows, std::int64_t stride) {
        for (std::int64_t i = 0; i < count; ++i) use(begin + i, rows + i * stride);
    });
}

template <class T>
bool Planner<T>::write(const Plan<T>& plan, T* out) {
    const std::int64_t columns = plan.cost.columns;
    return each_row(plan, [&](std::int64_t i, const T* row) { std::copy_n(row, columns, out + i * columns); });
}

template <class T>
bool Planner<T>::apply(const Plan<T>& plan, const double* v, std::int64_t many, bool transposed, T* out) {
    const std::int64_t columns = plan.cost.columns, results = transposed ? columns : kRows;
    double* const sums = scratch_.reserve(results * many);
    std::fill_n(sums, results * many, 0.0);
    if (transposed) {
        const bool done = each_row(plan, [&](std::int64_t i, const T* row) {
            for (std::int64_t j = 0; j < columns; ++j) {
                // A plan of 0 takes nothing, of an infinite value either.
                if (row[j] == T(0)) continue;
                for (std::int64_t k = 0; k < many; ++k) sums[j * many + k] += double{row[j]} * v[i * many + k];
            }
        });
        std::transform(sums, sums + columns * many, out, [](double sum) { return static_cast<T>(sum); });
        return done;
    }
    const bool is_finite = std::all_of(v, v + columns * many, [](double value) { return std::isfinite(value); });
    return each_block(plan, [&](std::int64_t begin, std::int64_t count, const T* rows, std::int64_t stride) {
        if (is_finite) {
            row_kernels_.multiply(rows, stride, count, columns, v, many, sums);
        } else {
            std::fill_n(sums, count * many, 0.0);
            for (std::int64_t i = 0; i < count; ++i)
                for (std::int64_t j = 0; j < columns; ++j)
                    for (std::int64_t k = 0; rows[i * stride + j] > T(0) && k < many; ++k)
                        sums[i * many + k] += double{rows[i * stride + j]} * v[j * many + k];
        }
        std::transform(sums, sums + count * many, out + begin * many, [](double sum) { return static_cast<T>(sum); });
    });
}

template <class T>
bool Planner<T>::choose(const Plan<T>& plan, std::int64_t* column_of_row) {
    const std::int64_t columns = plan.cost.columns;
    double* const g = column_potential_.reserve(columns);
    std::transform(plan.g, plan.g + columns, g, [](T potential) { return double{potential}; });
    for (std::int64_t i = 0; i < plan.cost.rows; ++i) {
        const bool has_plan = plan.f[i] > -std::numeric_limits<T>::infinity();
        column_of_row[i] = has_plan ? row_kernels_.choose(plan.cost.data + i * plan.cost.row_stride, g, columns) : -1;
        if (!pacer_.proceed(columns)) return false;
    }
    return true;
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
    double most = 0;
    bool is_forbidden = false;
    // Scales, what each side lacks, the sums of the rounded plan, and one row of it.
    double *const x = row_scale_.reserve(2 * rows), *const lack_a = x + rows;
    double *const y = column_scale_.reserve(4 * columns), *const lack_b = y + columns;
    double *const sums = lack_b + columns, *const line = sums + columns;
    if (!each_row(plan, [&](std::int64_t i, const T* row) {
            const T* const cost = plan.cost.data + i * plan.cost.row_stride;
            double sum = 0;
            for (std::int64_t j = 0; j < columns; ++j) {
                const double size = std::abs(double{cost[j]});
                if (size < kInfinity) most = std::max(most, size);
                else is_forbidden = true;
                sum += double{row[j]};
            }
            x[i] = sum;
        }))
        return false;
    // Without forbidden pairs, rows and then columns are scaled down to their weights, and what they then lack is
    // spread in proportion.
    for (std::int64_t i = 0; i < rows; ++i) x[i] = x[i] > a[i] || (is_forbidden && x[i] > 0) ? a[i] / x[i] : 1;
    std::fill_n(sums, columns, 0.0);
    if (!each_row(plan, [&](std::int64_t i, const T* row) {
            for (std::int64_t j = 0; j < columns; ++j) sums[j] += x[i] * double{row[j]};
        }))
        return false;
    double lack = 0;
    for (std::int64_t j = 0; j < columns; ++j) {
        y[j] = sums[j] > b[j] && !is_forbidden ? b[j] / sums[j] : 1;
        lack_b[j] = b[j] - y[j] * sums[j];
        if (!is_forbidden) lack_b[j] = std::max(lack_b[j], 0.0);
        lack += std::max(lack_b[j], 0.0);
    }
    if (!is_forbidden && !each_row(plan, [&](std::int64_t i, const T* row) {
            double sum = 0;
            for (std::int64_t j = 0; j < columns; ++j) sum += double{row[j]} * y[j];
            lack_a[i] = std::max(a[i] - x[i] * sum, 0.0) * (lack > 0 ? 1 / lack : 0);
        }))
        return false;
    // Beside forbidden pairs, rows have their weights, and move what columns have too much of to columns that lack it.
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
    double total = 0, size = 0, missed = 0;
    std::fill_n(sums, columns, 0.0);
    if (!each_row(plan, [&](std::int64_t i, const T* row) {
            const T* const cost = plan.cost.data + i * plan.cost.row_stride;
            double* const part = out != nullptr ? out + i * columns : line;
            for (std::int64_t j = 0; j < columns; ++j)
                part[j] = x[i] * double{row[j]} * y[j] + (is_forbidden ? 0 : lack_a[i] * lack_b[j]);
            if (is_forbidden) move(part, cost);
            double sum = 0;
            for (std::int64_t j = 0; j < columns; ++j) {
                sum += part[j];
                sums[j] += part[j];
                const double price = part[j] > 0 ? part[j] * double{cost[j]} : 0;
                total += price;
                size += std::abs(price);
            }
            missed += std::abs(sum - a[i]);
        }))
        return false;
    for (std::int64_t j = 0; j < columns; ++j) missed += std::abs(sums[j] - b[j]);
    const double rounding = 4 * (static_cast<double>(rows + columns) + 8) * kRounding;
    // A plan whose sums are off by so much can be mended by moving twice as much, at no more than the greatest cost.
    upper = total + rounding * size + 4 * (missed + rounding * mass) * most;
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
    double* const g = column_scale_.reserve(columns);
    std::fill_n(g, columns, kInfinity);
    const auto cost_of = [&](std::int64_t i) { return plan.cost.data + i * plan.cost.row_stride; };
    for (std::int64_t i = 0; i < rows; ++i) {
        const double f{plan.f[i]};
        if (!(a[i] > 0) || !std::isfinite(f)) continue;
        const T* const cost = cost_of(i);
        for (std::int64_t j = 0; j < columns; ++j) g[j] = std::min(g[j], double{cost[j]} - f);
        if (!pacer_.proceed(columns)) return false;
    }
    double sum = 0, size = 0;
    const auto add = [&](double weight, double dual) {
        if (!(weight > 0)) return;
        sum += weight * dual;
        size += std::abs(weight * dual);
    };
    for (std::int64_t i = 0; i < rows; ++i) {
        if (!(a[i] > 0)) continue;
        const T* const cost = cost_of(i);
        double f = kInfinity;
        for (std::int64_t j = 0; j < columns; ++j)
            if (b[j] > 0) f = std::min(f, double{cost[j]} - g[j]);
        // Each difference is rounded by no more than this.
        add(a[i], f - 2 * kRounding * std::abs(f));
        if (!pacer_.proceed(columns)) return false;
    }
    for (std::int64_t j = 0; j < columns; ++j) add(b[j], g[j]);
    lower = sum - 4 * (static_cast<double>(rows + columns) + 8) * kRounding * size;
    if (!std::isfinite(lower)) lower = -kInfinity;
    return true;
}

// Soft transforms: -epsilon log of the sum of exp((g - C) / epsilon) of each row, and the same of each column.
template <class T>
void Planner<T>::transform(const Plan<T>& plan, double* rows, double* columns) {
    const std::int64_t n = plan.cost.rows, m = plan.cost.columns;
    double* const most = scratch_.reserve(m);
    std::fill_n(most, m, -kInfinity);
    std::fill_n(columns, m, 0.0);
    const auto exponent = [&](double potential, double cost) {
        return potential > -kInfinity && cost < kInfinity ? (potential - cost) / plan.epsilon : -kInfinity;
    };
    for (std::int64_t i = 0; i < n; ++i) {
        const T* const cost = plan.cost.data + i * plan.cost.row_stride;
        const double f{plan.f[i]};
        double greatest = -kInfinity, sum = 0;
        for (std::int64_t j = 0; j < m; ++j) {
            greatest = std::max(greatest, exponent(double{plan.g[j]}, double{cost[j]}));
            most[j] = std::max(most[j], exponent(f, double{cost[j]}));
        }
        if (greatest > -kInfinity)
            for (std::int64_t j = 0; j < m; ++j)
                sum += std::exp(exponent(double{plan.g[j]}, double{cost[j]}) - greatest);
        rows[i] = -plan.epsilon * (greatest + std::log(sum));
    }
    for (std::int64_t i = 0; i < n; ++i) {
        const T* const cost = plan.cost.data + i * plan.cost.row_stride;
        for (std::int64_t j = 0; j < m; ++j)
            if (most[j] > -kInfinity) columns[j] += std::exp(exponent(double{plan.f[i]}, double{cost[j]}) - most[j]);
    }
    for (std::int64_t j = 0; j < m; ++j) columns[j] = -plan.epsilon * (most[j] + std::log(columns[j]));
}

template <class T>
bool Planner<T>::differentiate(const Plan<T>& plan, double* by_row_weight, double* by_column_weight) {
    const std::int64_t rows = plan.cost.rows, columns = plan.cost.columns;
    const auto has_zero = [](const T* weights, std::int64_t count) {
        return weights != nullptr && !std::all_of(weights, weights + count, [](T weight) { return weight > T(0); });
    };
    std::fill_n(by_row_weight, rows, 0.0);
    std::fill_n(by_column_weight, columns, 0.0);
    if (has_zero(plan.row_weights, rows) || has_zero(plan.column_weights, columns))
        transform(plan, by_row_weight, by_column_weight);
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
    return pacer_.proceed(8 * rows * columns);
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
    std::fill_n(c, 3 * columns, 0.0);
    const auto seed_at = [&](std::int64_t i, std::int64_t j) {
        return double{seed.data[i * seed.row_stride + j * seed.column_stride]};
    };
    if (!each_row(plan, [&](std::int64_t i, const T* row) {
            double sum = 0, product = 0;
            for (std::int64_t j = 0; j < columns; ++j) {
                const double part{row[j]}, value = part > 0 ? part * seed_at(i, j) : 0;
                P[i * columns + j] = row[j];
                sum += part;
                product += value;
                c[j] += part;
                w[j] += value;
            }
            r[i] = sum * (1 + plan.epsilon / plan.row_penalty);
            u[i] = product;
        }))
        return false;
    for (std::int64_t j = 0; j < columns; ++j) c[j] *= 1 + plan.epsilon / plan.column_penalty;
    // to -= P' (P from / r), row by row.
    const auto reduce = [&](const double* from, double* to) {
        for (std::int64_t i = 0; i < rows; ++i) {
            if (!(r[i] > 0)) continue;
            const T* const row = P + i * columns;
            double sum = from != nullptr ? 0 : u[i];
            if (from != nullptr)
                for (std::int64_t j = 0; j < columns; ++j) sum += double{row[j]} * from[j];
            sum /= r[i];
            for (std::int64_t j = 0; j < columns; ++j) to[j] -= double{row[j]} * sum;
        }
        return pacer_.proceed(rows * columns);
    };
    const auto dot = [&](const double* one, const double* other) {
        double sum = 0;
        for (std::int64_t j = 0; j < columns; ++j) sum += one[j] * other[j];
        return sum;
    };
    std::copy_n(w, columns, rest);
    if (!reduce(nullptr, rest)) return false;
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
        if (!reduce(ahead, image)) return false;
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
    for (std::int64_t i = 0; i < rows; ++i) {
        const T* const row = P + i * columns;
        double sum = u[i];
        for (std::int64_t j = 0; j < columns; ++j) sum -= double{row[j]} * y[j];
        x[i] = r[i] > 0 ? sum / r[i] : 0;
        for (std::int64_t j = 0; j < columns; ++j) {
            rest[j] -= double{row[j]} * x[i];
            out[i * columns + j] =
                row[j] > T(0) ? static_cast<T>(double{row[j]} * (x[i] + y[j] - seed_at(i, j)) / plan.epsilon) : T(0);
        }
    }
    residual = first > 0 ? std::sqrt(ease() / first) : 0;
    return pacer_.proceed(rows * columns);
}

template class Planner<float>;
template class Planner<double>;

}  // namespace coalign::transport
