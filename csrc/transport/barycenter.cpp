// J.-D. Benamou, G. Carlier, M. Cuturi, L. Nenna, G. Peyre: Iterative Bregman projections for regularized
// transportation problems. SIAM J. Sci. Comput. 37(2), 2015, section 3. In logarithms: G_k is that of the column
// scaling of histogram k. With the row scalings that meet its marginal the columns have the sums q_k, the barycenter is
// the geometric mean of q_k / exp(G_k), and the next G_k makes every q_k that.
#include "transport/barycenter.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/buffer.hpp"
#include "transport/log_pass.hpp"
#include "transport/problems.hpp"

namespace coalign::transport {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A thread sweeps so many in some 15 us, and two take about 2 us to go from one phase to the next.
constexpr double kCellsPerThread = 1 << 17;

template <class T>
class BarycenterSolver {
   public:
    BarycenterSolver(Isa isa, const Options& options, Team& team, Pulse& pulse)
        : options_(options), pass_(isa, team, pulse), anderson_(table_for<HistoryKernels>(isa)) {}

    // False when the call is to stop.
    bool solve(const BarycenterBatch& batch, std::int64_t p, const double* share, BarycenterSolution<T>& solution) {
        cost_ = batch.costs.at<T>(batch.cost_item(p));
        width_ = padded(cost_.columns);
        take(batch.histograms.at<T>(batch.histogram_item(p)), share);
        const double wanted = batch.epsilon[p * batch.epsilon_stride];
        double* const potential = potential_.reserve(used_ * width_);
        image_.reserve(used_ * width_);
        log_sums_.reserve(used_ * width_);
        sums_of_.reserve(used_ * width_);
        log_weights_.reserve(width_);
        double* const ones = ones_.reserve(width_);
        for (std::int64_t j = 0; j < width_; ++j) ones[j] = j < cost_.columns ? 1 : 0;
        for (std::int64_t at = 0; at < used_ * width_; ++at)
            potential[at] = at % width_ < cost_.columns ? 0 : -kInfinity;
        const auto run_at = [&](double epsilon, double tolerance, std::int64_t most) {
            return run(epsilon, tolerance, most, solution);
        };
        Outcome outcome = Outcome::reached;
        if (options_.tolerance > 0)
            outcome = lower_epsilon(spread_of_costs(cost_).ordinary, wanted, options_.most_iterations,
                                    solution.iterations, potential, used_ * width_, run_at);
        const std::int64_t left = std::max<std::int64_t>(options_.most_iterations - solution.iterations, 1);
        if (outcome == Outcome::reached) outcome = run_at(wanted, options_.tolerance, left);
        if (outcome > Outcome::stalled) return fail(outcome, solution);
        conclude(solution);
        return true;
    }

   private:
    // Sums below this miss what has been flushed to 0, and scalings beyond this would lose it.
    static constexpr double kLeastSum = 1e-280, kMostPotential = 300;

    // The histograms that have a share, scaled to a mass of 1.
    void take(const MatrixView<T>& given, const double* share) {
        used_ = 0;
        shares_.reserve(given.rows);
        number_.reserve(given.rows);
        double* const rows = rows_.reserve(given.rows * cost_.rows);
        for (std::int64_t k = 0; k < given.rows; ++k) {
            const T* const from = given.data + k * given.row_stride;
            double mass = 0;
            for (std::int64_t i = 0; i < cost_.rows; ++i) mass += double{from[i]};
            if (k == 0) mass_ = mass;
            if (!(share[k] > 0)) continue;
            shares_.data()[used_] = share[k];
            number_.data()[used_] = k;
            for (std::int64_t i = 0; i < cost_.rows; ++i) rows[used_ * cost_.rows + i] = double{from[i]} / mass;
            ++used_;
        }
    }

    bool fail(Outcome outcome, BarycenterSolution<T>& solution) const {
        if (outcome == Outcome::stopped) return false;
        solution.status = outcome == Outcome::wrong ? Status::nan : Status::infeasible;
        solution.row = outcome == Outcome::wrong ? pass_.wrong_row() : empty_row_;
        if (outcome == Outcome::wrong) solution.column = pass_.wrong_column();
        else solution.histogram = empty_histogram_;
        return true;
    }

    Outcome run(double epsilon, double tolerance, std::int64_t most, BarycenterSolution<T>& solution) {
        pass_.begin(cost_, epsilon);
        is_made_ = false;
        is_quick_ = true;
        const std::int64_t all = used_ * width_;
        double* const potential = potential_.data();
        double* const weight = anderson_weight_.reserve(all);
        for (std::int64_t at = 0; at < all; ++at)
            weight[at] = potential[at] > -kInfinity ? shares_.data()[at / width_] : 0;
        anderson_.start(weight, all);
        for (std::int64_t made = 1;; ++made) {
            const Outcome outcome = iterate();
            if (outcome != Outcome::reached) return outcome;
            ++solution.iterations;
            if (tolerance > 0 && error_ <= tolerance) return Outcome::reached;
            if (made >= most) return tolerance > 0 ? Outcome::not_reached : Outcome::reached;
            if (tolerance > 0) anderson_.step(potential, image_.data(), error_);
            else std::copy_n(image_.data(), all, potential);
        }
    }

    // From the column potentials the sums of all plans' columns, the barycenter, and the next potentials.
    Outcome iterate() {
        const double* const potential = potential_.data();
        double *const log_sum = log_sums_.data(), *const sum = sums_of_.data();
        std::int64_t done = 0;
        if (is_quick_) {
            const Outcome outcome = sweep();
            if (outcome != Outcome::reached && outcome != Outcome::stalled) return outcome;
            is_quick_ = outcome == Outcome::reached;
            if (is_quick_) done = used_;
        }
        for (; done < used_; ++done) {
            const double* const own = rows_.data() + done * cost_.rows;
            double *const sums = sum + done * width_, *const logs = log_sum + done * width_;
            const double* const from = potential + done * width_;
            const Outcome outcome = pass_.absorb(from, ones_.data());
            if (outcome != Outcome::reached) return outcome;
            double least = 0;
            if (!pass_.sweep(1, ones_.data(), own, least)) return Outcome::stopped;
            for (std::int64_t i = 0; i < cost_.rows; ++i)
                if (own[i] > 0 && !(pass_.row_potential()[i] < kInfinity)) return empty(done, i);
            std::copy_n(pass_.sums(), width_, sums);
            least = kInfinity;
            for (std::int64_t j = 0; j < cost_.columns; ++j)
                if (from[j] > -kInfinity) least = std::min(least, sums[j]);
            if (least > kLeastSum) {
                for (std::int64_t j = 0; j < width_; ++j) logs[j] = std::log(sums[j]) - from[j];
            } else if (!pass_.sum_columns(own, logs)) {
                return Outcome::stopped;
            }
        }
        double* const weights = log_weights_.data();
        double* const image = image_.data();
        for (std::int64_t j = 0; j < cost_.columns; ++j) {
            weights[j] = 0;
            for (std::int64_t k = 0; k < used_; ++k) {
                const bool counts = potential[k * width_ + j] > -kInfinity;
                weights[j] += counts ? shares_.data()[k] * log_sum[k * width_ + j] : -kInfinity;
            }
        }
        const double unit = log_total();
        error_ = 0;
        for (std::int64_t k = 0; k < used_; ++k) {
            double missed = 0;
            for (std::int64_t j = 0; j < width_; ++j) {
                const bool counts = j < cost_.columns && weights[j] > -kInfinity;
                image[k * width_ + j] = counts ? weights[j] - log_sum[k * width_ + j] : -kInfinity;
                if (j < cost_.columns) missed += std::abs(sum[k * width_ + j] - std::exp(weights[j] - unit));
            }
            error_ += shares_.data()[k] * missed;
        }
        return Outcome::reached;
    }

    // The sums of all plans from one pass over a kernel matrix that they share. Stalled where it cannot hold them.
    Outcome sweep() {
        const std::int64_t all = used_ * width_;
        double* const scaling = scaling_.reserve(all);
        const double* const potential = potential_.data();
        for (std::int64_t at = 0; at < all; ++at) {
            const double own = potential[at];
            if (own > -kInfinity && std::abs(own) > kMostPotential) return Outcome::stalled;
            scaling[at] = std::exp(own);
        }
        if (!is_made_) {
            double* const start = start_.reserve(width_);
            for (std::int64_t j = 0; j < width_; ++j) start[j] = j < cost_.columns ? 0 : -kInfinity;
            const Outcome outcome = pass_.absorb(start, ones_.data());
            if (outcome != Outcome::reached) return outcome;
            is_made_ = true;
        }
        double least = 0;
        if (!pass_.sweep(used_, scaling, rows_.data(), least)) return Outcome::stopped;
        if (!(least > kLeastSum)) return Outcome::stalled;
        const double* const sums = pass_.sums();
        for (std::int64_t at = 0; at < all; ++at) {
            if (!(potential[at] > -kInfinity)) {
                sums_of_.data()[at] = 0;
                log_sums_.data()[at] = -kInfinity;
                continue;
            }
            if (!(sums[at] > kLeastSum)) return Outcome::stalled;
            sums_of_.data()[at] = scaling[at] * sums[at];
            log_sums_.data()[at] = std::log(sums[at]);
        }
        return Outcome::reached;
    }

    Outcome empty(std::int64_t k, std::int64_t row) {
        empty_histogram_ = number_.data()[k];
        empty_row_ = row;
        return Outcome::empty_row;
    }

    // The logarithm of the mass of the barycenter, which is 1 in the end.
    double log_total() const {
        const double* const weights = log_weights_.data();
        const double most = *std::max_element(weights, weights + cost_.columns);
        double total = 0;
        for (std::int64_t j = 0; j < cost_.columns; ++j) total += std::exp(weights[j] - most);
        return most + std::log(total);
    }

    // Writes the barycenter, rounded to T, and how far the plans are from it.
    void conclude(BarycenterSolution<T>& solution) {
        const double unit = log_total();
        for (std::int64_t j = 0; j < cost_.columns; ++j)
            solution.weights[j] = T(mass_ * std::exp(log_weights_.data()[j] - unit));
        solution.error = 0;
        for (std::int64_t k = 0; k < used_; ++k) {
            double missed = 0;
            for (std::int64_t j = 0; j < cost_.columns; ++j)
                missed += std::abs(sums_of_.data()[k * width_ + j] - double{solution.weights[j]} / mass_);
            solution.error += shares_.data()[k] * missed;
        }
        if (solution.error <= options_.tolerance || options_.tolerance == 0) return;
        const double rounding = double{std::numeric_limits<T>::epsilon()} * kRoundings;
        solution.status = solution.error > rounding ? Status::not_converged : Status::precision_limit;
    }

    // What rounding may leave of an error, in units of the dtype's.
    static constexpr double kRoundings = 64;

    Options options_;
    LogPass<T> pass_;
    Anderson anderson_;
    MatrixView<T> cost_{};
    double mass_ = 1, error_ = kInfinity;
    std::int64_t width_ = 0, used_ = 0, empty_row_ = -1, empty_histogram_ = -1;
    bool is_made_ = false, is_quick_ = true;
    Buffer<double> rows_, shares_, potential_, image_, log_sums_, sums_of_, log_weights_, ones_, anderson_weight_,
        scaling_, start_;
    Buffer<std::int64_t> number_;
};

}  // namespace

template <class T>
Run solve_barycenters(Isa isa, const BarycenterBatch& batch, int threads, double work_per_thread, Pulse& pulse,
                      std::vector<BarycenterSolution<T>>& solutions) {
    const std::int64_t count = batch.count();
    std::vector<const double*> shares;
    const double* next = batch.share;
    for (std::int64_t item = 0; item < batch.histograms.count; ++item) {
        shares.push_back(next);
        next += batch.histograms.rows_of(item);
    }
    double cells = 0;
    for (std::int64_t p = 0; p < count; ++p) {
        const std::int64_t histograms = batch.histograms.rows_of(batch.histogram_item(p)), c = batch.cost_item(p);
        cells +=
            static_cast<double>(histograms * batch.costs.rows_of(c)) * static_cast<double>(batch.costs.columns_of(c));
    }
    const double passes = std::min(100.0, static_cast<double>(batch.options.most_iterations));
    return run_problems(
        {count, cells, passes, kCellsPerThread}, threads, work_per_thread, pulse,
        [&](Team& team) { return std::make_unique<BarycenterSolver<T>>(isa, batch.options, team, pulse); },
        [&](auto& worker, std::int64_t p, std::int64_t) {
            const double* const share = shares[static_cast<std::size_t>(batch.histogram_item(p))];
            return worker->solve(batch, p, share, solutions[static_cast<std::size_t>(p)]) ? p + 1 : p;
        });
}

template Run solve_barycenters(Isa, const BarycenterBatch&, int, double, Pulse&,
                               std::vector<BarycenterSolution<float>>&);
template Run solve_barycenters(Isa, const BarycenterBatch&, int, double, Pulse&,
                               std::vector<BarycenterSolution<double>>&);

}  // namespace coalign::transport
