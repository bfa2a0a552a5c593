// Jonker and Volgenant's stages over lists of entries: prices by bids, then shortest augmenting paths with a heap. What
// dense.hpp says of the duals holds here too.
#include "assignment/sparse.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "assignment/cover.hpp"

namespace coalign::assignment {
namespace {

template <class T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();

template <class T>
struct Entry {
    T cost;
    std::int32_t column;
};

using Lines = std::vector<std::int32_t>;

// The entries of every row of the problem that is solved: each pair once, none forbidden, negated when maximising.
// A copy, as every search goes through it: cost and column lie side by side, and 32 bits hold a column.
template <class T>
class Rows {
   public:
    Outcome take(const SparseCosts& given, bool flips, bool negate, Pacer& pacer) {
        rows_ = flips ? given.columns : given.rows;
        columns_ = flips ? given.rows : given.columns;
        entries_.resize(static_cast<std::size_t>(given.entries));
        begin_.assign(static_cast<std::size_t>(rows_) + 1, 0);
        end_.assign(static_cast<std::size_t>(rows_) + 1, 0);
        forbidden_ = false;
        const bool as_stored = given.by_columns == flips;
        const Outcome outcome = given.wide ? copy<std::int64_t>(given, as_stored, negate, pacer)
                                           : copy<std::int32_t>(given, as_stored, negate, pacer);
        if (forbidden_) drop_forbidden();
        return outcome;
    }

    // Those of some rows and columns, ascending, as a problem of their own, turned if asked.
    void take_part(const Rows& whole, const Lines& rows, const Lines& columns, bool flips) {
        const Lines &lines = flips ? columns : rows, &others = flips ? rows : columns;
        rows_ = static_cast<std::int64_t>(lines.size());
        columns_ = static_cast<std::int64_t>(others.size());
        std::vector<std::int32_t> place(static_cast<std::size_t>(whole.columns()), -1);
        for (std::size_t j = 0; j < columns.size(); ++j)
            place[static_cast<std::size_t>(columns[j])] = static_cast<std::int32_t>(j);
        const auto each = [&](auto&& body) {
            for (std::size_t i = 0; i < rows.size(); ++i)
                for (std::int64_t e = whole.begin(rows[i]); e < whole.end(rows[i]); ++e)
                    if (const std::int32_t j = place[static_cast<std::size_t>(whole[e].column)]; j >= 0)
                        body(flips ? j : static_cast<std::int32_t>(i), flips ? static_cast<std::int32_t>(i) : j,
                             whole[e].cost);
        };
        begin_.assign(lines.size() + 1, 0);
        each([&](std::int32_t i, std::int32_t, T) { ++begin_[static_cast<std::size_t>(i) + 1]; });
        for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
        end_ = begin_;
        entries_.resize(static_cast<std::size_t>(begin_.back()));
        each([&](std::int32_t i, std::int32_t j, T cost) {
            entries_[static_cast<std::size_t>(end_[static_cast<std::size_t>(i)]++)] = {cost, j};
        });
    }

    std::int64_t rows() const { return rows_; }
    std::int64_t columns() const { return columns_; }
    std::int64_t begin(std::int64_t i) const { return begin_[static_cast<std::size_t>(i)]; }
    std::int64_t end(std::int64_t i) const { return end_[static_cast<std::size_t>(i)]; }
    const Entry<T>& operator[](std::int64_t e) const { return entries_[static_cast<std::size_t>(e)]; }

   private:
    template <class I>
    Outcome copy(const SparseCosts& given, bool as_stored, bool negate, Pacer& pacer) {
        const auto* starts = static_cast<const I*>(given.starts);
        const auto* indices = static_cast<const I*>(given.indices);
        const auto* values = static_cast<const T*>(given.values);
        const std::int64_t lines = as_stored ? rows_ : columns_;
        if (as_stored) {
            latest_.assign(static_cast<std::size_t>(columns_), -1);
        } else {
            for (std::int64_t e = 0; e < given.entries; ++e) ++begin_[static_cast<std::size_t>(indices[e]) + 1];
            for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
            end_ = begin_;
        }
        for (std::int64_t line = 0; line < lines; ++line) {
            const std::int64_t first = starts[line], last = starts[line + 1];
            if (as_stored) begin_[static_cast<std::size_t>(line)] = end_[static_cast<std::size_t>(line)] = first;
            for (std::int64_t e = first; e < last; ++e) {
                const std::int64_t index = indices[e];
                const std::int64_t i = as_stored ? line : index, j = as_stored ? index : line;
                const Outcome bad = add(i, j, negate ? -values[e] : values[e], as_stored);
                if (bad.status != Status::ok) return bad;
            }
            if (!pacer.proceed(last - first + 1)) return {Status::ok, 0, 0, true};
        }
        return {};
    }

    Outcome add(std::int64_t i, std::int64_t j, T cost, bool as_stored) {
        std::int64_t& end = end_[static_cast<std::size_t>(i)];
        const std::int64_t begin = begin_[static_cast<std::size_t>(i)];
        // Transposed, the entries of one pair come one after the other.
        std::int64_t same = as_stored ? latest_[static_cast<std::size_t>(j)] : end - 1;
        if (same < begin || entries_[static_cast<std::size_t>(same)].column != j) {
            same = end++;
            entries_[static_cast<std::size_t>(same)] = {T(0), static_cast<std::int32_t>(j)};
            if (as_stored) latest_[static_cast<std::size_t>(j)] = same;
        }
        T& sum = entries_[static_cast<std::size_t>(same)].cost;
        sum += cost;
        if (sum != sum) return {Status::nan, i, j, false};
        if (sum == -kInfinity<T>) return {Status::invalid, i, j, false};
        forbidden_ |= sum == kInfinity<T>;
        return {};
    }

    void drop_forbidden() {
        for (std::int64_t i = 0; i < rows_; ++i) {
            std::int64_t kept = begin(i);
            for (std::int64_t e = begin(i); e < end(i); ++e)
                if ((*this)[e].cost < kInfinity<T>) entries_[static_cast<std::size_t>(kept++)] = (*this)[e];
            end_[static_cast<std::size_t>(i)] = kept;
        }
    }

    std::int64_t rows_ = 0, columns_ = 0;
    std::vector<Entry<T>> entries_;
    std::vector<std::int64_t> begin_, end_, latest_;
    bool forbidden_ = false;
};

// Nearest first; a column whose distance falls comes again, and its older place is passed over.
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
class Solver {
   public:
    explicit Solver(Pacer& pacer) : pacer_(pacer) {}

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
    static constexpr std::int64_t kBidsPerRow = 4;
    // Auctions take 20 to 30 bids a row in all. Where no assignment exists prices would fall for ever.
    static constexpr std::int64_t kAuctionBidsPerRow = 64;
    static constexpr std::int64_t kFewRows = 32;
    // Of the mean spread of reduced costs. 20 uniform entries in each of 20,000 rows: 55 ms, and 315 without prices;
    // first increments of a quarter to a 64th and ratios of 3 to 10 gave 54 to 112.
    static constexpr T kFirstIncrement = 16, kIncrementRatio = 6;

    // Of one column, together: a search jumps from one to another.
    struct Column {
        T v = 0, d = kInfinity<T>;
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
        Bid found{kInfinity<T>, kInfinity<T>, rows().begin(i)};
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
        // The row's own way out, at the limit.
        if (has_limit_ && limit_ < found.second) found.second = limit_;
        return found;
    }

    // An entry of the row for a free column, as good as `value`, or -1.
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
        for (Column& c : columns_) c.v = kInfinity<T>;
        for (std::int64_t i = 0; i < rows().rows(); ++i) {
            for (std::int64_t e = rows().begin(i); e < rows().end(i); ++e) {
                Column& c = column(rows()[e].column);
                c.v = std::min(c.v, rows()[e].cost);
            }
            if (!paced(i)) return false;
        }
        // A column that no row may take has no price.
        for (Column& c : columns_)
            if (!(c.v < kInfinity<T>)) c.v = 0;
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
                const bool lowers = slack < kInfinity<T> && c->v - slack < c->v;
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

    // Paths that together go through more rows than there are prove long: prices make them short.
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

    // Prices by auctions with a falling increment (Bertsekas); each auction's assignment is dropped.
    bool scale_prices() {
        constexpr std::int64_t samples = 1024;
        const std::int64_t step = std::max<std::int64_t>(rows().rows() / samples, 1);
        T scale = 0;
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < rows().rows(); i += step, ++count) scale += spread(i);
        scale /= static_cast<T>(count);
        const T last = scale / static_cast<T>(rows().rows());
        std::int64_t budget = kAuctionBidsPerRow * rows().rows();
        if (last > 0 && scale < kInfinity<T>) {
            for (T increment = scale / kFirstIncrement; budget > 0; increment /= kIncrementRatio) {
                if (!auction(std::max(increment, last), budget)) return false;
                if (!(increment > last)) break;
            }
        }
        clear();
        return true;
    }

    T spread(std::int64_t i) {
        T low = kInfinity<T>, high = -kInfinity<T>;
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
            c.v -= slack < kInfinity<T> ? slack + increment : increment;
            if (c.row >= 0) queue_.push_back(c.row);
            match(i, found.entry);
        }
        return true;
    }

    // Dijkstra from a free row to the nearest free column, or to the nearest row that may be let go; the row stays free
    // where there is neither. False when the call is to stop.
    bool augment(std::int64_t first) {
        heap_.clear();
        ready_.clear();
        scanned_.clear();
        touched_.clear();
        way_out_ = has_limit_ ? limit_ : kInfinity<T>;
        bound_ = way_out_;
        sink_ = -1;
        std::int64_t dropped = first;
        T distance = -kInfinity<T>;
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
            // The row's dual, against which distances are taken from here on.
            const T offset = rows()[pair(i)].cost - column(j).v - distance;
            if (has_limit_ && limit_ - offset < way_out_) {
                way_out_ = std::max(limit_ - offset, distance);
                bound_ = std::min(bound_, way_out_);
                dropped = i;
            }
            going = relax(i, offset, distance);
        }
        if (going && bound_ < kInfinity<T>) {
            for (const std::int32_t j : scanned_) column(j).v += column(j).d - bound_;
            follow(first, dropped);
        }
        for (const std::int32_t j : touched_) column(j).d = kInfinity<T>;
        return going;
    }

    // Columns at or past the nearest way to end the search are left out: no path through them is shorter.
    bool relax(std::int64_t i, T offset, T reached) {
        ++scans_;
        for (std::int64_t e = rows().begin(i); e < rows().end(i); ++e) {
            const std::int32_t j = rows()[e].column;
            Column& c = column(j);
            const T x = std::max(rows()[e].cost - c.v - offset, reached);
            if (!(x < c.d && x < bound_)) continue;
            if (c.d == kInfinity<T>) touched_.push_back(j);
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

template <class T>
class Worker {
   public:
    Worker(const Options& options, Pulse& pulse) : options_(options), pacer_(pulse), solver_(pacer_) {}

    bool solve(const SparseCosts& given, Result<T>& result) {
        drop_pairs(given, result);
        if (options_.has_limit && std::isinf(options_.limit)) {
            if (!solve_largest(given, result)) return false;
            if (result.outcome.status != Status::ok) {
                drop_pairs(given, result);
                std::fill_n(result.row_dual, given.rows, T(0));
                std::fill_n(result.col_dual, given.columns, T(0));
            }
            return true;
        }
        // The solver matches every row, so without a limit they must be the shorter side.
        const bool flips = !options_.has_limit && given.rows > given.columns;
        const bool square = given.rows == given.columns && !options_.has_limit;
        result.outcome = rows_.take(given, flips, options_.maximize, pacer_);
        if (result.outcome.stopped) return false;
        const T sign = options_.maximize ? T(-1) : T(1);
        *result.total = 0;
        if (options_.warm)
            for (std::int64_t j = 0; j < given.columns; ++j) result.col_dual[j] *= sign;
        if (result.outcome.status == Status::ok)
            result.outcome = solver_.solve(rows_, options_.has_limit, sign * static_cast<T>(options_.limit),
                                           options_.warm && square ? result.col_dual : nullptr);
        if (result.outcome.stopped) return false;
        if (flips) std::swap(result.outcome.row, result.outcome.column);
        if (result.outcome.status == Status::ok) write(flips, sign, result);
        return true;
    }

   private:
    template <class Vector>
    static auto& at(Vector& values, std::int64_t k) {
        return values[static_cast<std::size_t>(k)];
    }

    static void drop_pairs(const SparseCosts& given, Result<T>& result) {
        std::fill_n(result.col_of_row, given.rows, -1);
        std::fill_n(result.row_of_col, given.columns, -1);
    }

    // As many pairs as there can be, at the least cost. No limit stands for infinity: beside one that no exchange of
    // pairs is worth, small costs would be lost. Scarce rows have pairs with scarce columns only, and no largest
    // matching pairs these with other rows, so that each part is a problem of its own: in the one all columns are
    // matched, in the other all rows.
    bool solve_largest(const SparseCosts& given, Result<T>& result) {
        result.outcome = rows_.take(given, false, options_.maximize, pacer_);
        if (result.outcome.stopped) return false;
        *result.total = 0;
        if (result.outcome.status != Status::ok) return true;
        if (!cover_.find(rows_, pacer_)) return false;
        Lines scarce_rows, scarce_columns, other_rows, other_columns;
        for (std::int32_t i = 0; i < rows_.rows(); ++i)
            (cover_.is_scarce_row(i) ? scarce_rows : other_rows).push_back(i);
        for (std::int32_t j = 0; j < rows_.columns(); ++j)
            (cover_.is_scarce_column(j) ? scarce_columns : other_columns).push_back(j);
        u_.assign(static_cast<std::size_t>(rows_.rows()), 0);
        v_.assign(static_cast<std::size_t>(rows_.columns()), 0);
        cost_.assign(u_.size(), kInfinity<T>);
        if (!solve_part(other_rows, other_columns, false, result) ||
            !solve_part(scarce_rows, scarce_columns, true, result))
            return !result.outcome.stopped;
        write_largest(other_rows, scarce_columns, result);
        return true;
    }

    // A part in which every row is matched, or turned, every column; the prices of the other side end up at 0 or less.
    bool solve_part(const Lines& rows, const Lines& columns, bool flips, Result<T>& result) {
        part_.take_part(rows_, rows, columns, flips);
        result.outcome = solver_.solve(part_, false, T(0), nullptr);
        // There is a matching, but costs near the largest number have differences that are infinite.
        if (result.outcome.stopped || result.outcome.status != Status::ok) return false;
        const Solver<T>& solved = solver_;
        const Lines &lines = flips ? columns : rows, &others = flips ? rows : columns;
        std::vector<T>&u = flips ? v_ : u_, &v = flips ? u_ : v_;
        T shift = 0;
        for (std::int64_t j = 0; j < part_.columns(); ++j) shift = std::max(shift, solved.price(j));
        for (std::int64_t j = 0; j < part_.columns(); ++j) at(v, at(others, j)) = solved.price(j) - shift;
        for (std::int64_t i = 0; i < part_.rows(); ++i) {
            const Entry<T>& pair = part_[solved.pair(i)];
            const std::int32_t line = at(lines, i), other = at(others, pair.column);
            const std::int32_t row = flips ? other : line, column = flips ? line : other;
            at(u, line) = pair.cost - at(v, other);
            at(cost_, row) = pair.cost;
            result.col_of_row[row] = column;
            result.row_of_col[column] = row;
        }
        return true;
    }

    // The duals of the scarce part bear a limit, which has to be as large as any row's and to keep the pairs of other
    // rows with scarce columns dear enough.
    void write_largest(const Lines& other_rows, const Lines& scarce_columns, Result<T>& result) {
        const T sign = options_.maximize ? T(-1) : T(1);
        T limit = 0;
        for (const std::int32_t j : scarce_columns) limit = std::max(limit, at(v_, j));
        for (const std::int32_t i : other_rows) {
            limit = std::max(limit, at(u_, i));
            for (std::int64_t e = rows_.begin(i); e < rows_.end(i); ++e)
                if (const std::int32_t j = rows_[e].column; cover_.is_scarce_column(j))
                    limit = std::max(limit, at(u_, i) + at(v_, j) - rows_[e].cost);
        }
        for (const std::int32_t j : scarce_columns) at(v_, j) -= limit;
        for (std::int64_t j = 0; j < rows_.columns(); ++j) result.col_dual[j] = sign * at(v_, j) + T(0);
        for (std::int64_t i = 0; i < rows_.rows(); ++i) {
            const std::int64_t j = result.col_of_row[i];
            const T u = j < 0 ? limit : std::min(at(cost_, i) - at(v_, j), limit);
            result.row_dual[i] = sign * u + T(0);
            if (j >= 0) *result.total += static_cast<double>(sign * at(cost_, i));
        }
    }

    void write(bool flips, T sign, Result<T>& result) const {
        std::int64_t* const col_of_row = flips ? result.row_of_col : result.col_of_row;
        std::int64_t* const row_of_col = flips ? result.col_of_row : result.row_of_col;
        T *const row_dual = flips ? result.col_dual : result.row_dual, *const col_dual =
                                                                           flips ? result.row_dual : result.col_dual;
        const auto limit = sign * static_cast<T>(options_.limit);
        // + 0: a free column's dual is plain zero, not -0.
        for (std::int64_t j = 0; j < rows_.columns(); ++j) col_dual[j] = sign * solver_.price(j) + T(0);
        for (std::int64_t i = 0; i < rows_.rows(); ++i) {
            const std::int64_t e = solver_.pair(i);
            if (e < 0) {
                row_dual[i] = sign * limit;
                continue;
            }
            const std::int64_t j = rows_[e].column;
            col_of_row[i] = j;
            row_of_col[j] = i;
            row_dual[i] = sign * (rows_[e].cost - solver_.price(j)) + T(0);
            *result.total += static_cast<double>(sign * rows_[e].cost);
        }
    }

    const Options& options_;
    Pacer pacer_;
    Rows<T> rows_, part_;
    Solver<T> solver_;
    Cover cover_;
    // Of a largest matching: duals, and what each row's pair costs.
    std::vector<T> u_, v_, cost_;
};

}  // namespace

template <class T>
Run assign_sparse(const std::vector<SparseCosts>& problems, const Options& options, double work_per_thread,
                  Pulse& pulse, std::vector<Result<T>>& results) {
    double work = 0;
    for (const SparseCosts& costs : problems) work += static_cast<double>(costs.entries + costs.rows + costs.columns);
    return run_batch(
        static_cast<std::int64_t>(problems.size()), work, options.threads, work_per_thread, pulse,
        [&] { return Worker<T>(options, pulse); },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            const auto problem = static_cast<std::size_t>(p);
            return worker.solve(problems[problem], results[problem]) ? p + 1 : p;
        });
}

template Run assign_sparse<float>(const std::vector<SparseCosts>&, const Options&, double, Pulse&,
                                  std::vector<Result<float>>&);
template Run assign_sparse<double>(const std::vector<SparseCosts>&, const Options&, double, Pulse&,
                                   std::vector<Result<double>>&);

}  // namespace coalign::assignment
