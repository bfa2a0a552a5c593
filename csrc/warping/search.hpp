// The nearest series of a database to each query: what cannot be among them is left out by bounds, or on the way.
#pragma once

#include <cstdint>

#include "core/batch_run.hpp"
#include "core/ragged.hpp"
#include "warping/problem.hpp"

namespace coalign::warping {

// What became of the series of the database, in the order of the stages: left out by the ends, by the query's envelope,
// by the series' own, by LB_Improved, on the way, or warped to the end.
inline constexpr std::int64_t kSearchStages = 6;

struct Neighbors {
    std::int64_t count;    // of each query, at most the series of the database
    std::int64_t* index;   // [query][count]; -1 where no more series has a finite cost
    std::int64_t* stages;  // [query][kSearchStages]
};

// The least costs of each query, [query][count], equal ones in the order of the database.
template <class T>
Run find_nearest(Isa isa, const Ragged& queries, const Ragged& database, const Options& options, double work_per_thread,
                 Pulse& pulse, const Neighbors& found, T* cost);

}  // namespace coalign::warping
