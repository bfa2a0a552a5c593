// The probability of a text given a recording, summed over all alignments, its gradient, and the occupancies.
#pragma once

#include <cstdint>

#include "core/batch_run.hpp"
#include "core/status.hpp"
#include "ctc/kernels.hpp"
#include "ctc/problem.hpp"

namespace coalign::ctc {

// Below this many cells (states times frames, and values) a thread does not repay its start.
inline constexpr double kWorkPerThread = 1e5;

// A matrix to be written, whose rows are contiguous.
template <class T>
struct Room {
    T* data = nullptr;
    std::int64_t row_stride = 0;
};

// What a call writes for each of its problems. Pointers may be null but for `loss`, `status` and `bad`.
template <class T>
struct Posteriors {
    T* loss;         // -log of the probability; inf where no alignment fits
    Status* status;  // ok, infeasible, or nan: value number bad[p] of its frames (t * C + c) is NaN or +inf
    std::int64_t* bad;
    // Gradients of weight[p] times the loss (1 without weights), T rows of C. Zero where no alignment fits.
    const Room<T>* gradient = nullptr;
    const T* weight = nullptr;
    // Probability of each state at each frame, T rows of 2 L + 1: blanks and labels by turns.
    const Room<T>* occupancy = nullptr;
};

// With log_probs, values of symbols that are neither the blank nor in the target are not read.
template <class T>
Run find_posteriors(const Kernels<T>& kernels, const Batch& batch, int threads, double work_per_thread, Pulse& pulse,
                    const Posteriors<T>& out);

}  // namespace coalign::ctc
