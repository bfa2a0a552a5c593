// The few entries of each long row that matter next. What candidates.hpp says of lists holds here too: prices only
// fall, so what a list says of reduced costs up to its bound stays exact.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "assignment/rows.hpp"

namespace coalign::assignment {

template <class T>
class ShortLists {
   public:
    // Some entries of a row, and a bound: no other entry has a smaller reduced cost.
    struct Look {
        const Entry<T>*begin, *end;
        T bound;
    };

    // Call this whenever the rows have changed, or a price has risen.
    void clear(const Rows<T>& rows) {
        rows_ = &rows;
        bounds_.assign(static_cast<std::size_t>(rows.rows()), -kInfinity);
        counts_.resize(bounds_.size());
        bool has_long_rows = false;
        for (std::int64_t i = 0; i < rows.rows(); ++i) has_long_rows |= is_long(i);
        entries_.resize(has_long_rows ? bounds_.size() * kRoom : 0);
    }

    // A short row is its own list.
    Look look(std::int64_t i, const std::vector<T>& v) {
        if (!is_long(i)) return all(i);
        if (!(at(bounds_, i) > -kInfinity)) refresh(i, v);
        return listed(i);
    }

    Look all(std::int64_t i) const {
        const Entry<T>* const entries = rows_->data();
        return {entries + rows_->begin(i), entries + rows_->end(i), kInfinity};
    }

    // Lists the cheapest entries of a long row. Of the least values of 8 groups the greatest has about 22 at or below
    // it.
    Look refresh(std::int64_t i, const std::vector<T>& v) {
        const Look row = all(i);
        T least[kGroups];
        std::fill_n(least, kGroups, kInfinity);
        const Entry<T>* e = row.begin;
        for (; row.end - e >= kGroups; e += kGroups)
            for (int g = 0; g < kGroups; ++g) least[g] = std::min(least[g], e[g].cost - at(v, e[g].column));
        for (int g = 0; e < row.end; ++e, ++g) least[g] = std::min(least[g], e->cost - at(v, e->column));
        T bound = std::nextafter(*std::max_element(least, least + kGroups), kInfinity);
        Entry<T>* const list = entries_.data() + i * kRoom;
        std::int64_t count = 0;
        for (const Entry<T>* each = row.begin; each < row.end; ++each) {
            const Entry<T> entry = *each;
            // There is no branch, as none could be predicted.
            const bool is_near = entry.cost - at(v, entry.column) < bound;
            list[count] = entry;
            count += is_near;
            if (count == kRoom) [[unlikely]]
                count = shrink(list, bound, v);
        }
        at(counts_, i) = static_cast<std::int32_t>(count);
        at(bounds_, i) = bound;
        return listed(i);
    }

   private:
    static constexpr T kInfinity = std::numeric_limits<T>::infinity();
    static constexpr int kRoom = 48, kGroups = 8;
    static constexpr std::int64_t kLong = 96;

    template <class Vector>
    static auto& at(Vector& values, std::int64_t k) {
        return values[static_cast<std::size_t>(k)];
    }

    bool is_long(std::int64_t i) const { return rows_->end(i) - rows_->begin(i) > kLong; }
    Look listed(std::int64_t i) const {
        const Entry<T>* const list = entries_.data() + i * kRoom;
        return {list, list + at(counts_, i), at(bounds_, i)};
    }

    // Keeps the cheaper half of a full list, and not more of equal ones.
    std::int64_t shrink(Entry<T>* list, T& bound, const std::vector<T>& v) const {
        constexpr int half = kRoom / 2;
        const auto reduced = [&](const Entry<T>& e) { return e.cost - at(v, e.column); };
        std::nth_element(list, list + half, list + kRoom,
                         [&](const Entry<T>& a, const Entry<T>& b) { return reduced(a) < reduced(b); });
        bound = reduced(list[half]);
        return half;
    }

    const Rows<T>* rows_ = nullptr;
    std::vector<Entry<T>> entries_;
    std::vector<T> bounds_;
    std::vector<std::int32_t> counts_;
};

}  // namespace coalign::assignment
