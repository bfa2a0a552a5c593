#include "warping/kernels.hpp"

#include <type_traits>
#include <utility>

#include "warping/lattice.hpp"

namespace coalign::COALIGN_SET {
namespace {

using warping::LanePass;
using warping::StripPass;

template <class T>
void pack(const T* const* series, const std::int64_t* sizes, std::int64_t padded, T* out) {
    constexpr int width = kWidth<T>;
    std::int64_t whole = padded;
    for (int lane = 0; lane < width; ++lane) whole = sizes[lane] < whole ? sizes[lane] : whole;
    whole -= whole % width;
    for (std::int64_t at = 0; at < whole; at += width) {
        Vec<T> square[width];
        for (int lane = 0; lane < width; ++lane) square[lane] = load(series[lane] + at);
        transpose<T>(square);
        for (int row = 0; row < width; ++row) store(out + (at + row) * width, square[row]);
    }
    for (std::int64_t at = whole; at < padded; ++at)
        for (int lane = 0; lane < width; ++lane) out[at * width + lane] = at < sizes[lane] ? series[lane][at] : T(0);
}

template <class T, Local kLocal, bool kMasked>
void lane_pass(const LanePass<T>& pass) {
    constexpr int width = kWidth<T>;
    Vec<T> latest[kBlockRows];
    for (int r = 0; r < kBlockRows; ++r) latest[r] = load(pass.state + r * width);
    Vec<T> diagonal = load(pass.state + kBlockRows * width);
    LocalCosts<T, kLocal> costs(pass.x, pass.dim);
    const auto advance = [&]<int kColumns>(std::int64_t first,
                                           std::integral_constant<int, kColumns>) __attribute__((always_inline)) {
        const std::int64_t frame = pass.dim * width;
        costs.template at<kColumns>(pass.y + first * frame, frame, width);
#pragma GCC unroll 2
        for (int c = 0; c < kColumns; ++c) {
            T* row = pass.row + (first + c) * width;
            Vec<T> bottom;
            if constexpr (kMasked) {
                const RowMasks<T> masks{pass.start, pass.stop,
                                        IntVec<T>{} + static_cast<typename LaneTypes<T>::Int>(first + c)};
                bottom = advance_column<T>(latest, diagonal, load(row), costs, c, masks);
            } else {
                bottom = advance_column<T>(latest, diagonal, load(row), costs, c, NoMasks{});
            }
            store(row, bottom);
        }
    };
    constexpr int at_once = LocalCosts<T, kLocal>::kColumns;
    std::int64_t column = pass.begin;
    for (; column + at_once <= pass.end; column += at_once) advance(column, std::integral_constant<int, at_once>{});
    for (; column < pass.end; ++column) advance(column, std::integral_constant<int, 1>{});
    for (int r = 0; r < kBlockRows; ++r) store(pass.state + r * width, latest[r]);
    store(pass.state + kBlockRows * width, diagonal);
}

// The corners of the band are peeled: a mask takes longer than the rows that it saves. With a band of 51 columns a
// block took 0.7 of the time, on AVX-512.
template <class T, Local kLocal>
void band_pass(const LanePass<T>& pass) {
    constexpr int width = kWidth<T>;
    const std::int64_t frame = pass.dim * width;
    Vec<T> latest[kBlockRows];
    for (int r = 0; r < kBlockRows; ++r) latest[r] = infinity<T>();
    Vec<T> diagonal = load(pass.state + kBlockRows * width);
    LocalCosts<T, kLocal> costs(pass.x, pass.dim);
    const auto corner = [&]<int kFirst, int kLast>(std::int64_t column, std::integer_sequence<int, kFirst, kLast>)
                            __attribute__((always_inline)) {
                                costs.template at<1>(pass.y + column * frame, frame, width);
                                T* const row = pass.row + column * width;
                                const Vec<T> last =
                                    advance_rows<kFirst, kLast, T>(latest, diagonal, load(row), costs, 0, NoMasks{});
                                store(row, kLast < kBlockRows ? infinity<T>() : last);
                            };
    constexpr auto slopes = std::make_integer_sequence<int, kBlockRows - 1>{};
    const auto enter = [&]<int... I>(std::integer_sequence<int, I...>)
                           __attribute__((always_inline)) { (corner(I, std::integer_sequence<int, 0, I + 1>{}), ...); };
    const auto leave = [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
        (corner(pass.end + I, std::integer_sequence<int, I + 1, kBlockRows>{}), ...);
    };
    const auto advance = [&]<int kColumns>(std::int64_t first, std::integral_constant<int, kColumns>)
                             __attribute__((always_inline)) {
                                 costs.template at<kColumns>(pass.y + first * frame, frame, width);
#pragma GCC unroll 2
                                 for (int c = 0; c < kColumns; ++c) {
                                     T* const row = pass.row + (first + c) * width;
                                     store(row, advance_column<T>(latest, diagonal, load(row), costs, c, NoMasks{}));
                                 }
                             };
    enter(slopes);
    constexpr int at_once = LocalCosts<T, kLocal>::kColumns;
    std::int64_t column = kBlockRows - 1;
    for (; column + at_once <= pass.end; column += at_once) advance(column, std::integral_constant<int, at_once>{});
    for (; column < pass.end; ++column) advance(column, std::integral_constant<int, 1>{});
    leave(slopes);
}

// The costs of one block of kDelay steps, from the rows and columns where its lanes are.
template <class T>
void gather_costs(const StripPass<T>& pass, std::int64_t block) {
    constexpr int width = kWidth<T>;
    constexpr T inf = std::numeric_limits<T>::infinity();
    bool suspicious = false;
    for (int lane = 0; lane < width; ++lane) {
        const int above = width - 1 - lane;
        const std::int64_t column = (block - above) * kDelay - pass.first_column;
        for (int r = 0; r < kBlockRows; ++r) {
            const std::int64_t i = pass.first_row + above * kBlockRows + r;
            const T* costs = pass.matrix + i * pass.matrix_stride + column;
            T* out = pass.scratch + r * width + lane;
            for (int p = 0; p < kDelay; ++p, out += kBlockRows * width) {
                const bool inside = i < pass.rows && column + p >= 0 && column + p < pass.columns;
                *out = inside ? costs[p] : inf;
                suspicious |= !(*out > -inf);
            }
        }
    }
    if (suspicious) *pass.suspicious = true;
}

template <class T, Local kLocal, bool kMasked, bool kRecord>
void strip_pass(const StripPass<T>& pass) {
    constexpr int width = kWidth<T>;
    Vec<T> latest[kBlockRows];
    for (int r = 0; r < kBlockRows; ++r) latest[r] = load(pass.state + r * width);
    Vec<T> diagonal = load(pass.state + kBlockRows * width);
    T* ring = pass.state + (kBlockRows + 1) * width;
    LocalCosts<T, kLocal> costs(pass.x, pass.dim);
    IntVec<T> lag;
    for (int lane = 0; lane < width; ++lane)
        lag[lane] = static_cast<typename LaneTypes<T>::Int>((width - 1 - lane) * kDelay);
    T* record = pass.record;
    for (std::int64_t block = pass.begin; block < pass.end; ++block) {
        if constexpr (kLocal == Local::matrix) gather_costs(pass, block);
#pragma GCC unroll 6
        for (int p = 0; p < kDelay; ++p) {
            const std::int64_t step = block * kDelay + p;
            constexpr int at_once = LocalCosts<T, kLocal>::kColumns;
            static_assert(kDelay % at_once == 0);
            if constexpr (kLocal == Local::matrix) {
                costs.template at<1>(pass.scratch + p * kBlockRows * width, 0, 0);
            } else if (p % at_once == 0) {
                const std::int64_t phase = pass.dim * pass.stride;
                costs.template at<at_once>(pass.y + p * phase + block, phase, pass.stride);
            }
            const Vec<T> above = shift_down<T>(load(ring + p * width), pass.row[step]);
            Vec<T> bottom;
            if constexpr (kMasked) {
                const RowMasks<T> masks{pass.start, pass.stop, static_cast<typename LaneTypes<T>::Int>(step) - lag};
                bottom = advance_column<T>(latest, diagonal, above, costs, p % at_once, masks);
            } else {
                bottom = advance_column<T>(latest, diagonal, above, costs, p % at_once, NoMasks{});
            }
            store(ring + p * width, bottom);
            if constexpr (kRecord) {
                for (int r = 0; r < kBlockRows; ++r) store(record + r * width, latest[r]);
                record += kBlockRows * width;
            } else {
                // Lane 0 is the strip's last row. The other lanes land on columns that later steps overwrite, and
                // behind the columns that the top lane has still to read. What they leave past the last column is
                // masked: a lane is kDelay columns further than where it lands, past its own rows' windows.
                store(pass.row + step - kDelay * (width - 1), bottom);
            }
        }
    }
    for (int r = 0; r < kBlockRows; ++r) store(pass.state + r * width, latest[r]);
    store(pass.state + kBlockRows * width, diagonal);
}

// In the order of Local; the matrix form has no version for lanes.
template <class T>
inline constexpr warping::Kernels<T> kTable{
    Isa::COALIGN_SET,
    kWidth<T>,
    pack<T>,
    {lane_pass<T, Local::square, false>, lane_pass<T, Local::magnitude, false>, lane_pass<T, Local::square_sum, false>,
     lane_pass<T, Local::root_square_sum, false>, lane_pass<T, Local::expanded_square_sum, false>,
     lane_pass<T, Local::expanded_root_square_sum, false>, lane_pass<T, Local::magnitude_sum, false>,
     lane_pass<T, Local::cosine, false>, nullptr},
    {lane_pass<T, Local::square, true>, lane_pass<T, Local::magnitude, true>, lane_pass<T, Local::square_sum, true>,
     lane_pass<T, Local::root_square_sum, true>, lane_pass<T, Local::expanded_square_sum, true>,
     lane_pass<T, Local::expanded_root_square_sum, true>, lane_pass<T, Local::magnitude_sum, true>,
     lane_pass<T, Local::cosine, true>, nullptr},
    {band_pass<T, Local::square>, band_pass<T, Local::magnitude>, band_pass<T, Local::square_sum>,
     band_pass<T, Local::root_square_sum>, nullptr, nullptr, band_pass<T, Local::magnitude_sum>, nullptr, nullptr},
    {strip_pass<T, Local::square, false, false>, strip_pass<T, Local::magnitude, false, false>,
     strip_pass<T, Local::square_sum, false, false>, strip_pass<T, Local::root_square_sum, false, false>,
     strip_pass<T, Local::expanded_square_sum, false, false>,
     strip_pass<T, Local::expanded_root_square_sum, false, false>, strip_pass<T, Local::magnitude_sum, false, false>,
     strip_pass<T, Local::cosine, false, false>, strip_pass<T, Local::matrix, false, false>},
    {strip_pass<T, Local::square, true, false>, strip_pass<T, Local::magnitude, true, false>,
     strip_pass<T, Local::square_sum, true, false>, strip_pass<T, Local::root_square_sum, true, false>,
     strip_pass<T, Local::expanded_square_sum, true, false>,
     strip_pass<T, Local::expanded_root_square_sum, true, false>, strip_pass<T, Local::magnitude_sum, true, false>,
     strip_pass<T, Local::cosine, true, false>, strip_pass<T, Local::matrix, true, false>},
    {strip_pass<T, Local::square, true, true>, strip_pass<T, Local::magnitude, true, true>,
     strip_pass<T, Local::square_sum, true, true>, strip_pass<T, Local::root_square_sum, true, true>,
     strip_pass<T, Local::expanded_square_sum, true, true>, strip_pass<T, Local::expanded_root_square_sum, true, true>,
     strip_pass<T, Local::magnitude_sum, true, true>, strip_pass<T, Local::cosine, true, true>,
     strip_pass<T, Local::matrix, true, true>},
};

}  // namespace

template <>
const warping::Kernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const warping::Kernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
