// Anderson's acceleration of a fixed-point iteration G -> g(G): the next G is the combination of the last few g(G) for
// which the same combination of their residuals is least.
//
// D. G. Anderson: Iterative procedures for nonlinear integral equations. J. ACM 12(4), 1965; in the form of H. F.
// Walker, P. Ni: Anderson acceleration for fixed-point iterations. SIAM J. Numer. Anal. 49(4), 2011.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/buffer.hpp"
#include "transport/kernels.hpp"

namespace coalign::transport {

class Anderson {
   public:
    explicit Anderson(const HistoryKernels& kernels) : kernels_(kernels) {}

    // weight: of the squares of residuals; its roots are kept.
    void start(const double* weight, std::int64_t count) {
        count_ = count;
        double* const room = room_.reserve((2 * kMemory + 6) * count);
        roots_ = room;
        for (int i = 0; i < kMemory; ++i) {
            residual_changes_[i] = room + (1 + i) * count;
            changes_[i] = room + (1 + kMemory + i) * count;
        }
        double* const rest = room + (1 + 2 * kMemory) * count;
        last_residual_ = rest;
        residual_ = rest + count;
        last_ = rest + 2 * count;
        ones_ = rest + 3 * count;
        best_ = rest + 4 * count;
        for (std::int64_t j = 0; j < count; ++j) {
            roots_[j] = std::sqrt(weight[j]);
            ones_[j] = weight[j] > 0 ? 1 : 0;
        }
        has_best_ = false;
        restart();
    }

    // Forgets what it has seen, but for the best.
    void restart() {
        held_ = next_ = 0;
        has_last_ = false;
        least_error_ = std::numeric_limits<double>::infinity();
    }

    // Replaces `potential`, whose image under the iteration is `image`, by the next one to try.
    void step(double* potential, const double* image, double error) {
        // Written so that NaN is worse, too; until an error was a number there is no best.
        if (has_last_ && has_best_ && !(error <= kWorse * least_error_)) {
            // The iteration by itself never raises the error: it goes on from the best.
            std::copy_n(best_, count_, potential);
            restart();
            return;
        }
        if (error < least_error_) {
            least_error_ = error;
            has_best_ = true;
            std::copy_n(image, count_, best_);
        }
        kernels_.differ(image, potential, roots_, count_, residual_);
        if (has_last_) learn(image);
        std::copy_n(image, count_, last_);
        std::swap(residual_, last_residual_);
        has_last_ = true;
        std::copy_n(image, count_, potential);
        double factors[kMemory];
        if (held_ > 0 && solve(factors)) kernels_.subtract(changes_, factors, held_, count_, potential);
    }

    // Whether the last error was the least, or nearly.
    bool is_at_best(double error) const { return error <= 1.1 * least_error_; }

   private:
    static constexpr int kMemory = 8;
    static constexpr double kWorse = 4, kRidge = 1e-10;

    void learn(const double* image) {
        const int slot = next_;
        next_ = (next_ + 1) % kMemory;
        held_ = std::min(held_ + 1, kMemory);
        kernels_.differ(residual_, last_residual_, ones_, count_, residual_changes_[slot]);
        kernels_.differ(image, last_, ones_, count_, changes_[slot]);
        for (int i = 0; i < held_; ++i)
            products_[slot][i] = products_[i][slot] =
                kernels_.dot(residual_changes_[slot], residual_changes_[i], count_);
    }

    // Least squares by normal equations with a small ridge, and Cholesky; false where they are not definite.
    bool solve(double* factors) const {
        double lower[kMemory][kMemory], trace = 0;
        for (int i = 0; i < held_; ++i) trace += products_[i][i];
        for (int i = 0; i < held_; ++i) {
            for (int j = 0; j <= i; ++j) {
                double sum = products_[i][j] + (i == j ? kRidge * trace : 0);
                for (int k = 0; k < j; ++k) sum -= lower[i][k] * lower[j][k];
                if (i > j) lower[i][j] = sum / lower[j][j];
                else if (sum > 0) lower[i][i] = std::sqrt(sum);
                else return false;
            }
            double sum = kernels_.dot(residual_changes_[i], last_residual_, count_);
            for (int k = 0; k < i; ++k) sum -= lower[i][k] * factors[k];
            factors[i] = sum / lower[i][i];
        }
        for (int i = held_ - 1; i >= 0; --i) {
            for (int k = i + 1; k < held_; ++k) factors[i] -= lower[k][i] * factors[k];
            factors[i] /= lower[i][i];
            if (!std::isfinite(factors[i])) return false;
        }
        return true;
    }

    const HistoryKernels& kernels_;
    Buffer<double> room_;
    std::int64_t count_ = 0;
    double *roots_ = nullptr, *ones_ = nullptr, *residual_ = nullptr, *last_residual_ = nullptr, *last_ = nullptr,
           *best_ = nullptr;
    double *residual_changes_[kMemory] = {}, *changes_[kMemory] = {};
    double products_[kMemory][kMemory] = {};
    int held_ = 0, next_ = 0;
    bool has_last_ = false, has_best_ = false;
    double least_error_ = 0;
};

}  // namespace coalign::transport
