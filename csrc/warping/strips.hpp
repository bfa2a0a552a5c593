// The engine for one pair: strips of rows, each vector a skewed column of the strip.
//
// A path is recovered from checkpoints: the last row of every strip, and the state of the strip every few blocks of
// steps. Where all of them would take much memory, the forward pass keeps only the last row of every group of strips,
// and back-tracing runs a group again, up to the column where the path leaves it, when it gets there: the memory of a
// square root of the strips for at most twice the time. Back-tracing runs the few stretches of steps that the path
// crosses a second time, recording them. On AVX-512 that is 0.07 bytes a cell in float32 and 0.2 in float64, less than
// two bits a cell, and the forward pass keeps its speed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/buffer.hpp"
#include "warping/problem.hpp"

namespace coalign::warping {

// One problem. `matrix`, N rows of `matrix_stride`, holds the local costs when the metric is precomputed.
template <class T>
struct Problem {
    Series<T> x, y;
    const T* matrix = nullptr;
    std::int64_t matrix_stride = 0;
};

// A path, from its last pair to its first. Room for N + M - 1 of each.
struct ReversePath {
    std::int64_t* x;
    std::int64_t* y;
    double* weight = nullptr;  // of each pair, where there is a step pattern
    std::int64_t length = 0;
};

// About how many vector steps they take for a pair of n frames and m.
double strip_steps(const Window& window, int width, double n, double m);

template <class T>
class Strips {
   public:
    Strips(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pacer& pacer);

    struct Result {
        T cost;
        Status status;  // nan: a cell of the window holds NaN or -inf, and there is no path
        bool stopped;
    };
    Result run(const Problem<T>& problem, ReversePath* path);

   private:
    struct Strip {
        std::int64_t first;                   // row
        std::int64_t begin, end;              // blocks of kDelay steps
        std::int64_t clear_begin, clear_end;  // blocks that need no mask
        std::int64_t row_begin, row_end;      // columns of its last row's window
        T* saved = nullptr;
        T* snapshots = nullptr;
    };

    bool load();
    bool bound_strips();
    void plan_checkpoints();
    void place_checkpoints(std::size_t first, std::size_t last);
    bool enter_group(std::size_t wanted, std::int64_t column);
    bool run_strip(std::size_t index, bool keep);
    void restore_row(std::size_t index, std::int64_t begin, std::int64_t end);
    void save_row(const Strip& strip);
    std::int64_t snapshot_size(const Strip& strip) const;
    std::int64_t checkpoint_size(const Strip& strip) const {
        return snapshot_size(strip) + strip.row_end - strip.row_begin;
    }
    bool ends_group(std::size_t index) const { return (index + 1) % group_ == 0; }
    Strip bound(std::int64_t first) const;
    void enter(const Strip& strip, const Strip* above);
    void fill_masks(const Strip& strip);
    void pack_rows(std::int64_t first);
    StripPass<T> pass_over(const Strip& strip);
    bool advance(const Strip& strip, bool keep);
    bool hopeless(const Strip& strip) const;
    std::optional<bool> holds_no_cost() const;
    bool trace(ReversePath& path);
    T* record(std::size_t strip, std::int64_t from, std::int64_t to);

    std::int64_t height() const { return std::int64_t{kBlockRows} * kernels_.width; }
    std::int64_t state_size() const { return std::int64_t{kBlockRows + 1 + kDelay} * kernels_.width; }
    Range range(std::int64_t row) const;

    const Kernels<T>& kernels_;
    const Options& options_;
    const std::int64_t dim_;
    const Local local_;
    Pacer& pacer_;

    Problem<T> problem_{};
    std::int64_t n_ = 0, m_ = 0;  // of the problem; columns are counted from offset_ on
    std::int64_t offset_ = 0;     // makes the last column's step the last of a block
    std::int64_t stride_ = 0;
    std::int64_t padding_ = 0;
    bool suspicious_ = false;
    std::vector<Range> ranges_;
    std::vector<Strip> strips_;
    std::size_t group_ = 1;  // strips whose checkpoints are in memory together
    Buffer<T> x_, y_, row_, state_, scratch_, record_, checkpoints_, group_rows_;
    Buffer<LaneInt<T>> start_, stop_;
    T* row_at_zero_ = nullptr;
};

extern template class Strips<float>;
extern template class Strips<double>;

}  // namespace coalign::warping
