#include "soft_warping/soft_warping.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <optional>
#include <type_traits>
#include <vector>

#include "warping/inputs.hpp"

namespace coalign::soft_warping {
namespace {

Local local_of(Metric metric) {
    switch (metric) {
        case Metric::sqeuclidean:
            return Local::square_sum;
        case Metric::euclidean:
            return Local::root_square_sum;
        case Metric::cityblock:
            return Local::magnitude_sum;
        case Metric::cosine:
            return Local::cosine;
        case Metric::precomputed:
            break;
    }
    return Local::matrix;
}

template <class T>
struct Answer {
    T value;
    Status status;
};

template <class T>
class Worker {
   public:
    Worker(Isa isa, const Options& options, std::int64_t dim, Pulse& pulse)
        : isa_(isa),
          options_(options),
          dim_(dim),
          pacer_(pulse),
          lattice_(kernels_for<T>(isa), local_of(options.metric), dim, options.recorded_bytes, pacer_) {}

    // False when the call was stopped.
    bool solve(const Problem<T>& problem, const Backward<T>& out, Answer<T>& answer) {
        constexpr T inf = std::numeric_limits<T>::infinity();
        const std::int64_t n = problem.x.length, m = problem.y.length;
        const std::vector<Range>* window = nullptr;
        if (options_.window.kind != Window::Kind::none) {
            if (!bound(n, m)) return false;
            if (!warping::feasible(ranges_, m)) {
                answer = {inf, Status::infeasible};
                clear(problem, out);
                return true;
            }
            window = &ranges_;
        }
        double least = 0;
        if (problem.matrix != nullptr && !find_least(problem, window, least)) return false;
        if (std::isnan(least)) {
            answer = {std::numeric_limits<T>::quiet_NaN(), Status::nan};
            clear(problem, out);
            return true;
        }
        double value = 0;
        // Nothing falls further below 0 than this.
        const double depth = -least * static_cast<double>(n + m);
        const auto counts = [&](double most) { return depth * std::numbers::log2e <= most * options_.gamma; };
        bool too_large = true;
        if (counts(static_cast<double>(kMostWhole<T>))) {
            const auto outcome = lattice_.solve(problem, window, options_.gamma, value, out);
            if (outcome == Outcome<T, T>::stopped) return false;
            too_large = outcome == Outcome<T, T>::too_large;
        }
        if (too_large && std::is_same_v<T, float> && counts(kMostWhole<double>)) {
            const auto again = wide().solve(problem, window, options_.gamma, value, out);
            if (again == Outcome<double, T>::stopped) return false;
            too_large = again == Outcome<double, T>::too_large;
        }
        answer.status = Status::ok;
        if (too_large && !solve_hard(problem, window, depth, value, out, answer.status)) return false;
        answer.value = static_cast<T>(value);
        if (!std::isfinite(answer.value)) {
            if (answer.status == Status::ok) answer.status = Status::precision_limit;
            clear(problem, out);
        }
        return true;
    }

   private:
    template <class Of, class Given>
    using Outcome = typename Lattice<Of, Given>::Outcome;

    Lattice<double, T>& wide() {
        if constexpr (std::is_same_v<T, double>) {
            return lattice_;
        } else {
            if (!wide_)
                wide_.emplace(kernels_for<double>(isa_), local_of(options_.metric), dim_, options_.recorded_bytes,
                              pacer_);
            return *wide_;
        }
    }

    // Pairs of one shape, one after the other, share the ranges.
    bool bound(std::int64_t n, std::int64_t m) {
        if (n == bounded_n_ && m == bounded_m_) return true;
        bounded_n_ = bounded_m_ = 0;
        if (!warping::row_ranges(options_.window, n, m, ranges_, pacer_)) return false;
        bounded_n_ = n;
        bounded_m_ = m;
        return true;
    }

    // The least of 0 and the costs in the window; NaN where one of them is NaN or -inf. A stopped call returns false.
    bool find_least(const Problem<T>& problem, const std::vector<Range>* window, double& least) {
        constexpr std::int64_t stretch = 1 << 16;
        const std::int64_t m = problem.y.length;
        for (std::int64_t i = 0; i < problem.x.length; ++i) {
            const T* const row = problem.matrix + i * problem.matrix_stride;
            const Range cells = window != nullptr ? (*window)[static_cast<std::size_t>(i)] : Range{0, m};
            for (std::int64_t from = cells.start; from < cells.stop; from += stretch) {
                const std::int64_t to = std::min(from + stretch, cells.stop);
                for (std::int64_t j = from; j < to; ++j) {
                    if (!(row[j] > -std::numeric_limits<T>::infinity())) {
                        least = std::numeric_limits<double>::quiet_NaN();
                        return true;
                    }
                    least = std::min(least, static_cast<double>(row[j]));
                }
                if (!pacer_.proceed(to - from)) return false;
            }
        }
        return true;
    }

    // The problem in float64, as the engine of hard minima takes it.
    struct Widened {
        std::vector<double> x, y, matrix;
        Problem<double> problem{};
    };
    void widen(const Problem<T>& problem, Widened& out) const {
        const std::int64_t n = problem.x.length, m = problem.y.length;
        const auto frames = [&](const Series<T>& side, std::vector<double>& room) -> Series<double> {
            if (side.data == nullptr) return {nullptr, side.length};
            room.assign(side.data, side.data + side.length * dim_);
            if (options_.metric == Metric::cosine)
                for (double* frame = room.data(); frame < room.data() + room.size(); frame += dim_)
                    warping::normalise_frame(frame, dim_, frame);
            return {room.data(), side.length};
        };
        out.problem = {frames(problem.x, out.x), frames(problem.y, out.y)};
        if (problem.matrix == nullptr) return;
        for (std::int64_t i = 0; i < n; ++i) {
            const T* const row = problem.matrix + i * problem.matrix_stride;
            out.matrix.insert(out.matrix.end(), row, row + m);
        }
        out.problem.matrix = out.matrix.data();
        out.problem.matrix_stride = m;
    }

    // A minimum that is as good as hard. With a gamma of 2^-49 of it, and of what a path can fall below 0, the value is
    // off by at most 2^-49 of it a step, and its units can be counted. A stopped call returns false.
    bool solve_hard(const Problem<T>& problem, const std::vector<Range>* window, double depth, double& value,
                    const Backward<T>& out, Status& status) {
        Widened wider;
        widen(problem, wider);
        const warping::Options hard{options_.metric, options_.window};
        warping::Strips<double> strips(warping::kernels_for<double>(isa_), hard, dim_, pacer_);
        auto found = strips.run(wider.problem, nullptr);
        if (found.stopped) return false;
        value = found.cost;
        if (std::isfinite(value)) {
            const double size = std::max(std::abs(value), depth);
            const double gamma = std::max(size * std::numbers::log2e * 0x1p-49, kLeastGamma);
            return wide().solve(problem, window, gamma, value, out) != Outcome<double, T>::stopped;
        }
        // No path, or an overflow? With costs of 0 nothing overflows.
        for (double& cost : wider.matrix) cost = cost < std::numeric_limits<double>::infinity() ? 0 : cost;
        if (!wider.matrix.empty()) found = strips.run(wider.problem, nullptr);
        if (!wider.matrix.empty() && !std::isfinite(found.cost)) status = Status::infeasible;
        return !found.stopped;
    }

    void clear(const Problem<T>& problem, const Backward<T>& out) const {
        const std::int64_t n = problem.x.length, m = problem.y.length;
        if (out.grad_x != nullptr) {
            std::fill_n(out.grad_x, n * dim_, T(0));
            std::fill_n(out.grad_y, m * dim_, T(0));
        }
        if (out.visits != nullptr) std::fill_n(out.visits, n * m, T(0));
    }

    const Isa isa_;
    const Options& options_;
    const std::int64_t dim_;
    Pacer pacer_;
    Lattice<T, T> lattice_;
    std::optional<Lattice<double, T>> wide_;
    std::vector<Range> ranges_;
    std::int64_t bounded_n_ = 0, bounded_m_ = 0;
};

double work_of(std::int64_t n, std::int64_t m, std::int64_t dim) {
    return static_cast<double>(n) * static_cast<double>(m) * static_cast<double>(8 + dim);
}

template <class T>
Series<T> series_of(const Ragged& batch, std::int64_t item) {
    return {batch.begin_of<T>(item), batch.rows_of(item)};
}

}  // namespace

template <class T>
Run solve_pairs(Isa isa, const Pairs& pairs, const Options& options, double work_per_thread, Pulse& pulse, T* value,
                Status* status, const Backward<T>* out) {
    double work = 0;
    for (std::int64_t p = 0; p < pairs.count(); ++p) work += work_of(pairs.x_length(p), pairs.y_length(p), pairs.dim());
    return run_batch(
        pairs.count(), work, options.threads, work_per_thread, pulse,
        [&] { return Worker<T>(isa, options, pairs.dim(), pulse); },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            const warping::Problem<T> problem = pairs.at<T>(p);
            Answer<T> answer{};
            if (!worker.solve(problem, out != nullptr ? out[p] : Backward<T>{}, answer)) return p;
            value[p] = answer.value;
            status[p] = answer.status;
            return p + 1;
        });
}

template <class T>
Run solve_all_pairs(Isa isa, const Ragged& xs, const Ragged& ys, bool symmetric, const Options& options,
                    double work_per_thread, Pulse& pulse, T* out, std::int64_t stride) {
    const auto frames = [](const Ragged& side) { return side.elements() / static_cast<double>(side.columns); };
    const double work = frames(xs) * frames(ys) * static_cast<double>(8 + xs.columns);
    return run_batch(
        xs.count * ys.count, work, options.threads, work_per_thread, pulse,
        [&] { return Worker<T>(isa, options, xs.columns, pulse); },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            const std::int64_t i = p / ys.count, j = p % ys.count;
            if (symmetric && j < i) return p + 1;
            Answer<T> answer{};
            if (!worker.solve({series_of<T>(xs, i), series_of<T>(ys, j)}, {}, answer)) return p;
            out[i * stride + j] = answer.value;
            if (symmetric) out[j * stride + i] = answer.value;
            pulse.add_done(1);
            return p + 1;
        });
}

template Run solve_pairs(Isa, const Pairs&, const Options&, double, Pulse&, float*, Status*, const Backward<float>*);
template Run solve_pairs(Isa, const Pairs&, const Options&, double, Pulse&, double*, Status*, const Backward<double>*);
template Run solve_all_pairs<float>(Isa, const Ragged&, const Ragged&, bool, const Options&, double, Pulse&, float*,
                                    std::int64_t);
template Run solve_all_pairs<double>(Isa, const Ragged&, const Ragged&, bool, const Options&, double, Pulse&, double*,
                                     std::int64_t);

}  // namespace coalign::soft_warping
