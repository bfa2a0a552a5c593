// Shortest augmenting paths: Dijkstra from a free row over reduced costs, along the rows' lists of candidates.
#pragma once

#include <bit>
#include <cstdint>

#include "assignment/candidates.hpp"
#include "assignment/frontier.hpp"
#include "assignment/kernels.hpp"
#include "assignment/matching.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class Search {
   public:
    Search(const assignment::Problem<T>& problem, Matching<T>& matching, T* v, Candidates<T, kNegate>& lists,
           Space<T>& space, Pacer& pacer, assignment::Scans& scans)
        : p_(problem),
          matching_(matching),
          v_(v),
          lists_(lists),
          pacer_(pacer),
          scans_(scans),
          frontier_(p_.columns, space),
          w_(space.values(padded<T>(p_.columns))),
          reached_(space.values(p_.columns)),
          offset_(space.values(p_.rows)),
          horizon_(space.values(p_.rows)),
          settled_(space.indices(p_.columns)),
          rows_(space.indices(p_.rows)) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) {
        return Frontier<T>::workspace(columns) + padded<T>(columns) + 2 * columns + 3 * rows;
    }

    // Finds the path to the nearest free column, or to the nearest row that may stay alone.
    assignment::Outcome augment(std::int64_t first) {
        start(first);
        std::int64_t i = first;
        T offset = 0;
        while (true) {
            look_at(i, offset);
            if (!pacer_.proceed(kLook + p_.columns / 64)) return {Status::ok, 0, 0, true};
            auto nearest = frontier_.nearest();
            for (T until; least_horizon_.value < (until = nearest.value < end_ ? nearest.value : end_);) {
                widen(until);
                if (!pacer_.proceed(4 * p_.columns / kWidth<T>)) return {Status::ok, 0, 0, true};
                nearest = frontier_.nearest();
            }
            if (!(nearest.value < end_)) break;
            now_ = nearest.value;
            const std::int64_t j = frontier_.settle(nearest);
            settled_[count_] = static_cast<Index<T>>(j);
            reached_[count_++] = now_;
            w_[j] = -kInfinity<T>;
            i = matching_.row_of(j);
            // The row's dual; distances beyond this row are measured from it.
            offset = at(i, j) - v_[j] - now_;
            if (p_.has_limit && p_.limit - offset < end_) {
                end_ = p_.limit - offset;
                if (end_ < now_) end_ = now_;
                sink_ = -1;
                dropped_ = i;
            }
        }
        if (!p_.has_limit && sink_ < 0) return {Status::infeasible, first, 0, false};
        lower_prices();
        flip(first);
        // Where a list seldom reaches far enough, it costs more than it saves.
        if (wide_ > kWide && 2 * wide_ > looks_) lists_.give_up();
        return {};
    }

   private:
    // How many new lists may fall short in one search.
    static constexpr int kRenewals = 8;
    // How many rows have to be gone through whole before lists may be given up.
    static constexpr std::int64_t kWide = 32;
    // What a look at a list costs, in vector steps.
    static constexpr std::int64_t kLook = 64;

    T at(std::int64_t i, std::int64_t j) const {
        const T c = p_.cost[i * p_.stride + j];
        return kNegate ? -c : c;
    }

    void start(std::int64_t first) {
        now_ = -kInfinity<T>;
        end_ = p_.has_limit ? p_.limit : kInfinity<T>;
        least_horizon_ = {kInfinity<T>, 0};
        sink_ = -1;
        dropped_ = first;
        count_ = seen_ = 0;
        renewals_ = kRenewals;
        frontier_.clear();
        for (std::int64_t k = 0; k < p_.columns; k += kWidth<T>) store(w_ + k, load(v_ + k));
    }

    // Takes in the columns of a row's list; all others lie beyond the row's horizon. Without a list it takes in all.
    void look_at(std::int64_t i, T offset) {
        if (!lists_.pay() || renewals_ <= 0) {
            ++scans_.paths;
            ++wide_;
            reach_all(i, offset);
            return;
        }
        if (!lists_.is_known(i)) {
            ++scans_.paths;
            lists_.template refresh<false>(i);
        }
        ++looks_;
        reach_listed(i, offset);
        rows_[seen_] = static_cast<Index<T>>(i);
        offset_[seen_] = offset;
        horizon_[seen_] = lists_.bound(i) - offset;
        if (horizon_[seen_] < least_horizon_.value) least_horizon_ = {horizon_[seen_], seen_};
        ++seen_;
    }

    void reach_listed(std::int64_t i, T offset) {
        lists_.each_below(i, w_, offset, end_, [&](std::int64_t j, T x) __attribute__((always_inline)) {
            if (x < now_) x = now_;
            frontier_.reach(j, x, i);
            // A free column ends the search.
            const bool ends = matching_.is_free(j) & (x < end_);
            end_ = ends ? x : end_;
            sink_ = ends ? j : sink_;
        });
    }

    // Looks further along the row whose horizon is nearest: by a new list, or, if new lists have not reached as far as
    // the search has come, at every column.
    void widen(T until) {
        const std::int64_t s = least_horizon_.at, i = rows_[s];
        const T offset = offset_[s];
        if (renewals_ > 0) {
            ++scans_.paths;
            lists_.template refresh<false>(i);
            reach_listed(i, offset);
            horizon_[s] = lists_.bound(i) - offset;
            renewals_ -= horizon_[s] < until;
        }
        if (horizon_[s] < until) {
            ++scans_.paths;
            ++wide_;
            reach_all(i, offset);
            horizon_[s] = kInfinity<T>;
        }
        least_horizon_ = least_of(horizon_, seen_);
    }

    void reach_all(std::int64_t i, T offset) {
        const T* const row = p_.cost + i * p_.stride;
        frontier_.reach_all(
            p_.columns, i, end_,
            [&](std::int64_t k) __attribute__((always_inline)) {
                const Vec<T> c = costs_at<T, kNegate>(row, k, p_.columns);
                return maximum(c - load(w_ + k) - splat(offset), splat(now_));
            },
            [&](std::int64_t k, Vec<T> x, IntVec<T> nearer) __attribute__((always_inline)) {
                for (unsigned set = bits(nearer) & matching_.free_from(k); set != 0; set &= set - 1) {
                    const int lane = std::countr_zero(set);
                    if (x[lane] < end_) {
                        end_ = x[lane];
                        sink_ = k + lane;
                    }
                }
            });
    }

    void lower_prices() {
        for (std::int64_t k = 0; k < count_; ++k) v_[settled_[k]] += reached_[k] - end_;
    }

    void flip(std::int64_t first) {
        std::int64_t j = sink_;
        if (j < 0) {
            j = matching_.column_of(dropped_);
            matching_.reject(dropped_);
            if (dropped_ == first) return;
        }
        matching_.flip(first, j, [&](std::int64_t column) { return frontier_.before(column); });
    }

    const assignment::Problem<T>& p_;
    Matching<T>& matching_;
    T* v_;
    Candidates<T, kNegate>& lists_;
    Pacer& pacer_;
    assignment::Scans& scans_;
    Frontier<T> frontier_;
    // Per column: its price, or -inf once it is settled. Then one entry for each settled column, and for each row that
    // was looked at.
    T *w_, *reached_, *offset_, *horizon_;
    Index<T>*settled_, *rows_;
    // How far the search has come, and the nearest end that it knows: a free column, or a row that stays alone.
    T now_ = 0, end_ = 0;
    Least<T> least_horizon_{};
    std::int64_t sink_ = -1, dropped_ = -1, count_ = 0, seen_ = 0;
    int renewals_ = 0;
    // In all searches: rows whose lists were looked at, and rows that were gone through whole.
    std::int64_t looks_ = 0, wide_ = 0;
};

}  // namespace coalign::COALIGN_SET
