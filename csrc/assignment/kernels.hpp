// What the drivers, compiled once, ask of the solver, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"
#include "core/parallel.hpp"
#include "core/status.hpp"

namespace coalign::assignment {

// A dense problem: row i is `cost + i * stride`, its columns side by side. Every row is matched, unless a limit lets
// it go: then rows may be more than columns.
template <class T>
struct Problem {
    const T* cost;
    std::int64_t rows, columns, stride;
    bool maximize;
    bool has_limit;
    T limit;  // of what a pair may cost; when maximising, its negative
};

// Out: the column of each row and the row of each column, -1 for none, and the duals; when maximising, of the
// negated cost.
template <class T>
struct Solution {
    std::int64_t* col_of_row;
    std::int64_t* row_of_col;
    T* row_dual;
    T* col_dual;
};

// How often the rows of a problem were gone through.
struct Scans {
    std::int64_t bids = 0;   // for their two least reduced costs
    std::int64_t paths = 0;  // for shortest paths
};

// What went wrong, and for a value that is none, where it is.
struct Outcome {
    Status status = Status::ok;
    std::int64_t row = 0, column = 0;
    bool stopped = false;
    // Whether the workspace begins with a floor of each row: where no price is above 0, no reduced cost is below it.
    bool has_floors = false;
};

// Whether there are pairs and duals.
inline bool is_answered(Status status) {
    return status == Status::ok || status == Status::precision_limit;
}

// Problems of one shape. Row i of problem p is `cost[p] + i * stride`, its columns side by side; rows are no more than
// columns, and all are matched.
template <class T>
struct Group {
    const T* const* cost;
    std::int64_t count, rows, columns, stride;
    bool maximize;
    const Solution<T>* solutions;
    Outcome* outcomes;
};

// How a problem is begun: with prices of its own; the same for costs that were float32, whose ties are as far apart as
// its digits; from an earlier solution's pairs and prices; or with prices that never grow beyond what the shortest
// paths need, which is slower and keeps most digits.
enum class Start { cold, widened, warm, careful };

// What became of the check of a certificate. Beside a limit, which counts for every pair, it may hold only relative to
// the limit.
enum class Proof { holds, holds_beside_limit, fails, stopped };

template <class T>
struct Kernels {
    Isa isa;
    // From how many problems on a group pays; 0 where lanes are too few to repay it.
    int group;
    // Whether a shape is for groups, and solving one.
    bool (*groups)(std::int64_t rows, std::int64_t columns);
    void (*solve_group)(const Group<T>& group, Scans& scans);
    // out (columns, rows) = in (rows, columns), whose rows are `stride` apart.
    void (*transpose)(const T* in, std::int64_t rows, std::int64_t columns, std::int64_t stride, T* out);
    // Elements of workspace that a problem needs.
    std::int64_t (*workspace)(const Problem<T>& problem, Start start);
    Outcome (*solve)(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans,
                     Start start);
    // Whether the pairs of a solution are within `tolerance` of the least total, relative to the sum of |c| over them.
    // `floors` are those of the rows, or null. `prices` is room for the columns' prices; double precision has
    // none, as the solution's own serve.
    Proof (*prove)(const Problem<T>& problem, const Solution<T>& solution, double tolerance, const T* floors,
                   double* prices, Pacer& pacer);
};

// The solver of one instruction set.
template <class T>
const Kernels<T>& kernels_for(Isa isa) {
    return table_for<Kernels<T>>(isa);
}

}  // namespace coalign::assignment
