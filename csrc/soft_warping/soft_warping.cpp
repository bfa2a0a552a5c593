#include "soft_warping/soft_warping.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <optional>
#include <type_traits>
#include <vector>

#include "warping/strips.hpp"

namespace coalign::soft_warping {
namespace {

Local local_of(Metric metric) {
    return metric == Metric::sqeuclidean ? Local::square_sum
           : metric == Metric::euclidean ? Local::root_square_sum
                                         : Local::magnitude_sum;
}

// Below, log2(e) / gamma is beyond float64, and the value is that of the hard minimum to the last digit.
constexpr double kLeastGamma = 1e-290;

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
    bool solve(const Series<T>& x, const Series<T>& y, const Backward<T>& out, Answer<T>& answer) {
        constexpr T inf = std::numeric_limits<T>::infinity();
        const std::vector<Range>* window = nullptr;
        if (options_.window.kind != Window::Kind::none) {
            if (!bound(x.length, y.length)) return false;
            if (!warping::feasible(ranges_, y.length)) {
                answer = {inf, Status::infeasible};
                clear(x, y, out);
                return true;
            }
            window = &ranges_;
        }
        double value = 0;
        const double gamma = std::max(options_.gamma, kLeastGamma);
        auto outcome = lattice_.solve(x, y, window, gamma, value, out);
        if (outcome == Outcome<T, T>::stopped) return false;
        bool too_large = outcome == Outcome<T, T>::too_large;
        if (too_large && std::is_same_v<T, float>) {
            const auto again = wide().solve(x, y, window, gamma, value, out);
            if (again == Outcome<double, T>::stopped) return false;
            too_large = again == Outcome<double, T>::too_large;
        }
        if (too_large && !solve_hard(x, y, window, value, out)) return false;
        answer = {static_cast<T>(value), Status::ok};
        if (!std::isfinite(answer.value)) {
            answer.status = Status::precision_limit;
            clear(x, y, out);
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

    // A minimum that is as good as hard. With a gamma of 2^-49 of it the value is off by at most 2^-49 of it a step,
    // and its units can be counted. A stopped call returns false.
    bool solve_hard(const Series<T>& x, const Series<T>& y, const std::vector<Range>* window, double& value,
                    const Backward<T>& out) {
        const auto widened = [&](const Series<T>& side, std::vector<double>& room) -> Series<double> {
            room.assign(side.data, side.data + side.length * dim_);
            return {room.data(), side.length};
        };
        std::vector<double> x_frames, y_frames;
        const warping::Options hard{options_.metric, options_.window};
        warping::Strips<double> strips(warping::kernels_for<double>(isa_), hard, dim_, pacer_);
        const auto found = strips.run({widened(x, x_frames), widened(y, y_frames)}, nullptr);
        if (found.stopped) return false;
        value = found.cost;
        if (!std::isfinite(value)) return true;
        const double gamma = std::max(value * std::numbers::log2e * 0x1p-49, kLeastGamma);
        return wide().solve(x, y, window, gamma, value, out) != Outcome<double, T>::stopped;
    }

    void clear(const Series<T>& x, const Series<T>& y, const Backward<T>& out) const {
        if (out.grad_x != nullptr) {
            std::fill_n(out.grad_x, x.length * dim_, T(0));
            std::fill_n(out.grad_y, y.length * dim_, T(0));
        }
        if (out.visits != nullptr) std::fill_n(out.visits, x.length * y.length, T(0));
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
            if (!worker.solve(problem.x, problem.y, out != nullptr ? out[p] : Backward<T>{}, answer)) return p;
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
            if (!worker.solve(series_of<T>(xs, i), series_of<T>(ys, j), {}, answer)) return p;
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
