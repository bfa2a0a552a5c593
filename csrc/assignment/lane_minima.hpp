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
          bounds_(space.values(p_.rows)),
          columns_(space.indices(places(p_.rows, p_.columns))) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) { return 2 * places(rows, columns) + rows; }

    // A row without columns has none to keep.
    void begin() {
        holds_ = p_.columns > 0;
        forget();
    }
    bool hold() const { return holds_; }
    // Call this after a price has risen: no bound holds then.
    void forget() {
        for (std::int64_t i = 0; holds_ && i < p_.rows; ++i) bounds_[i] = -kInfinity<T>;
    }
    bool is_known(std::int64_t i) const { return holds_ && bounds_[i] > -kInfinity<T>; }

    // Keeps what a pass over a row has found, at the prices of now.
    void keep(std::int64_t i, const Minima<T>& minima) {
        const IntVec<T> columns = minima.columns();
        const Vec<T> c = gather(p_.cost + i * p_.stride, columns);
        store(costs_ + i * kWidth<T>, kNegate ? -c : c);
        std::memcpy(columns_ + i * kWidth<T>, &columns, sizeof columns);
        bounds_[i] = minima.others();
    }

    // The two least reduced costs of a row, if its list holds both.
    bool two_minima(std::int64_t i, TwoMinima<T>& found) const {
        if (!is_known(i)) return false;
        const Vec<T> x = reduced(i);
        Vec<T> least = x, second = infinity<T>();
        two_least_lanes<T>(least, second);
        if (!(second[0] <= bounds_[i])) return false;
        const IntVec<T> lanes = x == least;
        found = {least[0], second[0], first_column<T>(bits(lanes), load_int<T>(columns_ + i * kWidth<T>))};
        return true;
    }

    // What no reduced cost of a row is below.
    T floor(std::int64_t i) const {
        const T least = least_lane<T>(reduced(i))[0];
        return least < bounds_[i] ? least : bounds_[i];
    }

   private:
    static std::int64_t places(std::int64_t rows, std::int64_t columns) {
        return Candidates<T, kNegate>::pay(rows, columns) ? 0 : rows * kWidth<T>;
    }

    Vec<T> reduced(std::int64_t i) const {
        return load(costs_ + i * kWidth<T>) - gather(v_, load_int<T>(columns_ + i * kWidth<T>));
    }

    const assignment::Problem<T>& p_;
    const T* v_;
    // Of each row: the cost and the column of every lane's nearest, and what the reduced cost of no other is below.
    T *costs_, *bounds_;
    Index<T>* columns_;
    bool holds_ = false;
};

}  // namespace coalign::COALIGN_SET
