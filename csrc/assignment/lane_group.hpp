// The solver for many problems of one small shape: one in each lane, each at its own step of its own search. What a
// search waits for in one problem, the others' work fills.
//
// Every lane reads a row of its own as a vector, and squares of such vectors are turned in registers, so that a vector
// holds one column of all lanes: no lane gathers. Every step and its order are Tiny's, so that a problem's answer has
// the same bits whichever of the two solves it.
#pragma once

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

    LaneGroup(const assignment::Group<T>& group, assignment::Scans& scans) : p_(group), scans_(scans) {}

    // Rows are no more than columns, and columns no more than kMostColumns. False where a cost is NaN or -inf.
    bool solve() {
        prepare();
        if (p_.rows == p_.columns ? !reduce_columns() : !take_tight_columns()) return false;
        begin();
        while (alive_ != 0) {
            scans_.paths += std::popcount(alive_);
            reach();
            settle();
        }
        for (std::int64_t k = 0; k < p_.columns; k += kLanes)
            for (int c = 0; c < kLanes; ++c) at_[k + c].v = lowered(k, c);
        write();
        return true;
    }

   private:
    // Columns go in blocks of as many as there are lanes, and sets of them as bits in a word for each block.
    static constexpr std::int64_t kBlocks = kMostColumns / kLanes;
    // What a column is known by: whether it is free, its number, from the last, and its row if it is taken. Of columns
    // that are equally near the greatest of these is the one to go to; none is 0.
    static constexpr Index<T> kFree = Index<T>{1} << 24, kColumn = 1 << 8, kRow = kColumn - 1;
    // Behind the columns one that nobody looks at, and the one that a search's first row would have.
    static constexpr std::int64_t kNowhere = kMostColumns, kStart = kMostColumns + 1;

    // Its price; how far it is, the same while it is open, then infinity, and over which column; its key.
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
    // The bits of some columns, or rows, in the word of a block.
    static IntVec<T> bits_in(std::int64_t block, IntVec<T> numbers) {
        const IntVec<T> place = numbers - static_cast<Index<T>>(block * kLanes);
        return (place >= 0) & (place < kLanes) ? number(1) << (place & (kLanes - 1)) : IntVec<T>{};
    }
    static IntVec<T> lane_set(unsigned set) { return (number(set) & (number(1) << first_indices<T>())) != 0; }

    void prepare() {
        for (std::int64_t j = 0; j < blocks() * kLanes; ++j) {
            at_[j].v = Vec<T>{};
            at_[j].d = infinity<T>();
            at_[j].key = number(kFree + key_of(j));
            at_[j].before = number(kStart);
        }
        for (std::int64_t b = 0; b < kBlocks; ++b) settled_[b] = lowered_[b] = matched_[b] = IntVec<T>{};
        for (int lane = 0; lane < kLanes; ++lane) p_.outcomes[lane] = {};
    }

    // body(place, costs) for kCount columns of all lanes' rows from k on; past the last costs are infinite.
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
    // body(block's first column, place, costs) for all columns.
    template <class Body>
    [[gnu::always_inline]] void for_each_block(const T* const (&rows)[kLanes], Body&& body) const {
        std::int64_t k = 0;
        for (; k + kLanes / 2 < p_.columns; k += kLanes)
            for_each_column<kLanes>(rows, k, [&](int c, Vec<T> x) __attribute__((always_inline)) { body(k, c, x); });
        if (k < p_.columns)
            for_each_column<kLanes / 2>(rows, k,
                                        [&](int c, Vec<T> x) __attribute__((always_inline)) { body(k, c, x); });
    }

    // Every column's price is its least cost, and it goes to the row that has it, if that is free.
    [[gnu::noinline]] bool reduce_columns() {
        IntVec<T> bad{}, least_row[kMostColumns];
        for (std::int64_t j = 0; j < blocks() * kLanes; ++j) {
            at_[j].v = infinity<T>();
            least_row[j] = IntVec<T>{};
        }
        const T* rows[kLanes];
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            for (int lane = 0; lane < kLanes; ++lane) rows[lane] = p_.cost[lane] + i * p_.stride;
            for_each_block(rows, [&](std::int64_t k, int c, Vec<T> x) __attribute__((always_inline)) {
                bad |= ~(x > -infinity<T>());
                least_row[k + c] = x < at_[k + c].v ? number(i) : least_row[k + c];
                at_[k + c].v = minimum(at_[k + c].v, x);
            });
        }
        for (std::int64_t j = 0; j < blocks() * kLanes; ++j) {
            const IntVec<T> priced = at_[j].v < infinity<T>(), i = least_row[j];
            at_[j].v = select(priced, at_[j].v, Vec<T>{});
            IntVec<T> gets = priced;
            for (std::int64_t b = 0; b < blocks(); ++b) {
                const IntVec<T> bit = bits_in(b, i);
                gets &= (matched_[b] & bit) == 0;
                matched_[b] |= priced ? bit : IntVec<T>{};
            }
            at_[j].key = gets ? at_[j].key - kFree + i : at_[j].key;
        }
        return !any(bad);
    }

    // Every row takes the column of its least cost, if that is free.
    [[gnu::noinline]] bool take_tight_columns() {
        IntVec<T> bad{};
        const T* rows[kLanes];
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            for (int lane = 0; lane < kLanes; ++lane) rows[lane] = p_.cost[lane] + i * p_.stride;
            Vec<T> least = infinity<T>();
            for_each_block(rows, [&](std::int64_t k, int c, Vec<T> x) __attribute__((always_inline)) {
                bad |= ~(x > -infinity<T>());
                least = minimum(least, x);
                at_[k + c].open = x;
            });
            const IntVec<T> key = first_at(least);
            const IntVec<T> gets = (key >= kFree) & (least < infinity<T>());
            matched_[i / kLanes] |= gets ? number(1) << static_cast<Index<T>>(i % kLanes) : IntVec<T>{};
            keep(gets ? column_of(key) : number(kNowhere), column_);
            keep(key - kFree + static_cast<Index<T>>(i), row_of_);
            take();
        }
        return !any(bad);
    }
    // Apart, so that vectors go to scalars through memory: the compiler else takes them to pieces, lane by lane.
    [[gnu::noinline]] void take() {
        for (int lane = 0; lane < kLanes; ++lane) at_[column_[lane]].key[lane] = row_of_[lane];
    }

    static void keep(IntVec<T> values, Index<T> (&out)[kLanes]) { std::memcpy(out, &values, sizeof values); }

    // Of the open columns that are `distance` away the one to go to.
    [[gnu::always_inline]] IntVec<T> first_at(Vec<T> distance) const {
        IntVec<T> first{};
        std::int64_t k = 0;
        const auto look = [&](std::int64_t j) __attribute__((always_inline)) {
            const IntVec<T> key = (at_[j].open == distance) & at_[j].key;
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

    // Every lane's first search.
    void begin() {
        alive_ = (1u << kLanes) - 1;
        for (int lane = 0; lane < kLanes; ++lane) {
            unmatched_[lane] = 0;
            for (std::int64_t b = 0; b < blocks(); ++b)
                unmatched_[lane] |= static_cast<std::uint64_t>(~matched_[b][lane] & ((1 << kLanes) - 1)) << b * kLanes;
            if (p_.rows < 64) unmatched_[lane] &= (std::uint64_t{1} << p_.rows) - 1;
            start(lane);
        }
        restart_ = infinity<T>();
        from_ = number(kStart);
        offset_ = end_ = Vec<T>{};
        reached_ = -infinity<T>();
    }

    // A lane's search starts at its first row without a pair; without one the lane is done.
    void start(int lane) {
        const std::uint64_t left = unmatched_[lane];
        const int first = left != 0 ? std::countr_zero(left) : 0;
        at_[kStart].key[lane] = static_cast<Index<T>>(first);
        row_[lane] = p_.cost[lane] + first * p_.stride;
        alive_ &= ~(static_cast<unsigned>(left == 0) << lane);
    }

    // The price of a column that a search had settled when it ended has fallen.
    Vec<T> lowered(std::int64_t k, int c) const {
        return add_where(lowered_[k / kLanes], c, at_[k + c].v, at_[k + c].d - end_);
    }

    // From every lane's row to all columns, and the nearest of them; with what the last search left to do.
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
        found_ = first_at(nearest);
    }

    // The column reached is either free, and the search ends, or the search goes on from its row.
    void settle() {
        const IntVec<T> reaches = nearest_ < infinity<T>();
        const IntVec<T> key = reaches ? found_ : number(key_of(0));
        const IntVec<T> ends = key >= kFree, column = column_of(key);
        const unsigned ended = alive_ & bits(ends);
        if (const unsigned failed = alive_ & ~bits(reaches); failed != 0) [[unlikely]]
            fail(failed);
        keep(column, column_);
        keep(key & kRow, row_of_);
        go_on(ended);
        const IntVec<T> fresh = lane_set(ended);
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
        alive_ &= ~lanes;
        for (; lanes != 0; lanes &= lanes - 1) {
            const int lane = std::countr_zero(lanes);
            p_.outcomes[lane] = {Status::infeasible, at_[kStart].key[lane], 0, false};
        }
    }

    // To the row that has the column reached, and where a search has ended to the start of the next.
    [[gnu::noinline]] void go_on(unsigned ended) {
        const std::int64_t stride = p_.stride;
        const T* const* const cost = p_.cost;
        for (int lane = 0; lane < kLanes; ++lane) {
            const std::int64_t j = column_[lane];
            const T* const row = cost[lane] + row_of_[lane] * stride;
            row_[lane] = row;
            dual_[lane] = (kNegate ? -row[j] : row[j]) - at_[j].v[lane];
        }
        // Every pair along the path to the column reached changes places with the next; the first of them apart, since
        // no branch foresees how long a path is.
        unsigned longer = 0;
        for (; ended != 0; ended &= ended - 1) {
            const int lane = std::countr_zero(ended);
            longer |= static_cast<unsigned>(move_back(lane) != kStart) << lane;
            unmatched_[lane] &= unmatched_[lane] - 1;
            if ((longer >> lane & 1) == 0) start(lane);
        }
        for (; longer != 0; longer &= longer - 1) {
            const int lane = std::countr_zero(longer);
            while (move_back(lane) != kStart) continue;
            start(lane);
        }
    }

    // The lane's column takes the row that it was reached from, and the column which that one had is next.
    Index<T> move_back(int lane) {
        const std::int64_t j = column_[lane];
        const Index<T> before = at_[j].before[lane];
        at_[j].key[lane] = static_cast<Index<T>>(key_of(j)) | (at_[before].key[lane] & kRow);
        column_[lane] = before;
        return before;
    }

    [[gnu::noinline]] void write() const {
        T v[kLanes][kMostColumns];
        Index<T> rows[kLanes][kMostColumns];
        for (std::int64_t k = 0; k < blocks() * kLanes; k += kLanes) {
            Vec<T> prices[kLanes], taken_by[kLanes];
            for (int c = 0; c < kLanes; ++c) {
                // No -0, whose sign would tell in which order minima were taken.
                prices[c] = at_[k + c].v + Vec<T>{};
                const IntVec<T> row = at_[k + c].key >= kFree ? number(-1) : at_[k + c].key & kRow;
                taken_by[c] = reinterpret_cast<Vec<T>>(row);
            }
            transpose<T>(prices);
            transpose<T>(taken_by);
            for (int lane = 0; lane < kLanes; ++lane) {
                store(v[lane] + k, prices[lane]);
                std::memcpy(rows[lane] + k, &taken_by[lane], sizeof taken_by[lane]);
            }
        }
        for (int lane = 0; lane < kLanes; ++lane)
            if (p_.outcomes[lane].status == Status::ok) write(lane, v[lane], rows[lane]);
    }
    void write(int lane, const T* v, const Index<T>* rows) const {
        const assignment::Solution<T>& out = p_.solutions[lane];
        const T* const cost = p_.cost[lane];
        std::memcpy(out.col_dual, v, static_cast<std::size_t>(p_.columns) * sizeof(T));
        std::int64_t* __restrict const row_of_col = out.row_of_col;
        for (std::int64_t j = 0; j < p_.columns; ++j) row_of_col[j] = rows[j];
        // Columns that are free all write to the place before the first.
        std::int32_t column_of[kMostColumns + 1];
        for (std::int64_t j = 0; j < p_.columns; ++j) column_of[rows[j] + 1] = static_cast<std::int32_t>(j);
        std::int64_t* __restrict const col_of_row = out.col_of_row;
        T* __restrict const row_dual = out.row_dual;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = column_of[i + 1];
            const T c = cost[i * p_.stride + j];
            col_of_row[i] = j;
            row_dual[i] = (kNegate ? -c : c) - v[j];
        }
    }

    const assignment::Group<T>& p_;
    assignment::Scans& scans_;
    Column at_[kMostColumns + 2];
    // Columns that the lanes' searches have settled, and those whose price has yet to fall since a search has ended;
    // rows that have a pair to start with.
    IntVec<T> settled_[kBlocks], lowered_[kBlocks], matched_[kBlocks];
    // Infinity where a search starts, else -infinity; the column that the search comes over; what its row takes off its
    // costs, how far it is, and how far the last was; the nearest column's distance, and its key.
    Vec<T> restart_, offset_, reached_, end_, nearest_;
    IntVec<T> from_, found_;
    // The column that each lane has reached, its row, and that one's dual.
    Index<T> column_[kLanes], row_of_[kLanes];
    T dual_[kLanes];
    // The lanes' rows, and those without a pair as bits.
    const T* row_[kLanes];
    std::uint64_t unmatched_[kLanes];
    unsigned alive_ = 0;
};

}  // namespace coalign::COALIGN_SET
