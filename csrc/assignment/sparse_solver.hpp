// Jonker and Volgenant's stages over lists of entries: prices by bids, then shortest augmenting paths with a heap. What
// dense.hpp says of the duals holds here too.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "assignment/kernels.hpp"
#include "assignment/rows.hpp"
#include "core/parallel.hpp"

namespace coalign::assignment {

// The nearest comes first. A column whose distance falls is added again, and its older entry is skipped.
template <class T>
class Heap {
   public:
    struct Item {
        T distance;
        std::int32_t column;
    };

    void clear() { items_.clear(); }
    bool empty() const { return items_.empty(); }

    void push(T distance, std::int32_t column) {
        std::size_t at = items_.size();
        items_.push_back({distance, column});
        while (at > 0) {
            const std::size_t parent = (at - 1) / kArity;
            if (!(distance < items_[parent].distance)) break;
            items_[at] = items_[parent];
            at = parent;
        }
        items_[at] = {distance, column};
    }

    Item pop() {
        const Item top = items_[0], last = items_.back();
        items_.pop_back();
        const std::size_t count = items_.size();
        if (count == 0) return top;
        std::size_t at = 0;
        for (;;) {
            const std::size_t first = kArity * at + 1;
            if (first >= count) break;
            std::size_t least = first;
            for (std::size_t child = first + 1; child < std::min(first + kArity, count); ++child)
                if (items_[child].distance < items_[least].distance) least = child;
            if (!(items_[least].distance < last.distance)) break;
            items_[at] = items_[least];
            at = least;
        }
        items_[at] = last;
        return top;
    }

   private:
    static constexpr std::size_t kArity = 4;
    std::vector<Item> items_;
};

template <class T>
class SparseSolver {
   public:
    explicit SparseSolver(Pacer& pacer) : pacer_(pacer) {}

    // prices: of the columns, to start from, or null.
    Outcome solve(const Rows<T>& rows, bool has_limit, T limit, const T* prices) {
        rows_ = &rows;
        has_limit_ = has_limit;
        limit_ = limit;
        const bool square = rows.rows() == rows.columns() && !has_limit;
        columns_.assign(static_cast<std::size_t>(rows.columns()), Column{});
        pairs_.assign(static_cast<std::size_t>(rows.rows()), kFree);
        if (!has_limit)
            for (std::int64_t i = 0; i < rows.rows(); ++i)
                if (rows.begin(i) == rows.end(i)) return {Status::infeasible, i, 0, false};
        if (square && prices != nullptr) {
            for (std::size_t j = 0; j < columns_.size(); ++j) columns_[j].v = prices[j];
        } else if (square && !reduce_columns()) {
            return stopped();
        }
        if (!take_tight_columns() || !reduce_rows()) return stopped();
        return augment_all(square);
    }

    std::int64_t pair(std::int64_t i) const { return pairs_[static_cast<std::size_t>(i)]; }
    T price(std::int64_t j) const { return columns_[static_cast<std::size_t>(j)].v; }

    static constexpr std::int64_t kFree = -1, kRejected = -2;

   private:
    static constexpr T kInfinity = std::numeric_limits<T>::infinity();
    static constexpr std::int64_t kBidsPerRow = 4;
    // All auctions together take 20 to 30 bids a row. Without an assignment, prices would fall for ever.
    static constexpr std::int64_t kAuctionBidsPerRow = 64;
    static constexpr std::int64_t kFewRows = 32;
    // Shares of the mean spread of reduced costs. With 20 uniform entries in each of 20,000 rows: 55 ms, and 315
    // without prices; first increments of a quarter to a 64th and ratios of 3 to 10 gave 54 to 112.
    static constexpr T kFirstIncrement = 16, kIncrementRatio = 6;

    // What a search needs of one column lies together, since a search jumps between columns.
    struct Column {
        T v = 0, d = kInfinity;
        std::int64_t entry = 0;  // by which the search came, and its row
        std::int32_t before = 0;
        std::int32_t row = -1;
    };

    struct Bid {
        T least, second;
        std::int64_t entry;
    };

    static Outcome stopped() { return {Status::ok, 0, 0, true}; }
    Column& column(std::int64_t j) { return columns_[static_cast<std::size_t>(j)]; }
    std::int64_t& pair(std::int64_t i) { return pairs_[static_cast<std::size_t>(i)]; }
    const Rows<T>& rows() const { return *rows_; }
    bool paced(std::int64_t i) { return pacer_.proceed(rows().end(i) - rows().begin(i) + 1); }

    void match(std::int64_t i, std::int64_t entry) {
        pair(i) = entry;
        column(rows()[entry].column).row = static_cast<std::int32_t>(i);
    }

    Bid bid(std::int64_t i) {
        Bid found{kInfinity, kInfinity, rows().begin(i)};
        for (std::int64_t e = rows().begin(i); e < rows().end(i); ++e) {
            const T x = rows()[e].cost - column(rows()[e].column).v;
            if (x < found.least) {
                found.second = found.least;
                found.least = x;
                found.entry = e;
            } else if (x < found.second) {
                found.second = x;
            }
        }
        // A row may also stay alone, at the limit.
        if (has_limit_ && limit_ < found.second) found.second = limit_;
        return found;
    }

    // An entry of the row with a free column and a reduced cost of `value`, or -1.
    std::int64_t free_at(std::int64_t i, T value) {
        for (std::int64_t e = rows().begin(i); e < rows().end(i); ++e) {
            const Column& c = column(rows()[e].column);
            if (c.row < 0 && rows()[e].cost - c.v == value) return e;
        }
        return -1;
    }

    bool reject_if_dear(std::int64_t i, T least) {
        if (!has_limit_ || least < limit_) return false;
        pair(i) = kRejected;
        return true;
    }

    bool reduce_columns() {
        for (Column& c : columns_) c.v = kInfinity;
        for (std::int64_t i = 0; i < rows().rows(); ++i) {
            for (std::int64_t e = rows().begin(i); e < rows().end(i); ++e) {
                Column& c = column(rows()[e].column);
                c.v = std::min(c.v, rows()[e].cost);
            }
            if (!paced(i)) return false;
        }
        // A column that is forbidden to every row gets no price.
        for (Column& c : columns_)
            if (!(c.v < kInfinity)) c.v = 0;
        return true;
    }

    bool take_tight_columns() {
        for (std::int64_t i = 0; i < rows().rows(); ++i) {
            if (pair(i) != kFree) continue;
            const Bid found = bid(i);
            if (!paced(i)) return false;
            if (reject_if_dear(i, found.least)) continue;
            std::int64_t e = found.entry;
            if (column(rows()[e].column).row >= 0) e = found.least == found.second ? free_at(i, found.least) : -1;
            if (e >= 0) match(i, e);
        }
        return true;
    }

    // Augmenting row reduction, as in dense.hpp.
    bool reduce_rows() {
        for (int pass = 0; pass < 2; ++pass) {
            queue_.clear();
            for (std::int64_t i = rows().rows(); i-- > 0;)
                if (pair(i) == kFree) queue_.push_back(i);
            for (std::int64_t budget = kBidsPerRow * static_cast<std::int64_t>(queue_.size()); !queue_.empty();) {
                const std::int64_t i = queue_.back();
                queue_.pop_back();
                const Bid found = bid(i);
                if (!paced(i)) return false;
                if (reject_if_dear(i, found.least)) continue;
                std::int64_t e = found.entry;
                Column* c = &column(rows()[e].column);
                const T slack = found.second - found.least;
                const bool lowers = slack < kInfinity && c->v - slack < c->v;
                if (lowers) {
                    c->v -= slack;
                } else if (c->row >= 0) {
                    const std::int64_t other = free_at(i, found.least);
                    if (other >= 0) {
                        e = other;
                        c = &column(rows()[e].column);
                    }
                }
                const std::int64_t former = c->row;
                match(i, e);
                if (former < 0) continue;
                pair(former) = kFree;
                if (lowers && budget-- > 0) queue_.push_back(former);
            }
        }
        return true;
    }

    // If the paths so far have gone through more rows than there are, they are long: prices make them short.
    Outcome augment_all(bool square) {
        bool may_scale = square && rows().rows() >= kFewRows;
        const std::int64_t before = scans_;
        for (std::int64_t i = 0; i < rows().rows(); ++i) {
            if (pair(i) != kFree) continue;
            if (!augment(i)) return stopped();
            if (pair(i) == kFree) return {Status::infeasible, i, 0, false};
            if (!may_scale || scans_ - before < rows().rows()) continue;
            may_scale = false;
            if (!scale_prices() || !take_tight_columns() || !reduce_rows()) return stopped();
            i = -1;
        }
        return {};
    }

    // Finds prices by auctions with a falling increment (Bertsekas); the assignment of each auction is dropped.
    bool scale_prices() {
        constexpr std::int64_t samples = 1024;
        const std::int64_t step = std::max<std::int64_t>(rows().rows() / samples, 1);
        T scale = 0;
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < rows().rows(); i += step, ++count) scale += spread(i);
        scale /= static_cast<T>(count);
        const T last = scale / static_cast<T>(rows().rows());
        std::int64_t budget = kAuctionBidsPerRow * rows().rows();
        if (last > 0 && scale < kInfinity) {
            for (T increment = scale / kFirstIncrement; budget > 0; increment /= kIncrementRatio) {
                if (!auction(std::max(increment, last), budget)) return false;
                if (!(increment > last)) break;
            }
        }
        clear();
        return true;
    }

    T spread(std::int64_t i) {
        T low = kInfinity, high = -kInfinity;
        for (std::int64_t e = rows().begin(i); e < rows().end(i); ++e) {
            const T x = rows()[e].cost - column(rows()[e].column).v;
            low = std::min(low, x);
            high = std::max(high, x);
        }
        return high - low;
    }

    void clear() {
        std::fill(pairs_.begin(), pairs_.end(), kFree);
        for (Column& c : columns_) c.row = -1;
    }

    bool auction(T increment, std::int64_t& budget) {
        clear();
        queue_.clear();
        for (std::int64_t i = rows().rows(); i-- > 0;) queue_.push_back(i);
        while (!queue_.empty() && budget-- > 0) {
            const std::int64_t i = queue_.back();
            queue_.pop_back();
            const Bid found = bid(i);
            if (!paced(i)) return false;
            const T slack = found.second - found.least;
            Column& c = column(rows()[found.entry].column);
            c.v -= slack < kInfinity ? slack + increment : increment;
            if (c.row >= 0) queue_.push_back(c.row);
            match(i, found.entry);
        }
        return true;
    }

    // Runs Dijkstra's algorithm from a free row to the nearest free column, or to the nearest row that may stay alone;
    // if there is neither, the row stays free. False when the call is to stop.
    bool augment(std::int64_t first) {
        heap_.clear();
        ready_.clear();
        scanned_.clear();
        touched_.clear();
        way_out_ = has_limit_ ? limit_ : kInfinity;
        bound_ = way_out_;
        sink_ = -1;
        std::int64_t dropped = first;
        T distance = -kInfinity;
        bool going = relax(first, T(0), distance);
        while (going && distance < bound_) {
            std::int32_t j = 0;
            if (!ready_.empty()) {
                j = ready_.back();
                ready_.pop_back();
            } else {
                if (heap_.empty()) break;
                const auto near = heap_.pop();
                if (!(near.distance < bound_)) break;
                j = near.column;
                if (near.distance > column(j).d) continue;
                distance = near.distance;
            }
            scanned_.push_back(j);
            const std::int64_t i = column(j).row;
            // The row's dual; distances beyond this row are measured from it.
            const T offset = rows()[pair(i)].cost - column(j).v - distance;
            if (has_limit_ && limit_ - offset < way_out_) {
                way_out_ = std::max(limit_ - offset, distance);
                bound_ = std::min(bound_, way_out_);
                dropped = i;
            }
            going = relax(i, offset, distance);
        }
        if (going && bound_ < kInfinity) {
            for (const std::int32_t j : scanned_) column(j).v += column(j).d - bound_;
            follow(first, dropped);
        }
        for (const std::int32_t j : touched_) column(j).d = kInfinity;
        return going;
    }

    // Columns that are no nearer than the nearest end are left out: no path through them is shorter.
    bool relax(std::int64_t i, T offset, T reached) {
        ++scans_;
        for (std::int64_t e = rows().begin(i); e < rows().end(i); ++e) {
            const std::int32_t j = rows()[e].column;
            Column& c = column(j);
            const T x = std::max(rows()[e].cost - c.v - offset, reached);
            if (!(x < c.d && x < bound_)) continue;
            if (c.d == kInfinity) touched_.push_back(j);
            c.d = x;
            c.entry = e;
            c.before = static_cast<std::int32_t>(i);
            if (c.row < 0) {
                bound_ = x;
                sink_ = j;
            } else if (x == reached) {
                ready_.push_back(j);
            } else {
                heap_.push(x, j);
            }
        }
        return paced(i);
    }

    void follow(std::int64_t first, std::int64_t dropped) {
        std::int64_t j = sink_;
        if (!(bound_ < way_out_)) {
            const std::int64_t entry = std::exchange(pair(dropped), kRejected);
            if (dropped == first) return;
            j = rows()[entry].column;
        }
        for (;;) {
            const std::int64_t i = column(j).before, former = pair(i);
            match(i, column(j).entry);
            if (i == first) return;
            j = rows()[former].column;
        }
    }

    Pacer& pacer_;
    std::int64_t scans_ = 0;  // rows gone through along paths
    const Rows<T>* rows_ = nullptr;
    bool has_limit_ = false;
    T limit_ = 0, bound_ = 0, way_out_ = 0;
    std::int64_t sink_ = -1;
    std::vector<Column> columns_;
    std::vector<std::int64_t> pairs_, queue_;
    std::vector<std::int32_t> ready_, scanned_, touched_;
    Heap<T> heap_;
};

}  // namespace coalign::assignment
