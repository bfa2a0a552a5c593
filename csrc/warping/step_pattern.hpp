// The steps that a path may take, and the engine for them: a row of the lattice at a time.
//
// A path is recovered block by block: the forward pass keeps, for every block of rows, the rows that its first steps
// come from, and the numbers of the steps in the last block. Back-tracing computes each block once more, recording the
// steps. With blocks of about the root of the rows, a path takes twice the time and the memory of some root of the
// cells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/buffer.hpp"
#include "warping/problem.hpp"
#include "warping/strips.hpp"

namespace coalign::warping {

// A cell counts back from the end of its step.
struct StepPattern {
    struct Cell {
        std::int64_t rows, columns;
        double weight;
    };
    struct Step {
        std::int64_t rows, columns;  // from where it starts to where it ends
        std::size_t first, last;     // its cells, from the one after its start to its end
    };

    // Steps that advance x come first: where two are equally cheap, the first one is taken.
    std::vector<Step> steps;
    std::vector<Cell> cells;
    std::size_t crossing = 0;            // steps that advance x
    std::int64_t rows = 0, columns = 0;  // of the longest step
    bool open_begin = false, open_end = false;
};

template <class T>
class StepRows {
   public:
    StepRows(Isa isa, const Options& options, std::int64_t dim, Pacer& pacer);

    struct Result {
        T cost;
        Status status;  // nan: a cell of the window holds NaN or -inf, and there is no path
        bool stopped;
    };
    Result run(const Problem<T>& problem, ReversePath* path);
    // Whether any path goes through the window; nothing when the call was stopped.
    std::optional<bool> feasible(std::int64_t n, std::int64_t m);

   private:
    struct Row {
        Buffer<T> buffer;
        T* at_zero = nullptr;
        Range held{0, 0};  // where it may be finite
    };

    bool load(const Problem<T>& problem);
    bool clear(std::vector<Row>& rows);
    bool copy_columns();
    bool plan_blocks();
    bool begin_row(Row& row, Range range);
    bool fill_costs(std::int64_t i, std::int64_t begin, std::int64_t end);
    bool advance(std::int64_t i, bool record);
    bool record_block(std::int64_t block);
    void keep_rows(std::int64_t first);
    bool trace(std::int64_t column, ReversePath& path);
    Range range(std::int64_t row) const {
        return ranges_.empty() ? Range{0, m_} : ranges_[static_cast<std::size_t>(row)];
    }
    Row& total(std::int64_t i) { return totals_[static_cast<std::size_t>(i) % totals_.size()]; }
    Row& costs(std::int64_t i) { return costs_[static_cast<std::size_t>(i) % costs_.size()]; }
    std::int64_t block_end(std::int64_t block) const;

    const RowKernels<T>& kernels_;
    const Options& options_;
    const StepPattern& pattern_;
    const std::int64_t dim_;
    const Local local_;
    Pacer& pacer_;

    Problem<T> problem_{};
    std::int64_t n_ = 0, m_ = 0, stride_ = 0;
    bool is_free_ = false;  // every cell of the window costs nothing
    bool is_spoilt_ = false;
    std::vector<Range> ranges_;
    std::vector<Row> totals_, costs_;  // the latest rows, of accumulated and of local costs
    std::vector<RowStep<T>> steps_;
    std::vector<RowTerm<T>> terms_;
    Buffer<T> y_, kept_;
    std::vector<std::int64_t> kept_at_;  // where the rows kept for each block start
    std::int64_t block_ = 0, recorded_ = 0, widest_ = 0;
    Buffer<std::uint8_t> choices_;  // of the rows of block `recorded_`
};

extern template class StepRows<float>;
extern template class StepRows<double>;

}  // namespace coalign::warping
