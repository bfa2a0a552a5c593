// The assignment solver, once per instruction set, into the namespace COALIGN_SET.
#include "assignment/kernels.hpp"

#include "assignment/dense.hpp"
#include "assignment/lane_group.hpp"
#include "assignment/tiny.hpp"

namespace coalign::COALIGN_SET {
namespace {

// By squares of a vector's width, in registers; the edges one by one.
template <class T>
void transpose_matrix(const T* in, std::int64_t rows, std::int64_t columns, std::int64_t stride, T* out) {
    constexpr std::int64_t size = kWidth<T>;
    const auto one_by_one = [&](std::int64_t i, std::int64_t i_end, std::int64_t j, std::int64_t j_end) {
        for (std::int64_t r = i; r < i_end; ++r)
            for (std::int64_t c = j; c < j_end; ++c) out[c * rows + r] = in[r * stride + c];
    };
    const std::int64_t whole_rows = rows / size * size, whole_columns = columns / size * size;
    for (std::int64_t i = 0; i < whole_rows; i += size) {
        for (std::int64_t j = 0; j < whole_columns; j += size) {
            Vec<T> square[kWidth<T>];
            for (int r = 0; r < kWidth<T>; ++r) square[r] = load(in + (i + r) * stride + j);
            transpose<T>(square);
            for (int c = 0; c < kWidth<T>; ++c) store(out + (j + c) * rows + i, square[c]);
        }
        one_by_one(i, i + size, whole_columns, columns);
    }
    one_by_one(whole_rows, rows, 0, columns);
}

template <class T, bool kNegate>
Outcome solve_directed(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
                       bool warm) {
    if (!warm && !problem.has_limit && problem.rows <= problem.columns) {
        const std::int64_t columns = problem.columns;
        if (columns <= kWidth<T>) return Tiny<T, kNegate, 1>(problem, solution, scans).solve();
        if (columns <= 2 * kWidth<T>) return Tiny<T, kNegate, 2>(problem, solution, scans).solve();
        if (columns <= 3 * kWidth<T>) return Tiny<T, kNegate, 3>(problem, solution, scans).solve();
        if (columns <= 4 * kWidth<T>) return Tiny<T, kNegate, 4>(problem, solution, scans).solve();
    }
    return Dense<T, kNegate>(problem, solution, workspace, pacer, scans).solve(warm);
}

template <class T>
Outcome solve(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
              bool warm) {
    const auto directed = problem.maximize ? solve_directed<T, true> : solve_directed<T, false>;
    return directed(problem, solution, workspace, pacer, scans, warm);
}

// Where gathers are of 8 lanes at most in float32 a group gains nothing over one problem after the other.
template <class T>
constexpr int kGroup = kVectorBytes >= 64 ? kWidth<T> : 0;

// The more columns, the more each step does for lanes whose problem is done.
template <class T>
bool groups(std::int64_t rows, std::int64_t columns) {
    return kGroup<T> > 0 && rows > 0 && rows <= columns && columns <= kWidth<T>;
}

template <class T>
bool solve_group(const assignment::Group<T>& group, Scans& scans) {
    return group.maximize ? LaneGroup<T, true>(group, scans).solve() : LaneGroup<T, false>(group, scans).solve();
}

}  // namespace

const assignment::Kernels<float> assignment_float32{
    Isa::COALIGN_SET,   kGroup<float>,           groups<float>,
    solve_group<float>, transpose_matrix<float>, Dense<float, false>::workspace,
    solve<float>};
const assignment::Kernels<double> assignment_float64{
    Isa::COALIGN_SET,    kGroup<double>,           groups<double>,
    solve_group<double>, transpose_matrix<double>, Dense<double, false>::workspace,
    solve<double>};

}  // namespace coalign::COALIGN_SET
