// Jonker and Volgenant's stages over lists of entries: prices by bids, then shortest augmenting paths with a heap. What
// dense.hpp says of the duals holds here too.
#pragma once

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "assignment/kernels.hpp"
#include "assignment/rows.hpp"
#include "assignment/short_lists.hpp"
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

// c - v as a rounded value and what its rounding took away; the lesser is found by value, then by rest.
struct Difference {
    double value, rest;

    static Difference of(double c, double v) {
        const double value = c - v, part = value - c;
        return {value, (c - (value - part)) - (v + part)};
    }
    auto operator<=>(const Difference&) const = default;
};

template <class T>
class SparseSolver {
   public:
    explicit SparseSolver(Pacer& pacer) : pacer_(pacer) {}

    // `limit` is infinite if there is none. `prices`, of the columns, are for a warm start.
    Outcome solve(const Rows<T>& rows, T limit, Start start, const T* prices) {
        rows_ = &rows;
        limit_ = limit;
        most_ = kInfinity;
        const bool square = rows.rows() == rows.columns() && !has_limit();
        columns_.assign(static_cast<std::size_t>(rows.columns()), Column{});
        v_.assign(columns_.size(), 0);
        pairs_.assign(static_cast<std::size_t>(rows.rows()), Entry<T>{0, kFree});
        lists_.clear(rows);
        if (!has_limit())
            for (std::int64_t i = 0; i < rows.rows(); ++i)
                if (rows.begin(i) == rows.end(i)) return {Status::infeasible, i, 0, false};
        if (square && start == Start::warm) {
            std::copy_n(prices, rows.columns(), v_.begin());
        } else if (square && !reduce_columns()) {
            return stopped();
        }
        if (!take_tight_columns()) return stopped();
        // Bids go as far as the second best, which may be far beyond what any path needs.
        if (start != Start::careful && !reduce_rows()) return stopped();
        return augment_all(square && start != Start::careful);
    }

    // Rounding may leave the price of a column so high that another row would rather have it, by less than the prices
    // show. Prices are lowered by roundings until each pair is exactly the cheapest of its row. A free column keeps its
    // price, and where equal costs go round in a circle there may be no such prices. False when the call is to stop.
    bool settle_prices() {
        constexpr int most_passes = 32;
        bool falls = true;
        for (int pass = 0; falls && pass < most_passes; ++pass) {
            falls = false;
            for (std::int64_t i = 0; i < rows().rows() && going_; ++i) {
                const Entry<T> pair = this->pair(i);
                if (pair.column < 0) continue;
                const Look row = lists_.all(i);
                const Difference least = Difference::of(pair.cost, v(pair.column));
                for (const Entry<T>* e = row.begin; e < row.end; ++e) {
                    if (column(e->column).row < 0 || !(Difference::of(e->cost, v(e->column)) < least)) continue;
                    const T more = e->cost - pair.cost, price = v(pair.column) + more;
                    v(e->column) = price - std::numeric_limits<T>::epsilon() * (std::abs(more) + std::abs(price));
                    falls = true;
                }
                going_ &= paced(row);
            }
        }
        return going_;
    }

    // The pair of a row; its column is negative if there is none.
    const Entry<T>& pair(std::int64_t i) const { return pairs_[static_cast<std::size_t>(i)]; }
    T price(std::int64_t j) const { return v_[static_cast<std::size_t>(j)]; }

   private:
    static constexpr T kInfinity = std::numeric_limits<T>::infinity();
    static constexpr std::int32_t kFree = -1, kRejected = -2;
    static constexpr std::int64_t kBidsPerRow = 4;
    // All auctions together take 20 to 30 bids a row. Without an assignment, prices would fall for ever.
    static constexpr std::int64_t kAuctionBidsPerRow = 64;
    static constexpr std::int64_t kFewRows = 32;
    // Paths are left alone if five in six columns along them were ties: 83 to 99 % are with integers of 0 to 9, 62 to
    // 71 % with uniform costs. With 3000 rows and 30 entries in each, auctions take 43 ms for the integers and paths 9;
    // for uniform costs it is 8 and 14. If every tenth row is still free the paths would be long all the same.
    static constexpr std::int64_t kTiesPart = 6, kHardPart = 10;
    // From an eighth of all pairs on, paths by lists also take less time than the lists that prices need: 36 ms instead
    // of 60 for 3000 rows of 600 uniform entries.
    static constexpr std::int64_t kDensePart = 8;
    // Shares of the spread of reduced costs. With 20 uniform entries in each of 20,000 rows: 55 ms, and 315
    // without prices; first increments of a quarter to a 64th and ratios of 3 to 10 gave 54 to 112.
    static constexpr T kFirstIncrement = 16, kIncrementRatio = 6;
    static constexpr T kMostSpreads = 64;
    static constexpr T kJump = 256, kNoise = 1024 * std::numeric_limits<T>::epsilon();
    // How many new lists may fall short in one search.
    static constexpr int kRenewals = 8;

    using Look = typename ShortLists<T>::Look;

    // What a search needs of one column lies together, since a search jumps between columns.
    struct Column {
        T d = kInfinity;
        T cost = 0;  // of the entry by which the search came, and its row
        std::int32_t before = 0;
        std::int32_t row = -1;
    };

    struct Bid {
        T least, second;
        Entry<T> entry;
    };

    static Outcome stopped() { return {Status::ok, 0, 0, true}; }
    Column& column(std::int64_t j) { return columns_[static_cast<std::size_t>(j)]; }
    T& v(std::int64_t j) { return v_[static_cast<std::size_t>(j)]; }
    Entry<T>& own(std::int64_t i) { return pairs_[static_cast<std::size_t>(i)]; }
    bool is_free(std::int64_t i) const { return pair(i).column == kFree; }
    bool is_dense() const { return rows().entries() * kDensePart > rows().rows() * rows().columns(); }
    std::int64_t free_rows() const {
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < rows().rows(); ++i) count += is_free(i);
        return count;
    }
    bool has_limit() const { return limit_ < kInfinity; }
    const Rows<T>& rows() const { return *rows_; }
    bool paced(const Look& look) { return pacer_.proceed(look.end - look.begin + 1); }

    void match(std::int64_t i, const Entry<T>& entry) {
        own(i) = entry;
        column(entry.column).row = static_cast<std::int32_t>(i);
    }

    // A row on a path of tight entries, and which of its entries comes next.
    struct Step {
        const Entry<T>*next, *end;
        std::int64_t row;
        T dual;
    };

    // The two least reduced costs of a row.
    Bid bid(std::int64_t i) {
        Look look = lists_.look(i, v_);
        Bid found = two_least(look);
        if (!(found.second <= look.bound)) {
            look = lists_.refresh(i, v_);
            found = two_least(look);
            found.second = std::min(found.second, look.bound);
        }
        return complete(found, look);
    }

    // The same without a list, which would cost more than it saves if this is the last look at the row.
    Bid bid_at_all(std::int64_t i) {
        const Look look = lists_.all(i);
        return complete(two_least(look), look);
    }

    Bid complete(Bid found, const Look& look) {
        going_ &= paced(look);
        // A row may also stay alone, at the limit.
        if (limit_ < found.second) found.second = limit_;
        return found;
    }

    Bid two_least(const Look& look) {
        Bid found{kInfinity, kInfinity, {0, kFree}};
        for (const Entry<T>* e = look.begin; e < look.end; ++e) {
            const T x = e->cost - v(e->column);
            if (x < found.least) {
                found.second = found.least;
                found.least = x;
                found.entry = *e;
            } else if (x < found.second) {
                found.second = x;
            }
        }
        return found;
    }

    // An entry of the row with a free column and a reduced cost of `value`, or null.
    const Entry<T>* free_at(std::int64_t i, T value) {
        const Look look = lists_.look(i, v_);
        const Entry<T>* found = free_at(look, value);
        return found == nullptr && !(value < look.bound) ? free_at(lists_.all(i), value) : found;
    }

    const Entry<T>* free_at(const Look& look, T value) {
        for (const Entry<T>* e = look.begin; e < look.end; ++e)
            if (column(e->column).row < 0 && e->cost - v(e->column) == value) return e;
        return nullptr;
    }

    bool reject_if_dear(std::int64_t i, T least) {
        if (!has_limit() || least < limit_) return false;
        own(i).column = kRejected;
        return true;
    }

    // By how much a row may lower the price of its best column: infinite if there is no second.
    T slack_of(const Bid& found) const {
        const T slack = found.second - found.least;
        return slack < kInfinity ? std::min(slack, most_) : slack;
    }

    bool reduce_columns() {
        std::fill(v_.begin(), v_.end(), kInfinity);
        for (std::int64_t i = 0; i < rows().rows(); ++i) {
            const Look row = lists_.all(i);
            for (const Entry<T>* e = row.begin; e < row.end; ++e) v(e->column) = std::min(v(e->column), e->cost);
            if (!paced(row)) return false;
        }
        // A column that is forbidden to every row gets no price.
        for (T& price : v_)
            if (!(price < kInfinity)) price = 0;
        return true;
    }

    bool take_tight_columns() {
        for (std::int64_t i = 0; i < rows().rows() && going_; ++i) {
            if (!is_free(i)) continue;
            const Bid found = bid_at_all(i);
            // Differences of costs near the largest number may be infinite.
            if (reject_if_dear(i, found.least) || !(found.least < kInfinity)) continue;
            const Entry<T>* e = &found.entry;
            if (column(e->column).row >= 0)
                e = found.least == found.second ? free_at(lists_.all(i), found.least) : nullptr;
            if (e != nullptr) match(i, *e);
        }
        return going_;
    }

    // Augmenting row reduction, as in dense.hpp.
    bool reduce_rows() {
        for (int pass = 0; pass < 2; ++pass) {
            queue_.clear();
            for (std::int64_t i = rows().rows(); i-- > 0;)
                if (is_free(i)) queue_.push_back(i);
            for (std::int64_t budget = kBidsPerRow * static_cast<std::int64_t>(queue_.size());
                 !queue_.empty() && going_;) {
                const std::int64_t i = queue_.back();
                queue_.pop_back();
                const Bid found = bid(i);
                if (reject_if_dear(i, found.least) || !(found.least < kInfinity)) continue;
                const Entry<T>* e = &found.entry;
                const T slack = slack_of(found);
                const bool lowers = slack < kInfinity && v(e->column) - slack < v(e->column);
                if (lowers) {
                    v(e->column) -= slack;
                } else if (column(e->column).row >= 0) {
                    const Entry<T>* const other = free_at(i, found.least);
                    if (other != nullptr) e = other;
                }
                const std::int64_t former = column(e->column).row;
                match(i, *e);
                if (former < 0) continue;
                own(former).column = kFree;
                if (lowers && budget-- > 0) queue_.push_back(former);
            }
        }
        return going_;
    }

    // If the paths so far have gone through more rows than there are, they are long. Prices make them short, unless it
    // is ties that make them long.
    Outcome augment_all(bool may_scale) {
        if (!has_limit() && !take_tight_paths()) return stopped();
        may_scale = may_scale && rows().rows() >= kFewRows;
        scans_ = ties_ = 0;
        for (std::int64_t i = 0; i < rows().rows(); ++i) {
            if (!is_free(i)) continue;
            if (!augment(i)) return stopped();
            if (is_free(i)) return {Status::infeasible, i, 0, false};
            if (!may_scale || scans_ < rows().rows()) continue;
            may_scale = false;
            if (free_rows() * kHardPart <= rows().rows() &&
                (is_dense() || ties_ * kTiesPart > scans_ * (kTiesPart - 1)))
                continue;
            if (!scale_prices() || !take_tight_columns() || !reduce_rows()) return stopped();
            i = -1;
        }
        return {};
    }

    // Takes paths of tight entries, no two of which share a column. Where ties decide they leave few rows free: with
    // 3000 rows, 150 entries in each and integers of 0 to 9 they save half of the time. More rounds, and prices between
    // them that fall for all free rows at once, saved no more.
    bool take_tight_paths() {
        start_search();
        for (std::int64_t i = 0; i < rows().rows() && going_; ++i) {
            if (!is_free(i)) continue;
            steps_.clear();
            bool ends = step_to(i, bid(i).least);
            while (!ends && !steps_.empty() && going_) {
                Step& step = steps_.back();
                if (step.next == step.end) {
                    steps_.pop_back();
                    continue;
                }
                const Entry<T>& e = *step.next++;
                if (column(e.column).d < kInfinity || !(e.cost - v(e.column) <= step.dual)) continue;
                reach(e, step.row, T(0));
                const std::int32_t owner = column(e.column).row;
                if (owner < 0) sink_ = e.column;
                ends = owner < 0 || step_to(owner, pair(owner).cost - v(pair(owner).column));
            }
            if (!ends) continue;
            bound_ = 0;
            follow(i, i);
        }
        forget_search();
        return going_;
    }

    // Adds a row to the path; true if it has a tight entry in a free column, where the path ends.
    bool step_to(std::int64_t i, T dual) {
        Look look = lists_.look(i, v_);
        if (!(dual < look.bound)) look = lists_.all(i);
        going_ &= paced(look);
        const Entry<T>* const end = free_at(look, dual);
        if (end != nullptr) {
            sink_ = end->column;
            reach(*end, i, T(0));
            return true;
        }
        steps_.push_back({look.begin, look.end, i, dual});
        return false;
    }

    // Finds prices by auctions with a falling increment (Bertsekas); the assignment of each auction is dropped.
    bool scale_prices() {
        const T scale = robust_spread();
        if (!(scale > 0) || !(scale < kInfinity)) return going_;
        most_ = kMostSpreads * scale;
        clamp_prices();
        const T last = scale / static_cast<T>(rows().rows());
        std::int64_t budget = kAuctionBidsPerRow * rows().rows();
        if (last > 0) {
            for (T increment = scale / kFirstIncrement; budget > 0; increment /= kIncrementRatio) {
                if (!auction(std::max(increment, last), budget)) return false;
                if (!(increment > last)) break;
            }
        }
        clear();
        return true;
    }

    // How far the reduced costs that matter spread over a row, in the median over some rows, as in dense.hpp: seen at
    // the cheapest 32nd of the entries, and then at an eighth and at half of them as long as it does not jump far
    // beyond the costs.
    T robust_spread() {
        constexpr std::int64_t most_rows = 64, most_entries = 64, shares[] = {32, 8, 2};
        std::vector<T> spreads[std::size(shares)], sizes, x;
        const std::int64_t step = std::max<std::int64_t>(rows().rows() / most_rows, 1);
        for (std::int64_t i = 0; i < rows().rows(); i += step) {
            const Bid found = bid(i);
            if (!(found.second < kInfinity)) continue;
            const Look row = lists_.all(i);
            const std::int64_t length = row.end - row.begin, count = std::min(length, most_entries);
            x.clear();
            for (std::int64_t k = 0; k < count; ++k) {
                const Entry<T>& e = row.begin[(k * length + i % length) / count];
                x.push_back(e.cost - v(e.column) - found.least);
            }
            std::sort(x.begin(), x.end());
            for (std::size_t n = 0; n < std::size(shares); ++n) {
                const std::int64_t place = std::max<std::int64_t>(count / shares[n] - 1, 1);
                spreads[n].push_back(x[static_cast<std::size_t>(place)] * static_cast<T>(count) /
                                     static_cast<T>(place + 1));
            }
            sizes.push_back(std::abs(found.entry.cost) + std::abs(v(found.entry.column)));
        }
        T scale = 0;
        for (auto& spread : spreads) {
            if (spread.empty()) break;
            const T wide = median(spread), size = median(sizes);
            if (scale > 0 && !(wide <= kJump * std::max(scale, size))) break;
            // Rounding may have made the smaller ones.
            if (wide > kNoise * size) scale = wide;
        }
        return scale;
    }

    static T median(std::vector<T>& values) {
        const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
        std::nth_element(values.begin(), middle, values.end());
        return *middle;
    }

    // Prices that a cost which means "never" has made would take the digits of all others. Any prices will do to start
    // from.
    void clamp_prices() {
        std::vector<T> prices = v_;
        const T low = median(prices) - kMostSpreads * most_;
        bool rises = false;
        for (T& price : v_) {
            rises |= price < low;
            price = std::max(price, low);
        }
        if (rises) lists_.clear(rows());
    }

    void clear() {
        for (Entry<T>& pair : pairs_) pair.column = kFree;
        for (Column& c : columns_) c.row = -1;
    }

    bool auction(T increment, std::int64_t& budget) {
        clear();
        queue_.clear();
        for (std::int64_t i = rows().rows(); i-- > 0;) queue_.push_back(i);
        while (!queue_.empty() && budget-- > 0 && going_) {
            const std::int64_t i = queue_.back();
            queue_.pop_back();
            const Bid found = bid(i);
            if (!(found.least < kInfinity)) continue;
            const T slack = slack_of(found);
            T& price = v(found.entry.column);
            const T lower = price - (slack < kInfinity ? slack + increment : increment);
            const std::int64_t former = column(found.entry.column).row;
            // If rounding swallows the increment, two rows would outbid each other for ever.
            if (former >= 0 && !(lower < price)) continue;
            price = lower;
            if (former >= 0) queue_.push_back(former);
            match(i, found.entry);
        }
        return going_;
    }

    // Runs Dijkstra's algorithm from a free row to the nearest free column, or to the nearest row that may stay alone;
    // if there is neither, the row stays free. False when the call is to stop.
    bool augment(std::int64_t first) {
        start_search();
        std::int64_t dropped = first;
        T distance = -kInfinity;
        relax(first, T(0), distance);
        while (going_ && distance < bound_) {
            std::int32_t j = 0;
            if (!ready_.empty()) {
                ++ties_;
                j = ready_.back();
                ready_.pop_back();
            } else {
                if (heap_.empty()) break;
                const auto near = heap_.pop();
                if (!(near.distance < bound_)) break;
                if (near.column < 0) {
                    const std::int64_t i = -1 - near.column;
                    distance = std::max(near.distance, distance);
                    widen(i, i == first ? T(0) : offset_of(i), distance);
                    continue;
                }
                j = near.column;
                if (near.distance > column(j).d) continue;
                distance = near.distance;
            }
            scanned_.push_back(j);
            const std::int64_t i = column(j).row;
            const T offset = offset_of(i);
            if (limit_ - offset < way_out_) {
                way_out_ = std::max(limit_ - offset, distance);
                bound_ = std::min(bound_, way_out_);
                dropped = i;
            }
            relax(i, offset, distance);
        }
        if (going_ && bound_ < kInfinity) {
            for (const std::int32_t j : scanned_) v(j) += column(j).d - bound_;
            follow(first, dropped);
        }
        forget_search();
        return going_;
    }

    void start_search() {
        heap_.clear();
        ready_.clear();
        scanned_.clear();
        touched_.clear();
        bound_ = way_out_ = limit_;
        sink_ = -1;
        renewals_ = kRenewals;
    }

    void forget_search() {
        for (const std::int32_t j : touched_) column(j).d = kInfinity;
    }

    // The dual of a row whose column the search has reached; distances beyond the row are measured from it.
    T offset_of(std::int64_t i) {
        const Entry<T>& e = pair(i);
        return e.cost - v(e.column) - column(e.column).d;
    }

    // Takes in the columns of a row's list; all others lie beyond its horizon.
    void relax(std::int64_t i, T offset, T reached) {
        const Look look = lists_.look(i, v_);
        relax(look, i, offset, reached);
        const T horizon = look.bound - offset;
        if (horizon < bound_) heap_.push(std::max(horizon, reached), static_cast<std::int32_t>(-1 - i));
    }

    // Looks further along the row: by a new list, or at every entry if new lists have not reached as far as the search
    // has come.
    void widen(std::int64_t i, T offset, T reached) {
        if (renewals_ > 0) {
            const T horizon = lists_.refresh(i, v_).bound - offset;
            renewals_ -= !(horizon > reached);
            if (horizon > reached) return relax(i, offset, reached);
        }
        relax(lists_.all(i), i, offset, reached);
    }

    // Columns that are no nearer than the nearest end are left out: no path through them is shorter.
    void relax(const Look& look, std::int64_t i, T offset, T reached) {
        ++scans_;
        for (const Entry<T>* e = look.begin; e < look.end; ++e) {
            const std::int32_t j = e->column;
            Column& c = column(j);
            const T x = std::max(e->cost - v(j) - offset, reached);
            if (!(x < c.d && x < bound_)) continue;
            reach(*e, i, x);
            if (c.row < 0) {
                bound_ = x;
                sink_ = j;
            } else if (x == reached) {
                ready_.push_back(j);
            } else {
                heap_.push(x, j);
            }
        }
        going_ &= paced(look);
    }

    void reach(const Entry<T>& e, std::int64_t i, T distance) {
        Column& c = column(e.column);
        if (c.d == kInfinity) touched_.push_back(e.column);
        c.d = distance;
        c.cost = e.cost;
        c.before = static_cast<std::int32_t>(i);
    }

    void follow(std::int64_t first, std::int64_t dropped) {
        std::int32_t j = sink_;
        if (!(bound_ < way_out_)) {
            j = std::exchange(own(dropped).column, kRejected);
            if (dropped == first) return;
        }
        for (;;) {
            const Column& c = column(j);
            const std::int64_t i = c.before;
            const std::int32_t former = pair(i).column;
            match(i, {c.cost, j});
            if (i == first) return;
            j = former;
        }
    }

    Pacer& pacer_;
    bool going_ = true;  // false once the call is to stop
    // Rows gone through along paths, and columns among them that were no further than those before.
    std::int64_t scans_ = 0, ties_ = 0;
    const Rows<T>* rows_ = nullptr;
    ShortLists<T> lists_;
    T limit_ = 0, bound_ = 0, way_out_ = 0;
    // A bid lowers no price by more: prices have to outbid the costs that matter, not those that mean "never".
    T most_ = kInfinity;
    std::int32_t sink_ = -1;
    int renewals_ = 0;
    std::vector<Column> columns_;
    std::vector<T> v_;
    std::vector<Entry<T>> pairs_;
    std::vector<std::int64_t> queue_;
    std::vector<Step> steps_;
    std::vector<std::int32_t> ready_, scanned_, touched_;
    Heap<T> heap_;
};

}  // namespace coalign::assignment
