// The solver for many problems of one small shape. Each lane holds a problem and is at its own step of its own search;
// a lane that has finished takes the next problem. While one problem waits for a result, the others keep the core busy.
//
// Every lane reads its own row as a vector, and squares of such vectors are transposed in registers, so that a vector
// holds one column of all lanes: nothing is gathered. The steps and their order are those of Tiny, so a problem's
// answer has the same bits whichever of the two solves it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class LaneGroup {
   public:
    static constexpr int kLanes = kWidth<T>;
    static constexpr std::int64_t kMostColumns = 64;
    static_assert(kLanes >= 4);

    LaneGroup(const assignment::Group<T>& group, assignment::Scans& scans) : p_(group), scans_(scans) {}

    // There are at most as many rows as columns, and at most kMostColumns columns.
    void solve() {
        begin();
        while (alive_ != 0) {
            scans_.paths += std::popcount(alive_);
            reach();
            settle();
        }
    }

   private:
    // A block holds as many columns as there are lanes; a set of columns is one word of bits for each block.
    static constexpr std::int64_t kBlocks = kMostColumns / kLanes;
    // The key of a column: whether it is free, its number counted from the last, and its row if it is taken. Among
    // equally near columns the search goes to the one with the greatest key; no key is 0.
    static constexpr Index<T> kFree = Index<T>{1} << 24, kColumn = 1 << 8, kRow = kColumn - 1;
    // Behind the columns lie one that nobody reads, and one that stands for the column of a search's first row.
    static constexpr std::int64_t kNowhere = kMostColumns, kStart = kMostColumns + 1;

    // Of each column: its price; its distance; the same while it is open, then infinity; the column before it on the
    // way; its key.
    struct Column {
        Vec<T> v, d, open;
        IntVec<T> before, key;
    };

    std::int64_t blocks() const { return (p_.columns + kLanes - 1) / kLanes; }
    static IntVec<T> number(std::int64_t value) { return IntVec<T>{} + static_cast<Index<T>>(value); }
    static std::int64_t key_of(std::int64_t j) { return (kMostColumns - j) * kColumn; }
    static IntVec<T> column_of(IntVec<T> key) {
        return static_cast<Index<T>>(kMostColumns) - (key & (kFree - 1)) / kColumn;
    }
    // A set of columns, or rows, in the word of a block.
    static IntVec<T> bits_in(std::int64_t block, IntVec<T> numbers) {
        const IntVec<T> place = numbers - static_cast<Index<T>>(block * kLanes);
        const IntVec<T> inside = (place >= 0) & (place < kLanes);
        return inside ? number(1) << (place & (kLanes - 1)) : IntVec<T>{};
    }
    static IntVec<T> lane_set(unsigned set) { return (number(set) & (number(1) << first_indices<T>())) != 0; }

    // Calls body(place, costs) for kCount columns from k on of all lanes' rows; past the last column costs are
    // infinite.
    template <int kCount, class Body>
    [[gnu::always_inline]] void for_each_column(const T* const (&rows)[kLanes], std::int64_t k, Body&& body) const {
        constexpr T fill = kNegate ? -kInfinity<T> : kInfinity<T>;
        const std::int64_t left = p_.columns - k;
        Vec<T> square[kCount];
        if constexpr (2 * kCount == kLanes) {
#pragma GCC unroll 8
            for (int n = 0; n < kCount; ++n)
                square[n] = load_halves(rows[2 * n] + k, rows[2 * n + 1] + k, static_cast<int>(left), fill);
            transpose<T>(square);
        } else if (left >= kLanes) {
            load_turned(rows, k, square);
        } else {
#pragma GCC unroll 16
            for (int lane = 0; lane < kLanes; ++lane)
                square[lane] = load_first(rows[lane] + k, static_cast<int>(left), fill);
            transpose<T>(square);
        }
#pragma GCC unroll 16
        for (int c = 0; c < kCount; ++c) body(c, kNegate ? -square[c] : square[c]);
    }
    // Calls body(first column of the block, place, costs) for all columns.
    template <class Body>
    [[gnu::always_inline]] void for_each_block(const T* const (&rows)[kLanes], Body&& body) const {
        std::int64_t k = 0;
        for (; k + kLanes / 2 < p_.columns; k += kLanes)
            for_each_column<kLanes>(rows, k, [&](int c, Vec<T> x) __attribute__((always_inline)) { body(k, c, x); });
        if (k < p_.columns)
            for_each_column<kLanes / 2>(rows, k,
                                        [&](int c, Vec<T> x) __attribute__((always_inline)) { body(k, c, x); });
    }

    // Prepares the next problems, as many as there are lanes: all stages that read each row once.
    [[gnu::noinline]] void prepare() {
        prepared_ = next_;
        for (int lane = 0; lane < kLanes; ++lane) prepared_cost_[lane] = p_.cost[std::min(next_ + lane, p_.count - 1)];
        for (std::int64_t j = 0; j < blocks() * kLanes; ++j) {
            prepared_at_[j].v = Vec<T>{};
            prepared_at_[j].key = number(kFree + key_of(j));
        }
        IntVec<T> matched[kBlocks]{};
        const IntVec<T> bad = p_.rows == p_.columns ? reduce_columns(matched) : take_tight_columns(matched);
        for (int lane = 0; lane < kLanes; ++lane) {
            std::uint64_t set = 0;
            for (std::int64_t b = 0; b < blocks(); ++b)
                set |= static_cast<std::uint64_t>(matched[b][lane] & ((1 << kLanes) - 1)) << b * kLanes;
            const std::uint64_t all = p_.rows == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << p_.rows) - 1;
            prepared_unmatched_[lane] = all & ~set;
        }
        for (unsigned left = bits(bad); left != 0; left &= left - 1) [[unlikely]]
            refuse(next_ + std::countr_zero(left));
    }

    void refuse(std::int64_t problem) {
        if (problem >= p_.count) return;
        for (std::int64_t i = 0; i < p_.rows && p_.outcomes[problem].status == Status::ok; ++i)
            p_.outcomes[problem] = first_bad<T, kNegate>(p_.cost[problem] + i * p_.stride, p_.columns, i);
    }

    // Calls body(first column of the block, place, costs) for row i of the problems to prepare; returns the lanes that
    // met NaN or -inf.
    template <class Body>
    [[gnu::always_inline]] IntVec<T> prepare_row(std::int64_t i, Body&& body) const {
        const T* rows[kLanes];
        IntVec<T> bad{};
        for (int lane = 0; lane < kLanes; ++lane) rows[lane] = prepared_cost_[lane] + i * p_.stride;
        for_each_block(rows, [&](std::int64_t k, int c, Vec<T> x) __attribute__((always_inline)) {
            bad |= ~(x > -infinity<T>());
            body(k, c, x);
        });
        return bad;
    }

    // Every column's price becomes its least cost; the row with that cost takes the column if the row is free.
    IntVec<T> reduce_columns(IntVec<T> (&matched)[kBlocks]) {
        IntVec<T> bad{};
        for (std::int64_t j = 0; j < blocks() * kLanes; ++j) {
            prepared_at_[j].v = infinity<T>();
            prepared_at_[j].before = IntVec<T>{};
        }
        for (std::int64_t i = 0; i < p_.rows; ++i)
            bad |= prepare_row(i, [&](std::int64_t k, int c, Vec<T> x) __attribute__((always_inline)) {
                Column& column = prepared_at_[k + c];
                column.before = x < column.v ? number(i) : column.before;
                column.v = minimum(column.v, x);
            });
        for (std::int64_t j = 0; j < blocks() * kLanes; ++j) {
            Column& column = prepared_at_[j];
            const IntVec<T> priced = column.v < infinity<T>(), i = column.before;
            column.v = select(priced, column.v, Vec<T>{});
            IntVec<T> gets = priced;
            for (std::int64_t b = 0; b < blocks(); ++b) {
                const IntVec<T> bit = bits_in(b, i);
                gets &= (matched[b] & bit) == 0;
                matched[b] |= priced ? bit : IntVec<T>{};
            }
            column.key = gets ? column.key - kFree + i : column.key;
        }
        return bad;
    }

    // Every row takes the column of its least cost if that column is free.
    IntVec<T> take_tight_columns(IntVec<T> (&matched)[kBlocks]) {
        IntVec<T> bad{};
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            Vec<T> least = infinity<T>();
            bad |= prepare_row(i, [&](std::int64_t k, int c, Vec<T> x) __attribute__((always_inline)) {
                least = minimum(least, x);
                prepared_at_[k + c].open = x;
            });
            const IntVec<T> key = first_at(prepared_at_, least);
            const IntVec<T> gets = (key >= kFree) & (least < infinity<T>());
            matched[i / kLanes] |= gets ? number(1) << static_cast<Index<T>>(i % kLanes) : IntVec<T>{};
            put(gets ? column_of(key) : number(kNowhere), key - kFree + static_cast<Index<T>>(i));
        }
        return bad;
    }
    void put(IntVec<T> columns, IntVec<T> keys) {
        Index<T> column[kLanes], key[kLanes];
        store_lanes<T>(columns, column);
        store_lanes<T>(keys, key);
        for (int lane = 0; lane < kLanes; ++lane) prepared_at_[column[lane]].key[lane] = key[lane];
    }

    // Among the open columns that are `distance` away, the one to go to.
    [[gnu::always_inline]] IntVec<T> first_at(const Column* at, Vec<T> distance) const {
        IntVec<T> first{};
        std::int64_t k = 0;
        const auto look = [&](std::int64_t j) __attribute__((always_inline)) {
            const IntVec<T> key = (at[j].open == distance) & at[j].key;
            first = key > first ? key : first;
        };
        for (; k + kLanes / 2 < p_.columns; k += kLanes) {
#pragma GCC unroll 16
            for (int c = 0; c < kLanes; ++c) look(k + c);
        }
        if (k < p_.columns) {
#pragma GCC unroll 8
            for (int c = 0; c < kLanes / 2; ++c) look(k + c);
        }
        return first;
    }

    void begin() {
        for (std::int64_t j = 0; j < blocks() * kLanes; ++j)
            at_[j] = {Vec<T>{}, infinity<T>(), infinity<T>(), number(kStart), number(kFree + key_of(j))};
        for (std::int64_t b = 0; b < kBlocks; ++b) settled_[b] = lowered_[b] = IntVec<T>{};
        restart_ = infinity<T>();
        from_ = number(kStart);
        offset_ = end_ = Vec<T>{};
        reached_ = -infinity<T>();
        alive_ = (1u << kLanes) - 1;
        for (int lane = 0; lane < kLanes; ++lane) take(lane);
    }

    // The lane takes the next problem that needs a search; if there is none, it is done.
    [[gnu::noinline]] void take(int lane) {
        for (; next_ < p_.count; ++next_) {
            if (next_ - prepared_ == kLanes) prepare();
            const std::int64_t from = next_ - prepared_;
            if (p_.outcomes[next_].status != Status::ok) [[unlikely]]
                continue;
            if (prepared_unmatched_[from] == 0) {
                write(next_, prepared_at_, from);
                continue;
            }
            for (std::int64_t j = 0; j < p_.columns; ++j) {
                at_[j].v[lane] = prepared_at_[j].v[from];
                at_[j].key[lane] = prepared_at_[j].key[from];
            }
            unmatched_[lane] = prepared_unmatched_[from];
            problem_[lane] = next_++;
            return start(lane);
        }
        alive_ &= ~(1u << lane);
        problem_[lane] = 0;
        row_[lane] = p_.cost[0];
    }

    // A lane's search starts at its first row without a pair; an idle lane starts anywhere.
    void start(int lane) {
        const int first = std::countr_zero(unmatched_[lane]) & 63;
        at_[kStart].key[lane] = static_cast<Index<T>>(first);
        row_[lane] = p_.cost[problem_[lane]] + first * p_.stride;
    }

    // Lowers the price of each column that a search had settled when it ended.
    Vec<T> lowered(std::int64_t k, int c) const {
        return add_where(lowered_[k / kLanes], c, at_[k + c].v, at_[k + c].d - end_);
    }

    // Measures the way from every lane's row to all columns, finds the nearest, and finishes what the last search left.
    [[gnu::noinline]] void reach() {
        Vec<T> nearest = infinity<T>();
        for_each_block(row_, [&](std::int64_t k, int c, Vec<T> cost) __attribute__((always_inline)) {
            const Vec<T> v = lowered(k, c), former = maximum(at_[k + c].d, restart_);
            const Vec<T> x = maximum(cost - v - offset_, reached_);
            const IntVec<T> nearer = x < former;
            at_[k + c].before = nearer ? from_ : at_[k + c].before;
            const Vec<T> d = minimum(x, former), open = add_where(settled_[k / kLanes], c, d, infinity<T>());
            nearest = minimum(nearest, open);
            at_[k + c].v = v;
            at_[k + c].d = d;
            at_[k + c].open = open;
        });
        nearest_ = nearest;
        found_ = first_at(at_, nearest);
    }

    // If the column reached is free, the search ends; otherwise it goes on from the column's row.
    void settle() {
        // Lanes without a problem stay where they are.
        const IntVec<T> reaches = (nearest_ < infinity<T>()) & lane_set(alive_);
        const IntVec<T> key = reaches ? found_ : number(key_of(0));
        const IntVec<T> ends = key >= kFree, column = column_of(key);
        const unsigned failed = alive_ & ~bits(reaches), ended = bits(reaches & ends);
        store_lanes<T>(column, column_);
        store_lanes<T>(key & kRow, row_of_);
        go_on(ended);
        if (failed != 0) [[unlikely]]
            fail(failed);
        const IntVec<T> fresh = lane_set(ended | failed);
        restart_ = select(fresh, infinity<T>(), -infinity<T>());
        offset_ = select(fresh, Vec<T>{}, load(dual_) - nearest_);
        reached_ = select(fresh, -infinity<T>(), nearest_);
        from_ = fresh ? number(kStart) : column;
        end_ = nearest_;
        for (std::int64_t b = 0; b < blocks(); ++b) {
            lowered_[b] = fresh ? settled_[b] : IntVec<T>{};
            settled_[b] = fresh ? IntVec<T>{} : settled_[b] | bits_in(b, column);
        }
    }

    void fail(unsigned lanes) {
        for (; lanes != 0; lanes &= lanes - 1) {
            const int lane = std::countr_zero(lanes);
            p_.outcomes[problem_[lane]] = {Status::infeasible, at_[kStart].key[lane], 0, false};
            for (std::int64_t b = 0; b < blocks(); ++b) settled_[b][lane] = 0;
            take(lane);
        }
    }

    // Moves to the row that has the column reached, or, if a search has ended, to the start of the next.
    [[gnu::noinline]] void go_on(unsigned ended) {
        const std::int64_t stride = p_.stride;
        const T* const* const cost = p_.cost;
        for (int lane = 0; lane < kLanes; ++lane) {
            const std::int64_t j = column_[lane];
            const T* const row = cost[problem_[lane]] + row_of_[lane] * stride;
            row_[lane] = row;
            dual_[lane] = (kNegate ? -row[j] : row[j]) - at_[j].v[lane];
        }
        // Every row along the path takes the column of the next. The first step stands apart, as no branch predictor
        // knows how long a path is.
        unsigned longer = 0;
        for (unsigned left = ended; left != 0; left &= left - 1) {
            const int lane = std::countr_zero(left);
            longer |= static_cast<unsigned>(move_back(lane) != kStart) << lane;
        }
        for (; longer != 0; longer &= longer - 1) {
            const int lane = std::countr_zero(longer);
            while (move_back(lane) != kStart) continue;
        }
        unsigned finished = 0;
        for (unsigned left = ended; left != 0; left &= left - 1) {
            const int lane = std::countr_zero(left);
            unmatched_[lane] &= unmatched_[lane] - 1;
            finished |= static_cast<unsigned>(unmatched_[lane] == 0) << lane;
            start(lane);
        }
        for (; finished != 0; finished &= finished - 1) finish(std::countr_zero(finished));
    }

    // Writes out the lane's problem, which is solved except for the prices that its last search has lowered.
    [[gnu::noinline]] void finish(int lane) {
        for (std::int64_t b = 0; b < blocks(); ++b) {
            for (unsigned left = static_cast<unsigned>(settled_[b][lane]); left != 0; left &= left - 1) {
                Column& column = at_[b * kLanes + std::countr_zero(left)];
                column.v[lane] += column.d[lane] - nearest_[lane];
            }
            settled_[b][lane] = 0;
        }
        write(problem_[lane], at_, lane);
        take(lane);
    }

    // The lane's column goes to the row from which it was reached; the column that this row had is next.
    Index<T> move_back(int lane) {
        const std::int64_t j = column_[lane];
        const Index<T> before = at_[j].before[lane];
        at_[j].key[lane] = static_cast<Index<T>>(key_of(j)) | (at_[before].key[lane] & kRow);
        column_[lane] = before;
        return before;
    }

    [[gnu::noinline]] void write(std::int64_t problem, const Column* at, std::int64_t lane) const {
        const assignment::Solution<T>& out = p_.solutions[problem];
        T v[kMostColumns];
        std::int64_t rows[kMostColumns], column_of[kMostColumns + 1];
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            // Never -0, whose sign would show in which order minima were taken.
            v[j] = at[j].v[lane] + T(0);
            const Index<T> key = at[j].key[lane];
            rows[j] = key >= kFree ? -1 : key & kRow;
        }
        std::memcpy(out.col_dual, v, static_cast<std::size_t>(p_.columns) * sizeof(T));
        std::memcpy(out.row_of_col, rows, static_cast<std::size_t>(p_.columns) * sizeof *rows);
        // All free columns write to the place before the first.
        for (std::int64_t j = 0; j < p_.columns; ++j) column_of[rows[j] + 1] = j;
        std::memcpy(out.col_of_row, column_of + 1, static_cast<std::size_t>(p_.rows) * sizeof *column_of);
        const T* row = p_.cost[problem];
        for (std::int64_t i = 0; i < p_.rows; ++i, row += p_.stride) {
            const std::int64_t j = column_of[i + 1];
            out.row_dual[i] = (kNegate ? -row[j] : row[j]) - v[j];
        }
    }

    const assignment::Group<T>& p_;
    assignment::Scans& scans_;
    Column at_[kMostColumns + 2];
    // Columns that the lanes' searches have settled, and columns whose price has yet to fall after a search that ended.
    IntVec<T> settled_[kBlocks], lowered_[kBlocks];
    // Infinity if a search starts, else -infinity; the column that the search comes from; what its row subtracts from
    // its costs; how far the row is, and how far the last one was; the distance of the nearest column, and its key.
    Vec<T> restart_, offset_, reached_, end_, nearest_;
    IntVec<T> from_, found_;
    // The column that each lane has reached, its row, and the dual of that row.
    Index<T> column_[kLanes], row_of_[kLanes];
    T dual_[kLanes];
    // The lanes' problems, their current rows, and their rows without a pair as bits.
    std::int64_t problem_[kLanes];
    const T* row_[kLanes];
    std::uint64_t unmatched_[kLanes];
    unsigned alive_ = 0;
    // The next problem. What is prepared: the first such problem, the price and key of each column, and the rows
    // without a pair.
    std::int64_t next_ = 0, prepared_ = -kLanes;
    const T* prepared_cost_[kLanes];
    Column prepared_at_[kMostColumns + 1];
    std::uint64_t prepared_unmatched_[kLanes];
};

}  // namespace coalign::COALIGN_SET
