// The assignment solver, once per instruction set, into the namespace COALIGN_SET.
#include "assignment/kernels.hpp"

#include <algorithm>

#include "assignment/certificate.hpp"
#include "assignment/dense.hpp"
#include "assignment/lane_group.hpp"
#include "assignment/tiny.hpp"

namespace coalign::COALIGN_SET {
namespace {

// Transposes squares of a vector's width in registers; the last square of a line overlaps the one before. A matrix
// narrower than a square goes element by element.
template <class T>
void transpose_matrix(const T* in, std::int64_t rows, std::int64_t columns, std::int64_t stride, T* out) {
    constexpr std::int64_t size = kWidth<T>;
    if (rows < size || columns < size) {
        for (std::int64_t i = 0; i < rows; ++i)
            for (std::int64_t j = 0; j < columns; ++j) out[j * rows + i] = in[i * stride + j];
        return;
    }
    for (std::int64_t start = 0; start < rows; start += size) {
        const std::int64_t i = std::min(start, rows - size);
        const T* lines[kWidth<T>];
        for (int r = 0; r < size; ++r) lines[r] = in + (i + r) * stride;
        for (std::int64_t next = 0; next < columns; next += size) {
            const std::int64_t j = std::min(next, columns - size);
            Vec<T> square[kWidth<T>];
            load_turned(lines, j, square);
            for (int c = 0; c < size; ++c) store(out + (j + c) * rows + i, square[c]);
        }
    }
}

// For as many columns as 8 vectors, and the bits of a word, can hold.
template <class T>
bool is_tiny(std::int64_t rows, std::int64_t columns) {
    return rows <= columns && columns <= 8 * kWidth<T> && columns <= 64;
}

// Whether a problem is solved in registers, from the beginning and without a limit.
template <class T>
bool goes_tiny(const Problem<T>& problem, Start start) {
    return (start == Start::cold || start == Start::widened) && !problem.has_limit &&
           is_tiny<T>(problem.rows, problem.columns);
}

// None for a tiny problem: an allocation would cost as much as half of its solution.
template <class T>
std::int64_t workspace(const Problem<T>& problem, Start start) {
    return goes_tiny(problem, start) ? 0 : Dense<T, false>::workspace(problem.rows, problem.columns);
}

template <class T, bool kNegate, int kVectors>
Outcome solve_tiny(const Problem<T>& problem, const Solution<T>& solution, Scans& scans) {
    // With 16 lanes there are at most four vectors.
    return Tiny<T, kNegate, kVectors * kWidth<T> <= 64 ? kVectors : 4>(problem, solution, scans).solve();
}

template <class T, bool kNegate>
Outcome solve_directed(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
                       Start start) {
    if (goes_tiny(problem, start)) {
        const std::int64_t vectors = padded<T>(problem.columns) / kWidth<T>;
        if (vectors <= 1) return solve_tiny<T, kNegate, 1>(problem, solution, scans);
        if (vectors == 2) return solve_tiny<T, kNegate, 2>(problem, solution, scans);
        if (vectors == 3) return solve_tiny<T, kNegate, 3>(problem, solution, scans);
        if (vectors == 4) return solve_tiny<T, kNegate, 4>(problem, solution, scans);
        if (vectors <= 6) return solve_tiny<T, kNegate, 6>(problem, solution, scans);
        return solve_tiny<T, kNegate, 8>(problem, solution, scans);
    }
    return Dense<T, kNegate>(problem, solution, workspace, pacer, scans).solve(start);
}

template <class T>
Outcome solve(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
              Start start) {
    const auto directed = problem.maximize ? solve_directed<T, true> : solve_directed<T, false>;
    return directed(problem, solution, workspace, pacer, scans, start);
}

template <class T>
Proof prove(const Problem<T>& problem, const Solution<T>& solution, double tolerance, const T* floors, double* prices,
            Pacer& pacer) {
    if (problem.maximize) return Certificate<T, true>(problem, solution, floors, prices, pacer).prove(tolerance);
    return Certificate<T, false>(problem, solution, floors, prices, pacer).prove(tolerance);
}

// With two lanes a group gains nothing over one problem after the other.
template <class T>
constexpr int kGroup = kWidth<T> >= 4 ? kWidth<T> : 0;

template <class T>
bool groups(std::int64_t rows, std::int64_t columns) {
    return rows > 0 && is_tiny<T>(rows, columns) && (rows < columns || columns <= Tiny<T, false, 1>::kMostLanes);
}

template <class T>
void solve_group([[maybe_unused]] const assignment::Group<T>& group, [[maybe_unused]] Scans& scans) {
    if constexpr (kGroup<T> > 0)
        group.maximize ? LaneGroup<T, true>(group, scans).solve() : LaneGroup<T, false>(group, scans).solve();
}

template <class T>
constexpr assignment::Kernels<T> kTable{Isa::COALIGN_SET,    kGroup<T>,    groups<T>, solve_group<T>,
                                        transpose_matrix<T>, workspace<T>, solve<T>,  prove<T>};

}  // namespace

template <>
const assignment::Kernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const assignment::Kernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
