// The nearest column of each lane, which a pass over a row finds on its way to the two least reduced costs. They are a
// short list that costs nothing to make, for rows whose lists of candidates would not repay their pass.
//
// As in candidates.hpp, prices only fall: a list and its bound stay exact.
#pragma once

#include <cstdint>
#include <cstring>

#include "assignment/candidates.hpp"
#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class LaneMinima {
   public:
    LaneMinima(const assignment::Problem<T>& problem, const T* v, Space<T>& space)
        : p_(problem),
          v_(v),
          costs_(space.values(places(p_.rows, p_.columns))),
          bounds_(space.values(places(p_.rows, p_.columns))),
          columns_(space.indices(places(p_.rows, p_.columns))) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) { return 3 * places(rows, columns); }

    // A row without columns has none to keep.
    void begin() {
        holds_ = p_.columns > 0;
        forget();
    }
    bool hold() const { return holds_; }
    // Call this after a price has risen: no bound holds then.
    void forget() {
        for (std::int64_t i = 0; holds_ && i < p_.rows; ++i) bounds_[i * kWidth<T>] = -kInfinity<T>;
    }
    bool is_known(std::int64_t i) const { return holds_ && bounds_[i * kWidth<T>] > -kInfinity<T>; }

    // Keeps what a pass over a row has found, at the prices of now.
    void keep(std::int64_t i, const Minima<T>& minima) {
        const IntVec<T> columns = minima.columns();
        const Vec<T> c = gather(p_.cost + i * p_.stride, columns);
        keep(i, kNegate ? -c : c, columns, minima.others());
    }
    // The same at prices of 0, which need no look at the costs.
    void keep_first(std::int64_t i, const Minima<T>& minima) {
        keep(i, minima.nearest(), minima.columns(), minima.others());
    }

    // The two least reduced costs of a row, if its list holds both.
    bool two_minima(std::int64_t i, TwoMinima<T>& found) const {
        if (!is_known(i)) return false;
        const Vec<T> x = reduced(i);
        Vec<T> least = x, second = infinity<T>();
        two_least_lanes<T>(least, second);
        const IntVec<T> hidden = others(i) < splat(second[0]);
        if (any(hidden)) return false;
        const IntVec<T> lanes = x == least;
        found = {least[0], second[0], first_column<T>(bits(lanes), columns(i))};
        return true;
    }

    // What no reduced cost of a row is below.
    T floor(std::int64_t i) const { return least_lane<T>(minimum(reduced(i), others(i)))[0]; }

    // Of each lane of a row: its nearest column and the reduced cost of that, and what that of no other is below.
    IntVec<T> columns(std::int64_t i) const { return load_int<T>(columns_ + i * kWidth<T>); }
    Vec<T> reduced(std::int64_t i) const { return load(costs_ + i * kWidth<T>) - gather(v_, columns(i)); }
    Vec<T> others(std::int64_t i) const { return load(bounds_ + i * kWidth<T>); }

   private:
    static std::int64_t places(std::int64_t rows, std::int64_t columns) {
        return Candidates<T, kNegate>::pay(rows, columns) ? 0 : rows * kWidth<T>;
    }

    void keep(std::int64_t i, Vec<T> costs, IntVec<T> columns, Vec<T> others) {
        store(costs_ + i * kWidth<T>, costs);
        std::memcpy(columns_ + i * kWidth<T>, &columns, sizeof columns);
        store(bounds_ + i * kWidth<T>, others);
    }

    const assignment::Problem<T>& p_;
    const T* v_;
    // Of each row, a lane each: the cost and the column of the nearest, and what the reduced cost of no other is below.
    T *costs_, *bounds_;
    Index<T>* columns_;
    bool holds_ = false;
};

}  // namespace coalign::COALIGN_SET
